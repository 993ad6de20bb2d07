"""MADE: masked autoencoder for the density of real numbers, bits or labels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from torch import nn

from ..networks import MaskedMLP, MaskEnsemble
from .autoregressive_spec import AutoregressiveSpec


@dataclass(frozen=True, kw_only=True)
class MADE(AutoregressiveSpec):
    """Masked autoencoder for densities: p(x) = prod_i p(x_i | x_<i), with all parameters from one masked network.

    With normal conditionals N(x_i; m_i(x_<i), s_i(x_<i)^2), the model is a flow with one layer, z_i = (x_i - m_i) / s_i. With
    several masks, training uses one at random for each batch, and the density is the mean of those of all masks, which is
    exact.

    Args:
        hidden: Widths of the hidden layers in the network.
        dropout: Probability of dropping a hidden unit in training.
        direct: Whether there are direct connections from the features to later outputs.
        masks: Number of masks of the same weights, over which the density is averaged.
        shuffle: Whether every mask has an order of its own; otherwise only the hidden connections differ.
    """

    name = "made"
    family = "autoregressive"
    paper = "Germain, Gregor, Murray, Larochelle 2015, arXiv:1502.03509"

    hidden: tuple[int, ...] = (128, 128)
    dropout: float = 0.0
    direct: bool = False
    masks: int = 1
    shuffle: bool = True

    def validate(self) -> None:
        """Check the number of masks, besides the arguments of all autoregressive systems."""
        super().validate()
        self._at_least("masks", 1)

    def network(self, n: int, width: int) -> nn.Module:
        """Return the masked network, with one mask or several."""
        options = {
            "width": width,
            "hidden": self.hidden,
            "context": self.given,
            "order": self.order or None,
            "activation": self.activation,
            "dropout": self.dropout,
            "direct": self.direct,
        }
        if self.masks == 1:
            return MaskedMLP(self.features, n, **options)  # type: ignore[arg-type]
        return MaskEnsemble(self.features, n, masks=self.masks, shuffle=self.shuffle, **options)  # type: ignore[arg-type]

    @classmethod
    def cases(cls) -> Iterator[MADE]:
        """Yield specs of numbers, bits and labels, with orders, contexts, mixtures, and several masks."""
        yield cls(features=2, hidden=(8,))
        yield cls(features=3, hidden=(8, 8), context=2, order=(2, 0, 1))
        yield cls(features=2, hidden=(8,), conditionals="gaussian-mixture", components=3, direct=True)
        yield cls(features=4, hidden=(8,), labels=(2, 2, 2, 2), direct=True)
        yield cls(features=3, hidden=(8,), labels=(3, 2, 4), classes=2, masks=3)
