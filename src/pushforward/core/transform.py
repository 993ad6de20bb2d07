"""Transform: one layer of a flow."""

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
"""Function from a base and its context to a flat batch of its events: the codes that a model is put together from."""


class Undo(Flag):
    """Which directions of a layer the other one undoes: up to rounding, without random numbers, at about the same cost.

    Training in constant memory (`core.memory`) undoes those layers instead of keeping what they were given.
    """

    NOTHING = 0
    FORWARD = auto()
    INVERSE = auto()
    BOTH = FORWARD | INVERSE


class Transform(Node):
    """One layer between the data side x and the latent side z.

    With z drawn from q(z|x) on the way in and x from p(x|z) on the way out, a layer reports

        forward:  dlogp = log p(x|z) - log q(z|x)        inverse:  dlogp = log q(z|x) - log p(x|z)

    which is log |det dz/dx| for a bijection, a bound's term for a stochastic layer and 0 for a discrete bijection.
    Batches are flat here, (B, *shape), and nothing is checked: `Distribution` is the public door.
    """

    x_space: Space
    z_space: Space
    undo: Undo = Undo.NOTHING
    """Which of its directions training may undo to save memory; the class's own say, whatever its networks do."""
    repeatable: bool = True
    """Whether running it again on the same numbers, from the same random state, gives the same and changes nothing."""

    @abc.abstractmethod
    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Data to latent: (B, *x_space.shape) -> z (B, *z_space.shape), dlogp (B,) in nats, to be added."""

    @abc.abstractmethod
    def inverse(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Latent to data: (B, *z_space.shape) -> x (B, *x_space.shape), dlogp (B,), the negative on the same pair."""

    def take_apart(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, list[Tensor]]:
        """z, and the codes of what forward models on the way and leaves out of z, the first layer's first."""
        return self(x, context)[0], []

    def put_together(self, z: Tensor, code_of: CodeSource, context: Tensor | None = None) -> Tensor:
        """x from z, with codes of what z leaves out from `code_of`, asked for in the opposite order."""
        return self.inverse(z, context)[0]

    def rewind(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """x that forward takes to z, without z's gradient but open to one of its own, and forward again from there.

        Args:
            z: (B, *z_space.shape).
            context: (B, *context.shape) or None.

        Returns:
            x (B, *x_space.shape), a leaf that requires a gradient; forward's z and dlogp, recorded from it.
        """
        with torch.no_grad():
            x = self.inverse(z, context)[0]
        x = x.detach().requires_grad_()
        return x, *self(x, context)

    def opened(self, *, turned: bool) -> Iterator[tuple[Transform, bool]]:
        """Yield the single layers that this one is made of, in the order in which they run, and whether each is inverted.

        Args:
            turned: Whether this layer itself is inverted.
        """
        yield self, turned

    def exact_twin(self) -> Transform | None:
        """The same map, sharing its parameters, with every approximation of its own done to rounding; None when it makes none.

        Twins cost more: `core.exactly` puts them into a whole model.
        """
        return None

    def _nothing(self, v: Tensor) -> Tensor:
        """The contribution of a layer that changes no volume: a zero for each row of v."""
        return torch.zeros(v.shape[0], dtype=v.dtype if v.is_floating_point() else self.dtype, device=v.device)

    def forward_aux(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """`forward` with the penalties of layers that have any, by name, each (B,)."""
        return *self.forward(x, context), {}


Given = tuple[Transform, Tensor, Tensor | None]
"""A layer with events of its data side and their context."""
