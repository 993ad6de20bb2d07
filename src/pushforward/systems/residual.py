"""Residual flow: a chain of invertible residual networks, or of monotone operators made of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from ..core import Flow, Transform
from ..errors import SpecError
from ..networks import LipschitzDenseNet, LipschitzMLP
from ..transforms import ActNorm, MonotoneOperator, Residual
from .vector_spec import VectorSpec

FEW = 3
"""Largest number of features for which a whole Jacobian costs less than a series."""


@dataclass(frozen=True, kw_only=True)
class ResidualFlow(VectorSpec):
    """Residual flow: layers z = x + g(x), g a network with Lipschitz constant below one, and activation normalisation.

    Args:
        layers: Number of residual blocks.
        block: "residual", z = x + g(x); or "monotone", the monotone operator z = (u - g(u)) / 2 where x = (u + g(u)) / 2, which
            can stretch more in each layer and solves a fixed point in both directions (Ahn et al. 2022, arXiv:2210.08176).
        hidden: Widths of the hidden layers in each block's network.
        dense: Whether each layer of a network sees the outputs of all layers before it (i-DenseNet); `hidden` then has half
            the number of units that each layer adds.
        activation: Activation function of the networks: "lipswish", x sigmoid(b x) / 1.1, whose slope is at most one.
        lipschitz: Upper bound of the Lipschitz constant of each network, in (0, 1).
        logdet: Log-determinant: "exact", "series" (the first terms: i-ResNet, biased), "roulette" (a random number of
            terms: Residual Flow, unbiased), or "auto": "exact" up to 3 features, otherwise "roulette".
        terms: Number of terms in training: all terms of "series", or the first terms of "roulette", which are always there.
        scoring_terms: Number of terms in evaluation.
        norm: Whether activation normalisation comes before each block and after the last one.
    """

    name = "residual"
    family = "residual"
    paper = "Chen, Behrmann, Duvenaud, Jacobsen 2019, arXiv:1906.02735; Behrmann et al. 2019, arXiv:1811.00995"
    presets = {
        "small": {"layers": 6, "hidden": (32, 32)},
        "paper": {"layers": 100, "hidden": (128, 128, 128, 128), "lipschitz": 0.9},
    }

    layers: int = 10
    block: Literal["residual", "monotone"] = "residual"
    hidden: tuple[int, ...] = (64, 64)
    dense: bool = False
    activation: Literal["lipswish"] = "lipswish"
    lipschitz: float = 0.95
    logdet: Literal["auto", "exact", "series", "roulette"] = "auto"
    terms: int = 2
    scoring_terms: int = 20
    norm: bool = True

    def validate(self) -> None:
        """Check the numbers of terms and the Lipschitz constant."""
        super().validate()
        for name in ("terms", "scoring_terms"):
            self._at_least(name, 1)
        if not 0 < self.lipschitz < 1:
            raise SpecError(
                f"expected {self.name}.lipschitz in (0, 1), got {self.lipschitz}: the layers may not be invertible"
            )

    def build(self) -> Flow:
        """Return the chain of residual layers with a base."""
        space = self.space
        few: Literal["exact", "roulette"] = "exact" if self.features <= FEW else "roulette"
        block = Residual if self.block == "residual" else MonotoneOperator
        layers: list[Transform] = [ActNorm(space)] if self.norm else []
        for _ in range(self.layers):
            options: dict[str, Any] = {"hidden": self.hidden, "coefficient": self.lipschitz, "context": self.given}
            net = (
                LipschitzDenseNet((self.features,), **options) if self.dense else LipschitzMLP(self.features, **options)
            )
            layers.append(
                block(
                    net,
                    space,
                    lipschitz=self.lipschitz,
                    logdet=few if self.logdet == "auto" else self.logdet,
                    terms=self.terms,
                    scoring_terms=self.scoring_terms,
                    context=self.given,
                )
            )
            if self.norm:
                layers.append(ActNorm(space))
        return self.flow(layers)

    @classmethod
    def cases(cls) -> Iterator[ResidualFlow]:
        """Yield specs with an exact log-determinant, with roulette and a context, with a series, and of monotone operators."""
        yield cls(features=2, layers=2, hidden=(8,), lipschitz=0.7)
        yield cls(features=2, layers=2, hidden=(8,), lipschitz=0.9, context=3, logdet="roulette", scoring_terms=2)
        yield cls(features=3, layers=1, hidden=(8,), lipschitz=0.9, logdet="series", scoring_terms=8, norm=False)
        yield cls(features=2, layers=1, block="monotone", hidden=(8,), lipschitz=0.3, norm=False)
