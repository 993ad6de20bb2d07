"""Inference surjections: layers that drop a part of x, which has its own distribution given the rest.

    dlogp = log p(dropped | z)

The likelihood is exact, because forward is deterministic; the inverse draws the dropped part (Nielsen et al. 2020,
arXiv:2007.02731, table 2).
"""

from __future__ import annotations

import dataclasses
import math

import torch
from torch import Tensor

from ..core import CodeSource, Distribution, Space, Transform, context_space
from ..errors import ShapeError, SpecError
from ..functional.squeezing import at_positions


class Slice(Transform):
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
        own = 0 if self.context is None else self.context.shape[0]
        together = (keep + own, *shape[1:])
        if rest.context is not None and rest.context.shape not in (together, (math.prod(together),)):
            raise ShapeError(f"expected `rest` to take a context of shape {together}, got {rest.context}")
        self.keep, self.rest = keep, rest

    def _given(self, z: Tensor, context: Tensor | None) -> Tensor | None:
        if self.rest.context is None:
            return None
        if context is not None and self.context is not None:
            z = torch.cat([z, at_positions(context, z.shape[2:])], 1)
        return z.reshape(z.shape[0], *self.rest.context.shape).to(self.rest.dtype)

    def init_from(self, x: Tensor, context: Tensor | None = None) -> None:
        """Set the starting values of `rest` from the entries that it models."""
        z, forgotten = x[:, : self.keep], x[:, self.keep :]
        self.rest.init_from(forgotten, self._given(z, context))

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return the kept entries and log p(rest | kept): (B, D, ...) -> (B, k, ...), (B,)."""
        z, forgotten = x[:, : self.keep], x[:, self.keep :]
        return z, self.rest._log_prob(forgotten, self._given(z, context))

    def inverse(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return z with a draw of the rest, and -log p(rest | kept): (B, k, ...) -> (B, D, ...), (B,)."""
        forgotten, logp = self.rest._sample(z.shape[0], self._given(z, context))
        return torch.cat([z, forgotten], 1), -logp

    def take_apart(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, list[Tensor]]:
        """Return the kept entries and the codes of the others."""
        z, forgotten = x[:, : self.keep], x[:, self.keep :]
        return z, self.rest._take_apart(forgotten, self._given(z, context))

    def put_together(self, z: Tensor, code_of: CodeSource, context: Tensor | None = None) -> Tensor:
        """Return the kept entries together with the others, which are built from their codes."""
        return torch.cat([z, self.rest._put_together(code_of, self._given(z, context))], 1)
