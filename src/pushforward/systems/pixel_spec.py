"""Base class of autoregressive models of pictures: a factor of the levels, and a causal network of pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from ..core import Distribution, Flow, Identity
from ..distributions import AutoregressiveModel, BernoulliFactor, CategoricalFactor, Factor, LogisticLevelsFactor
from ..errors import SpecError
from ..networks import CausalNetwork
from .picture_spec import PictureSpec


@dataclass(frozen=True, kw_only=True)
class PixelSpec(PictureSpec, register=False):
    """Base class with the arguments of autoregressive models of pictures.

    Args:
        hidden: Number of hidden channels of the network.
        factor: Distribution of a value given the earlier ones: "softmax" for each channel of a pixel, or "logistic" for a
            mixture of logistic distributions of whole pixels. Pictures of two levels have bits in both cases.
        components: Number of logistic distributions in a mixture.
        dropout: Probability of dropping a hidden value of the network in training.
        first_kernel: Side of the kernels of the first layer, an odd number.
        kernel: Side of the kernels of the other layers, an odd number.
    """

    family = "autoregressive"

    hidden: int = 32
    factor: Literal["softmax", "logistic"] = "softmax"
    components: int = 10
    dropout: float = 0.0
    first_kernel: int = 7
    kernel: int = 3

    def validate(self) -> None:
        """Check the kernels and the number of components, besides the arguments of all systems of pictures."""
        super().validate()
        self._at_least("components", 1)
        for name in ("kernel", "first_kernel"):
            size = getattr(self, name)
            if size < 1 or size % 2 == 0:
                raise SpecError(f"expected {self.name}.{name} to be an odd number, got {size}")
        if self.hidden < self._tokens:
            raise SpecError(
                f"expected {self.name}.hidden >= {self._tokens}, the channels of the pictures, got {self.hidden}"
            )

    @property
    def _tokens(self) -> int:
        """Number of tokens of a pixel: its channels, or 1 where a factor takes whole pixels."""
        whole = self.factor == "logistic" and self.levels > 2
        return 1 if whole else self.shape[0]

    def _levels(self) -> Factor:
        """Return the distribution of a value, or of a whole pixel."""
        if self.levels == 2:
            return BernoulliFactor()
        if self.factor == "logistic":
            return LogisticLevelsFactor(self.levels, self.components, self.shape[0])
        return CategoricalFactor((self.levels,) * self.space.size, code="number")

    def sized(self, factor: Factor) -> dict[str, Any]:
        """Return the arguments that all networks of pixels take: sizes, channels, kernels and dropout."""
        return {
            "inputs": factor.width,
            "outputs": factor.n,
            "size": (self._tokens, *self.shape[1:]),
            "hidden": self.hidden,
            "kernel": self.kernel,
            "first_kernel": self.first_kernel,
            "context": self.given if isinstance(self.given, int) else self.given.shape[0],
            "dropout": self.dropout,
        }

    def model(self, factor: Factor, net: CausalNetwork, *, vector: bool = False) -> Flow:
        """Return the model of a factor and a network.

        Args:
            factor: Distribution of a value.
            net: Network of pixels.
            vector: Whether the network takes a picture that is given as context as a vector.
        """
        base: Distribution = AutoregressiveModel(
            self.space, factor, net, context=self.given_vector if vector else self.given
        )
        return self.finish(Identity(self.space), base)
