"""Scalar maps that are small monotone networks, with all weights computed by the conditioner (Huang et al. 2018)."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from ..errors import SpecError
from ..functional.sigmoidal import layer_sizes, parameter_count, sigmoid_layers, sigmoidal, sigmoidal_inverse
from .scalar import LineMap


@dataclass(frozen=True)
class DeepSigmoidal(LineMap):
    """Deep sigmoidal map: layers of logits of means of sigmoids (Huang et al. 2018, arXiv:1804.00779, eq. 8-10).

        h' = logit sum_k w_k sigmoid(a_k h + b_k),    a > 0,  w > 0,  sum_k w_k = 1

    With one layer the map is `LogisticMixture` with other parameters. Dense layers have `width` outputs, each a mean of the
    same sigmoids with its own weights, and every sigmoid of the next layer sees a mean of them. The map reaches every real
    number, its tails are linear, and its slope is at least 0.001, the weight of x itself in z. The inverse is computed by
    iteration inside an interval that contains the root.

    Args:
        width: Number of sigmoids K of each layer.
        layers: Number of layers.
        dense: Whether `width` numbers, and not one, pass from layer to layer.
        bound: Upper bound of the distance of the log-rates log a from their start.
        spread: Half-width of the interval on which the initial centres of the sigmoids are evenly spaced.

    Raises:
        SpecError: The width or the number of layers is less than one, or the bound or the spread is not positive.
    """

    numeric_inverse = True
    width: int = 8
    layers: int = 1
    dense: bool = False
    bound: float = 5.0
    spread: float = 1.5

    def __post_init__(self) -> None:
        """Check the sizes."""
        if self.width < 1 or self.layers < 1:
            raise SpecError(
                f"expected at least one sigmoid and one layer, got width={self.width}, layers={self.layers}"
            )
        if not (self.bound > 0 and self.spread > 0):
            raise SpecError(f"expected a bound and a spread > 0, got bound={self.bound}, spread={self.spread}")

    @property
    def _sizes(self) -> list[tuple[int, int]]:
        return layer_sizes(self.width, self.layers, dense=self.dense)

    @property
    def n(self) -> int:
        """Number of free parameters: 3 K for each layer; between dense layers K^2 for each of two matrices instead of K."""
        return parameter_count(self.width, self._sizes)

    def forward(self, x: Tensor, p: Tensor) -> tuple[Tensor, Tensor]:
        """Return the output of the last layer and the log-slope."""
        return sigmoidal(x, sigmoid_layers(p, self.width, self._sizes, self.bound, self.spread))

    def inverse(self, z: Tensor, p: Tensor) -> tuple[Tensor, Tensor]:
        """Return x with this output, and the log-slope."""
        return sigmoidal_inverse(z, sigmoid_layers(p, self.width, self._sizes, self.bound, self.spread))
