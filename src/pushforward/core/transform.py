"""Transform, the base class of the layers of a flow."""

from __future__ import annotations

import abc
from collections.abc import Callable, Iterator
from enum import Flag, auto
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from .node import Node
from .space import Space

if TYPE_CHECKING:
    from .distribution import Distribution

CodeSource = Callable[["Distribution", "Tensor | None"], Tensor]
"""Function from a base and its context to a flat batch of its events: the codes from which a model builds events."""


class Undo(Flag):
    """Directions of a layer that can be inverted up to rounding, without random numbers, at about the same cost.

    Training in constant memory (`core.memory`) recomputes the inputs of such layers instead of keeping them.
    """

    NOTHING = 0
    FORWARD = auto()
    INVERSE = auto()
    BOTH = FORWARD | INVERSE


class Transform(Node):
    """Layer of a flow, between the data x and the latent variable z.

    With z drawn from q(z|x) in the forward direction and x drawn from p(x|z) in the inverse direction, a layer returns

        forward:  dlogp = log p(x|z) - log q(z|x)        inverse:  dlogp = log q(z|x) - log p(x|z)

    This is log |det dz/dx| for a bijection, one term of the bound for a stochastic layer, and 0 for a discrete bijection.
    Batches are flat, (B, *shape), and inputs are not checked here; `Distribution` checks them.
    """

    x_space: Space
    z_space: Space
    undo: Undo = Undo.NOTHING
    """Directions that training may invert to save memory; a property of the class, independent of its networks."""
    many_to_one: bool = False
    """Whether forward maps several x to one z, so that the inverse draws one of them; a property of the class."""
    repeatable: bool = True
    """Whether a second run on the same input and random state returns the same result and has no side effect."""

    standardises: bool = True
    """Whether a start from data gives every coordinate of z mean 0 and deviation 1, where there is such a start."""

    @abc.abstractmethod
    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Map data to latent: x (B, *x_space.shape) -> z (B, *z_space.shape), dlogp (B,) in nats."""

    @abc.abstractmethod
    def inverse(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Map latent to data: z (B, *z_space.shape) -> x (B, *x_space.shape), dlogp (B,), minus that of forward at x."""

    @property
    def one_to_one(self) -> bool:
        """Whether both directions are exact and deterministic: neither the layer nor a part of it is random or many-to-one."""
        return not self.exactness and not self.draws_back

    @property
    def draws_back(self) -> bool:
        """Whether the inverse draws, because this layer or a part of it maps several x to one z."""
        return any(isinstance(part, Transform) and part.many_to_one for part in self.modules())

    def take_apart(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, list[Tensor]]:
        """Return z and the codes of the variables that forward models and drops, those of the first layer first."""
        return self(x, context)[0], []

    def put_together(self, z: Tensor, code_of: CodeSource, context: Tensor | None = None) -> Tensor:
        """Return x for z; `code_of` supplies the codes of dropped variables, asked for in the opposite order."""
        return self.inverse(z, context)[0]

    def rewind(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """Invert z to a leaf x that requires a gradient, and run forward from x with gradients recorded.

        The backward pass in constant memory calls this.

        Args:
            z: Output of forward, (B, *z_space.shape).
            context: Context of shape (B, *context.shape), or None.

        Returns:
            x (B, *x_space.shape), a leaf detached from z; z and dlogp that forward computes from x.
        """
        with torch.no_grad():
            x = self.inverse(z, context)[0]
        x = x.detach().requires_grad_()
        return x, *self(x, context)

    def opened(self, *, turned: bool) -> Iterator[tuple[Transform, bool]]:
        """Yield the single layers of which this one consists, in running order, and whether each is inverted.

        Args:
            turned: Whether this layer itself is inverted.
        """
        yield self, turned

    def exact_twin(self) -> Transform | None:
        """Return the same map with the same parameters and without approximations; None if it has no approximation.

        An exact twin is slower. `core.exactly` replaces all layers of a model by their twins.
        """
        return None

    def _nothing(self, v: Tensor) -> Tensor:
        """Return the dlogp of a layer that does not change volume: a zero for each row of v."""
        return torch.zeros(v.shape[0], dtype=v.dtype if v.is_floating_point() else self.dtype, device=v.device)

    def forward_aux(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """Return the results of `forward`, and the penalties (B,) of the layer by name; most layers have none."""
        return *self.forward(x, context), {}


Given = tuple[Transform, Tensor, Tensor | None]
"""A layer, events at its data side and their context."""
