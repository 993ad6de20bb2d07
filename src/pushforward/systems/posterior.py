"""What flows made for posteriors share: a diagonal affine step, then steps whose closed form runs from latent to data."""

from __future__ import annotations

import abc
from dataclasses import dataclass

from ..core import Chain, Flow, Inverse, Real, Transform
from ..distributions import Normal
from ..transforms import Affine, Elementwise
from .spec import Spec


@dataclass(frozen=True, kw_only=True)
class Posterior(Spec, register=False):
    """z_0 = m + s e with e standard normal, then x = f_K(... f_1(z_0)), all parameters made from the context if there is one.

    Drawing with density is one pass, as reverse Kullback-Leibler divergences need; the density of given data undoes each step.

    Args:
        features: D.
        context: length of the context, 0 for none; it enters every step.
        layers: steps after the diagonal one.
        hidden: widths of the networks; without any, matrices make the parameters.
    """

    features: int
    context: int = 0
    layers: int = 8
    hidden: tuple[int, ...] = ()

    @abc.abstractmethod
    def step(self, index: int, space: Real) -> Transform:
        """Step number `index`, from 0; its forward is the direction of drawing."""

    def build(self) -> Flow:
        """The flow."""
        space = Real((self.features,))
        first = Elementwise(Affine(), space, context=self.context, hidden=self.hidden)
        steps = [first, *(self.step(i, space) for i in range(self.layers))]
        return Flow(Chain(*(Inverse(step) for step in reversed(steps))), Normal(space))
