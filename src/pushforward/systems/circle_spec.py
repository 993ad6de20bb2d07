"""Base class of systems with angles: the map of a circle, and the structure that gives it its parameters."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Literal

from ..core import Space, Transform
from ..networks import MLP, MaskedMLP
from ..transforms import Autoregressive, CircleMap, CircularSpline, Coupling, MoebiusMixture, Projection, Scalar
from ..transforms.masks import half_mask
from .curved_spec import CurvedSpec


@dataclass(frozen=True, kw_only=True)
class CircleSpec(CurvedSpec, register=False):
    """Base class with the arguments of systems whose layers map angles.

    Args:
        layers: Number of layers.
        hidden: Widths of the hidden layers of each network.
        structure: "autoregressive" (each coordinate given those before it) or "coupling" (one half given the other).
        circle: Map of an angle: "spline" (circular splines), "moebius" or "projection" (convex combinations of Moebius maps or
            of non-compact projections).
        bins: Number of bins of a spline.
        components: Number of maps in a convex combination.
        activation: Activation function of the networks.
    """

    layers: int = 4
    hidden: tuple[int, ...] = (64, 64)
    structure: Literal["autoregressive", "coupling"] = "autoregressive"
    circle: Literal["spline", "moebius", "projection"] = "spline"
    bins: int = 16
    components: int = 12
    activation: str = "relu"

    def validate(self) -> None:
        """Check the sizes."""
        super().validate()
        self._at_least("bins", 2)
        self._at_least("components", 1)

    def circle_map(self) -> CircleMap:
        """Return the map of an angle."""
        if self.circle == "spline":
            return CircularSpline(self.bins)
        return (MoebiusMixture if self.circle == "moebius" else Projection)(self.components)

    def layer(self, scalar: Scalar, space: Space, number: int) -> Transform:
        """Return one layer; every second one has the opposite order or the other half.

        Args:
            scalar: Map of a coordinate.
            space: Space of the events.
            number: Number of the layer, from 0.
        """
        size, flip = space.size, number % 2 == 1
        if self.structure == "coupling":
            network = partial(MLP, hidden=self.hidden, activation=self.activation)
            return Coupling(scalar, space, half_mask(size, flip=flip), network, context=self.context)
        made = MaskedMLP(
            size,
            scalar.n,
            width=2 if any(space.angles) else 1,
            hidden=self.hidden,
            context=self.context,
            order=range(size)[:: -1 if flip else 1],
            activation=self.activation,
        )
        return Autoregressive(scalar, space, made, context=self.context)
