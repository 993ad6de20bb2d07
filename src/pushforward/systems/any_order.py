"""Any-order model: an orderless autoregressive network, which gives the distribution of any entries given any others."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from torch import nn

from ..core import Distribution
from ..distributions import Orderless, RowCoding
from ..errors import SpecError
from ..objectives import OrderlessLikelihood
from .row_spec import RowSpec


@dataclass(frozen=True, kw_only=True)
class AnyOrder(RowSpec):
    """Orderless autoregressive model (EoNADE): conditionals of every entry given any others, averaged over orders.

        p(x) = 1/S sum_s prod_i p(x_i | entries before i in order s)

    The model of a table covers labels, numbers, whole numbers, spikes and missing values, and its log-likelihood is exact. For
    bits and other labels it is the EoNADE of the paper.

    Args:
        features: Number of numbers in a row.
        classes: Number of labels of each entry with labels.
        hidden: Widths of the hidden layers of the network.
        components: Number of Gaussians in the mixture of a number.
        orders: Number S of orders whose probabilities are averaged.
        linear: Whether the mixture of a number is relative to its linear prediction from the observed numbers; this helps
            where columns are nearly linear combinations of others, and costs more time.
        residual: Whether the hidden layers are residual; then their number is odd and their widths are equal.
        activation: Activation function of the network, such as "relu", "silu" or "tanh".
        dropout: Probability of dropping a hidden unit in training.
    """

    name = "any-order"
    family = "rows"
    paper = "Uria, Murray, Larochelle 2014, arXiv:1310.1757"
    objective = "likelihood in random orders"
    spread = 1.0

    hidden: tuple[int, ...] = (256, 256, 256)
    components: int = 10
    orders: int = 8
    linear: bool = False
    residual: bool = True
    activation: str = "silu"
    dropout: float = 0.0

    def validate(self) -> None:
        """Check the arguments."""
        super().validate()
        self._at_least("components", 1)
        self._at_least("orders", 1)
        if self.orders > 1000:
            raise SpecError(f"expected {self.name}.orders <= 1000, got {self.orders}")

    def over(self, coding: RowCoding) -> Orderless:
        """Return the model of rows with these entries."""
        return Orderless(
            coding,
            hidden=self.hidden,
            components=self.components,
            orders=self.orders,
            linear=self.linear,
            residual=self.residual,
            activation=self.activation,
            dropout=self.dropout,
        )

    def loss(self, model: Distribution) -> nn.Module:
        """Return the likelihood in a random order with a random cut."""
        return OrderlessLikelihood(model)

    @classmethod
    def cases(cls) -> Iterator[AnyOrder]:
        """Yield specs of vectors, of labels with unequal numbers of classes, and of bits."""
        yield cls(features=2, hidden=(8,), components=3)
        yield cls(features=2, hidden=(8,), components=2, linear=True)
        yield cls(classes=(3, 2, 4), hidden=(8, 8), residual=False, orders=3)
        yield cls(classes=(2, 2, 2, 2), hidden=(8, 8, 8), orders=2)
