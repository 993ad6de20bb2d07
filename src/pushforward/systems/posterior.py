"""Base class of flows for posteriors: a diagonal affine step, then steps with a closed form from latent to data."""

from __future__ import annotations

import abc
from dataclasses import dataclass

from ..core import Flow, Inverse, Real, Transform
from ..transforms import Affine, Elementwise
from .vector_spec import VectorSpec


@dataclass(frozen=True, kw_only=True)
class Posterior(VectorSpec, register=False):
    """Base class of x = f_K(... f_1(z_0)), z_0 = m + s e, e standard normal, with parameters that may depend on a context.

    Sampling with density is one pass, as reverse Kullback-Leibler divergences need. The density of given data inverts
    each step.

    Args:
        layers: Number of steps after the diagonal one.
        hidden: Widths of the hidden layers of the networks from the context to the parameters; empty for linear maps.
    """

    layers: int = 8
    hidden: tuple[int, ...] = ()

    @abc.abstractmethod
    def step(self, index: int, space: Real) -> Transform:
        """Return step `index`, from 0; its forward maps from latent to data."""

    def build(self) -> Flow:
        """Return the flow of the diagonal step and all other steps."""
        space = self.space
        first = Elementwise(Affine(), space, context=self.given, hidden=self.hidden, activation=self.activation)
        steps = [first, *(self.step(i, space) for i in range(self.layers))]
        return self.flow([Inverse(step) for step in reversed(steps)])
