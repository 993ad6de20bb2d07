"""FlowGMM: a classifier that is a flow in front of one Gaussian for each class, for data of which few rows have labels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, Self

from torch import nn

from ..core import Chain, Distribution, Flow
from ..distributions import ClassGaussians
from ..errors import SpecError
from ..networks import MLP
from ..objectives.semi_supervised import SemiSupervised
from ..transforms import ActNorm, Affine, Coupling, RationalQuadratic, half_mask
from .vector_spec import VectorSpec


@dataclass(frozen=True, kw_only=True)
class FlowGMM(VectorSpec):
    """Flow in front of one Gaussian for each class; the label `classes` stands for an unknown class.

        p(x | y) = N(f(x); m_y, 1) |det df/dx|,    p(x | unknown) = sum_y w_y p(x | y)

    A row with a label trains p(x | y), and a row without a label trains the mixture. The class of a row follows from Bayes'
    rule.

    Args:
        layers: Number of coupling layers.
        hidden: Widths of the hidden layers in each network.
        scalar: Map of the couplings, "affine" or "spline".
        bins: Number of bins of the splines.
        distance: Distance of neighbouring class means in the latent space, in deviations.
        noise: Standard deviation of the noise of copies of the rows that are trained, too; the copy of a row without a label
            gets the class of another noisy copy (the consistency loss of the paper, eq. 8). 0 for none.
        consistency: Weight of this loss.
        label: Name of the column of a table that holds the class.
        dropout: Probability of dropping a hidden unit in training.
    """

    name = "flowgmm"
    family = "mixture"
    paper = "Izmailov, Kirichenko, Finzi, Wilson 2020, arXiv:1912.13025"

    classes: int = 2
    layers: int = 6
    hidden: tuple[int, ...] = (128,)
    scalar: Literal["affine", "spline"] = "affine"
    bins: int = 8
    distance: float = 7.0
    noise: float = 0.0
    consistency: float = 1.0
    label: str = ""
    dropout: float = 0.0

    def validate(self) -> None:
        """Check that there are classes, and no other base."""
        super().validate()
        self._at_least("classes", 1)
        self._at_least("bins", 2)
        if self.base != "normal":
            raise SpecError("expected no base for flowgmm: it is one Gaussian for each class")
        if self.noise < 0 or self.consistency < 0 or not self.distance > 0:
            raise SpecError(
                f"expected flowgmm.noise and flowgmm.consistency >= 0 and flowgmm.distance > 0, got {self.noise}, "
                f"{self.consistency} and {self.distance}"
            )

    def layers_given(self, context: int) -> Chain:
        """Return the layers, whose networks take a context vector of this length; 0 for none."""
        network = partial(MLP, hidden=self.hidden, activation=self.activation, dropout=self.dropout)
        scalar = Affine() if self.scalar == "affine" else RationalQuadratic(self.bins)
        chain = []
        for i in range(self.layers):
            mask = half_mask(self.features, flip=i % 2 == 1)
            chain += [ActNorm(self.space), Coupling(scalar, self.space, mask, network, context=context)]
        return Chain(*chain)

    def latent(self) -> Distribution:
        """Return the Gaussians of the classes."""
        return ClassGaussians(self.space, self.classes, distance=self.distance)

    def build(self) -> Flow:
        """Return the flow, which starts as the identity."""
        return Flow(self.layers_given(0), self.latent())

    def loss(self, model: Distribution) -> nn.Module | None:
        """Return the likelihood with the consistency loss, if there is noise and the model is the flow itself."""
        if self.noise == 0 or not isinstance(model, Flow):
            return None
        return SemiSupervised(model, self.classes, noise=self.noise, weight=self.consistency)

    @classmethod
    def from_data(cls, x: Any, context: Any = None, **fields: Any) -> Self:
        """Return the spec for rows of numbers and labels from 0, the largest of which stands for an unknown class.

        Raises:
            SpecError: There are no labels, or the data have another shape.
        """
        found = VectorSpec.from_data.__func__(cls, x, context, **fields)  # type: ignore[attr-defined]
        if context is None or found.classes < 2:
            raise SpecError(
                "expected labels as the context, whole numbers from 0 whose largest stands for an unknown class"
            )
        return cls(features=found.features, **{**fields, "classes": found.classes - 1})

    @classmethod
    def cases(cls) -> Iterator[FlowGMM]:
        """Yield specs with two classes and three, with splines, and with one feature."""
        yield cls(features=2, classes=2, layers=2, hidden=(8,))
        yield cls(features=2, classes=4, layers=1, hidden=(8,), scalar="spline", bins=3, noise=0.1, distance=3.0)
        yield cls(features=1, classes=3, layers=1, hidden=(8,), scalar="spline", bins=4, distance=3.0)
