"""Base class of networks of vectors whose i-th output depends only on the features before i in some order."""

from __future__ import annotations

import abc
from collections.abc import Callable

from torch import Tensor

from .network import Network


class OrderedNetwork(Network, abc.ABC):
    """Network from features (B, D width) to parameters (B, D, n); the parameters of a feature depend on those before it.

    `forward` computes all parameters at once. `unroll` computes the features one after the other, each from its own
    parameters, at the cost of about one pass.
    """

    features: int
    """Number of features D."""
    n: int
    """Number of parameters of a feature."""
    width: int
    """Number of inputs that form one feature, such as a one-hot code."""

    @abc.abstractmethod
    def unroll(self, step: Callable[[int, Tensor], Tensor], rows: Tensor, context: Tensor | None = None) -> Tensor:
        """Compute the features one after the other, each from its own parameters.

        Args:
            step: Function (feature i, its parameters (B, n)) that returns x_i, (B,) or (B, width).
            rows: Tensor with the length, dtype and device of the batch; its values are not used.
            context: Context of shape (B, context), or None.

        Returns:
            Features x, (B, D width).
        """

    @abc.abstractmethod
    def start_at(self, values: Tensor) -> None:
        """Set the biases of a network whose last weights are zero, so that it returns `values` (D, n) for every input."""
