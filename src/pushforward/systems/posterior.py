"""What flows made for posteriors share: a diagonal affine step, then steps whose closed form runs from latent to data."""

from __future__ import annotations

import abc
from dataclasses import dataclass

from ..core import Flow, Inverse, Real, Transform
from ..transforms import Affine, Elementwise
from .vector_spec import VectorSpec


@dataclass(frozen=True, kw_only=True)
class Posterior(VectorSpec, register=False):
    """z_0 = m + s e with e standard normal, then x = f_K(... f_1(z_0)), all parameters made from the context if there is one.

    Drawing with density is one pass, as reverse Kullback-Leibler divergences need; the density of given data undoes each step.

    Args:
        layers: Number of steps after the diagonal one.
        hidden: Widths of the networks that make the parameters from the context; empty for matrices.
    """

    layers: int = 8
    hidden: tuple[int, ...] = ()

    @abc.abstractmethod
    def step(self, index: int, space: Real) -> Transform:
        """Step number `index`, from 0; its forward is the direction of drawing."""

    def build(self) -> Flow:
        """Return the flow."""
        space = self.space
        first = Elementwise(Affine(), space, context=self.given, hidden=self.hidden, activation=self.activation)
        steps = [first, *(self.step(i, space) for i in range(self.layers))]
        return self.flow([Inverse(step) for step in reversed(steps)])
