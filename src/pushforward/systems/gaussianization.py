"""Gaussianization: normal scores of all coordinates between rotations, fitted layer by layer from the data or trained."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from ..core import Flow, Transform
from ..errors import SpecError
from ..transforms import ActNorm, DataRotation, Gaussianize, Orthogonal
from .vector_spec import VectorSpec

CHOICES = 32
"""Number of rotations of which one is chosen."""


@dataclass(frozen=True, kw_only=True)
class Gaussianization(VectorSpec):
    """Alternate the normal score of each coordinate with rotations; the start is an iterative fit to the data.

        x -> (x - m) / s -> [rotation -> (1 - step) x_i + step Phi^-1(F_i(x_i)) for each i] x layers

    The start sets one layer after the other to the marginals of what the layers before it make of the data: rotation-based
    iterative Gaussianization (Laparra et al. 2011). Short steps, in more layers, follow the noise of the rows less, as the
    small steps of boosting do (Friedman 2001, Annals of Statistics 29). Training then changes all layers together: a
    Gaussianization flow (Meng et al. 2020).

    Args:
        layers: Number of normal scores, with a rotation before each.
        mixture: Number of logistic distributions in each marginal.
        step: Part of the way from a coordinate to its normal score, above 0 and at most 1. Without training, 40 layers with
            `mixture=16` and `step=0.3` are recommended.
        rotation: Start of each rotation: "pca", the principal axes of what the layers before it make of the data; "random"; or
            "choice", the one of 32 random rotations whose coordinates are farthest from normal.
        trained: Whether training changes these layers. Otherwise it changes the last standardisation alone, and the model is
            the iterative fit.
        hidden: Widths of the hidden layers in the networks of a context.
    """

    name = "gaussianization"
    family = "ancestors"
    paper = "Laparra, Camps-Valls, Malo 2011, arXiv:1602.00229; Meng, Song, Song, Ermon 2020, arXiv:2003.01941"

    layers: int = 10
    mixture: int = 8
    step: float = 1.0
    rotation: Literal["pca", "random", "choice"] = "choice"
    trained: bool = True
    hidden: tuple[int, ...] = (64, 64)

    def validate(self) -> None:
        """Check the number of components and the step."""
        super().validate()
        self._at_least("mixture", 1)
        if not 0 < self.step <= 1:
            raise SpecError(f"expected {self.name}.step above 0 and at most 1, got {self.step}")

    def build(self) -> Flow:
        """Return the flow."""
        layers: list[Transform] = [ActNorm(self.space)]
        for _ in range(self.layers):
            if self.features > 1:
                layers.append(self._rotation())
            layers.append(
                Gaussianize(
                    self.space,
                    self.mixture,
                    step=self.step,
                    context=self.given,
                    hidden=self.hidden,
                    activation=self.activation,
                    trained=self.trained,
                )
            )
        return self.flow([*layers, ActNorm(self.space)])

    def _rotation(self) -> Orthogonal:
        if self.rotation != "random":
            return DataRotation(self.space, choices=CHOICES * (self.rotation == "choice"), trained=self.trained)
        rotation = Orthogonal(self.space, rotation=True)
        rotation.free.requires_grad_(self.trained)
        return rotation

    @classmethod
    def cases(cls) -> Iterator[Gaussianization]:
        """Yield a spec with two features."""
        yield cls(features=2, layers=1, mixture=2)
