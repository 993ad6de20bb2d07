"""Inference surjections: layers that map several x to one z, whose lost part has its own distribution given z.

    x <-> (z, lost) one to one,    dlogp = log p(lost | z) + log |det d(z, lost)/dx|

The likelihood is exact, because forward is deterministic; the inverse draws the lost part (Nielsen et al. 2020,
arXiv:2007.02731, table 2). `Inverse` turns such a layer round: the lost part is then drawn in the forward direction, and the
log-likelihood becomes a lower bound (generative surjections, table 1).
"""

from __future__ import annotations

import abc
import dataclasses
import math

import torch
from torch import Tensor

from ..core import CodeSource, Distribution, Space, Transform, context_space
from ..errors import ShapeError, SpecError
from ..functional.squeezing import at_positions


class Surjection(Transform):
    """Base class of inference surjections; subclasses implement `split`, `merge` and `given`, and set `rest`.

    `rest` is the distribution of the lost part; its context is what `given` returns.
    """

    many_to_one = True
    rest: Distribution

    @abc.abstractmethod
    def split(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor | float]:
        """Return z, the lost part and log |det d(z, lost)/dx|: (B, *x_space.shape) -> (B, ...), (B, ...), (B,) or 0."""

    @abc.abstractmethod
    def merge(self, z: Tensor, lost: Tensor) -> tuple[Tensor, Tensor | float]:
        """Return x for z and the lost part, and log |det d(z, lost)/dx|."""

    @abc.abstractmethod
    def given(self, z: Tensor, context: Tensor | None) -> Tensor | None:
        """Return the context of `rest`."""

    def init_from(self, x: Tensor, context: Tensor | None = None) -> None:
        """Set the starting values of `rest` from the parts of a batch that are lost."""
        z, lost, _ = self.split(x)
        self.rest.init_from(lost, self.given(z, context))

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return z, and log p(lost | z) plus the log-determinant: (B, *x_space.shape) -> (B, *z_space.shape), (B,) nats."""
        z, lost, volume = self.split(x)
        return z, self.rest._log_prob(lost, self.given(z, context)) + volume

    def inverse(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return x for z and a draw of the lost part, and the negative dlogp of that x."""
        lost, logp = self.rest._sample(z.shape[0], self.given(z, context))
        x, volume = self.merge(z, lost)
        return x, -logp - volume

    def take_apart(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, list[Tensor]]:
        """Return z and the codes of the lost part."""
        z, lost, _ = self.split(x)
        return z, self.rest._take_apart(lost, self.given(z, context))

    def put_together(self, z: Tensor, code_of: CodeSource, context: Tensor | None = None) -> Tensor:
        """Return x for z and the lost part that is built from its codes."""
        return self.merge(z, self.rest._put_together(code_of, self.given(z, context)))[0]


def beside(z: Tensor, context: Tensor | None, rest: Distribution) -> Tensor | None:
    """Return z followed by the context, in the shape and the dtype of the context of `rest`; None if `rest` takes none."""
    if rest.context is None:
        return None
    if context is not None:
        z = torch.cat([z, at_positions(context, z.shape[2:])], 1)
    return z.reshape(z.shape[0], *rest.context.shape).to(rest.dtype)


def require_context(rest: Distribution, z_space: Space, context: Space | None, *, name: str = "`rest`") -> None:
    """Check that a distribution takes z and the layer's context as its context, in their shape or flattened, or none.

    Raises:
        ShapeError: It takes another context.
    """
    own = 0 if context is None else context.shape[0]
    together = (z_space.shape[0] + own, *z_space.shape[1:])
    if rest.context is not None and rest.context.shape not in (together, (math.prod(together),)):
        raise ShapeError(f"expected {name} to take a context of shape {together}, got {rest.context}")


class Slice(Surjection):
    """Surjection that keeps the first k entries of the first dimension; `rest` models the others.

    This is the factoring-out of multi-scale models (Dinh et al. 2017, arXiv:1605.08803, section 3.6) with any
    distribution, such as a flow whose context is the kept part (Kingma and Dhariwal 2018, arXiv:1807.03039, appendix B).

    Args:
        space: Space of x, of shape (D,), or (C, H, W) for images, whose channels are split.
        keep: Number k of entries that are kept, between 1 and D - 1.
        rest: Distribution of the D - k other entries. Its context is none; or the kept entries followed by the layer's
            own context, which is repeated at every position of an image; or the same, flattened.
        context: Length of the layer's own context, 0 for none; or its space.

    Raises:
        SpecError: The number k is out of range.
        ShapeError: The distribution `rest` has another space or takes another context.
    """

    def __init__(self, space: Space, keep: int, rest: Distribution, *, context: int | Space = 0) -> None:
        super().__init__()
        shape = space.shape
        if not shape or not 0 < keep < shape[0]:
            raise SpecError(
                f"expected to keep between 1 and {shape[0] - 1 if shape else 0} entries of {space}, got {keep}"
            )
        self.x_space = space
        self.z_space = dataclasses.replace(space, shape=(keep, *shape[1:]))
        self.context = context_space(context)
        forgotten = dataclasses.replace(space, shape=(shape[0] - keep, *shape[1:]))
        if rest.space != forgotten:
            raise ShapeError(f"expected `rest` on {forgotten}, got {rest.space}")
        require_context(rest, self.z_space, self.context)
        self.keep, self.rest = keep, rest

    def split(self, x: Tensor) -> tuple[Tensor, Tensor, float]:
        """Return the kept entries, the others, and 0: (B, D, ...) -> (B, k, ...), (B, D - k, ...)."""
        return x[:, : self.keep], x[:, self.keep :], 0.0

    def merge(self, z: Tensor, lost: Tensor) -> tuple[Tensor, float]:
        """Return z followed by the other entries, and 0."""
        return torch.cat([z, lost], 1), 0.0

    def given(self, z: Tensor, context: Tensor | None) -> Tensor | None:
        """Return the kept entries followed by the layer's own context."""
        return beside(z, context if self.context is not None else None, self.rest)
