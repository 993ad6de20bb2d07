"""Base class of flows that map each number by a scalar map, whose parameters a network computes from other numbers."""

from __future__ import annotations

import abc
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from ..core import Flow, Transform
from ..networks import MLP, MaskedMLP
from ..transforms import LU, Autoregressive, Coupling, Scalar, half_mask
from .vector_spec import VectorSpec


@dataclass(frozen=True, kw_only=True)
class ScalarMapSpec(VectorSpec, register=False):
    """Base class of coupling and autoregressive flows that differ in their scalar map only.

    Args:
        structure: Kind of layers, "autoregressive" or "coupling".
        layers: Number of steps; each has a layer of scalar maps and, before it, an LU layer.
        hidden: Width of the residual networks.
        blocks: Number of residual blocks of two layers in each network.
        linear: Whether each step starts with an LU layer.
        dropout: Probability of dropping a hidden unit in training.
    """

    structure: Literal["autoregressive", "coupling"] = "autoregressive"
    layers: int = 4
    hidden: int = 64
    blocks: int = 1
    linear: bool = True
    dropout: float = 0.0

    def validate(self) -> None:
        """Check the sizes of the networks."""
        super().validate()
        self._at_least("hidden", 1)
        self._at_least("blocks", 0)

    @property
    @abc.abstractmethod
    def scalar_map(self) -> Scalar:
        """Map of each coordinate; p = 0, where the networks start, gives a map close to the identity."""

    def build(self) -> Flow:
        """Return the flow."""
        space, scalar = self.space, self.scalar_map
        network: dict[str, Any] = {
            "hidden": (self.hidden,) * (1 + 2 * self.blocks),
            "residual": True,
            "activation": self.activation,
            "dropout": self.dropout,
        }
        layers: list[Transform] = []
        for i in range(self.layers):
            if self.linear and self.features > 1:
                layers.append(LU(space))
            if self.structure == "coupling":
                mask = half_mask(self.features, flip=i % 2 == 1)
                layers.append(Coupling(scalar, space, mask, partial(MLP, **network), context=self.given))
            else:
                order = range(self.features)[:: -1 if i % 2 else 1]
                made = MaskedMLP(self.features, scalar.n, context=self.given, order=order, **network)
                layers.append(Autoregressive(scalar, space, made, context=self.given))
        return self.flow(layers)
