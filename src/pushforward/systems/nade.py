"""NADE and RNADE: autoregressive models whose hidden activations are carried from feature to feature."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from torch import nn

from ..networks import NADENetwork
from .autoregressive_spec import AutoregressiveSpec, Conditionals


@dataclass(frozen=True, kw_only=True)
class NADE(AutoregressiveSpec):
    """Neural autoregressive distribution estimator: a_(d+1) = a_d + W_d x_d, and p(x_d | x_<d) from V_d act(a_d).

    Args:
        hidden: Number of hidden units.
        dropout: Probability of dropping a hidden unit in training.
        rescale: Whether there is a learned factor for the activations of each feature.
    """

    name = "nade"
    family = "autoregressive"
    paper = "Larochelle, Murray 2011; Uria, Cote, Gregor, Murray, Larochelle 2016, arXiv:1605.02226"

    hidden: int = 200
    activation: str = "sigmoid"
    dropout: float = 0.0
    rescale: bool = False

    def validate(self) -> None:
        """Check the number of hidden units, besides the arguments of all autoregressive systems."""
        super().validate()
        self._at_least("hidden", 1)

    def network(self, n: int, width: int) -> nn.Module:
        """Return the network with shared weights."""
        return NADENetwork(
            self.features,
            n,
            width=width,
            hidden=self.hidden,
            context=self.given,
            order=self.order or None,
            activation=self.activation,
            rescale=self.rescale,
            dropout=self.dropout,
        )

    @classmethod
    def cases(cls) -> Iterator[NADE]:
        """Yield specs of real numbers with splines, of bits, and of labels with a context."""
        yield cls(features=2, hidden=6, conditionals="spline", bins=4)
        yield cls(features=4, hidden=6, labels=(2, 2, 2, 2))
        yield cls(features=3, hidden=6, labels=(3, 2, 4), context=2, order=(2, 0, 1))


@dataclass(frozen=True, kw_only=True)
class RNADE(NADE):
    """Real-valued NADE: mixtures of Gaussians or Laplacians, rectified units, and rescaled activations.

    The gradient of a component's mean is multiplied by its scale.
    """

    name = "rnade"
    paper = "Uria, Murray, Larochelle 2013, arXiv:1306.0186"
    start_from = "grid"

    hidden: int = 50
    activation: str = "relu"
    rescale: bool = True
    conditionals: Conditionals = "gaussian-mixture"
    components: int = 10

    @classmethod
    def cases(cls) -> Iterator[RNADE]:
        """Yield specs with mixtures of each kind, with an order and with contexts."""
        yield cls(features=2, hidden=6, components=2)
        yield cls(features=3, hidden=6, components=2, conditionals="laplace-mixture", order=(1, 2, 0), context=2)
        yield cls(features=2, hidden=6, components=3, conditionals="logistic-mixture", classes=2)
