"""Inference surjections: x -> z is a function that forgets, and what it forgets has a distribution of its own.

    dlogp = log p(forgotten | z)

which is exact: forward is deterministic, inverse draws what was forgotten (Nielsen et al. 2020, arXiv:2007.02731, table 2).
"""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor

from ..core import Distribution, Space, Transform
from ..errors import ShapeError, SpecError


class Slice(Transform):
    """Keep the first k entries of the first dimension; `rest` models the others, given the kept ones or not.

    The factoring-out of multi-scale models (Dinh et al. 2017, arXiv:1605.08803, section 3.6) with a distribution of any kind.

    Args:
        space: of x, of shape (D, ...).
        keep: k, between 1 and D - 1.
        rest: on the space of the D - k other entries; its context is the kept ones, flattened, or none.

    Raises:
        SpecError: k is out of range.
        ShapeError: `rest` lives elsewhere, or wants another context.
    """

    def __init__(self, space: Space, keep: int, rest: Distribution) -> None:
        super().__init__()
        shape = space.shape
        if not shape or not 0 < keep < shape[0]:
            raise SpecError(
                f"expected to keep between 1 and {shape[0] - 1 if shape else 0} entries of {space}, got {keep}"
            )
        self.x_space = space
        self.z_space = dataclasses.replace(space, shape=(keep, *shape[1:]))
        forgotten = dataclasses.replace(space, shape=(shape[0] - keep, *shape[1:]))
        if rest.space != forgotten:
            raise ShapeError(f"expected `rest` to live in {forgotten}, got {rest.space}")
        if rest.context is not None and rest.context.shape != (self.z_space.size,):
            raise ShapeError(f"expected `rest` to take a context of length {self.z_space.size}, got {rest.context}")
        self.keep, self.rest = keep, rest

    def _given(self, z: Tensor) -> Tensor | None:
        return None if self.rest.context is None else z.flatten(1).to(self.rest.dtype)

    def init_from(self, x: Tensor, context: Tensor | None = None) -> None:
        """Start `rest` on the entries that it models."""
        self.rest.init_from(x[:, self.keep :], self._given(x[:, : self.keep]))

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """(B, D, ...) -> (B, k, ...), log p(rest | kept)."""
        z, forgotten = x[:, : self.keep], x[:, self.keep :]
        return z, self.rest._log_prob(forgotten, self._given(z))

    def inverse(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """(B, k, ...) -> (B, D, ...) with a draw of the rest, -log p(rest | kept)."""
        forgotten, logp = self.rest._sample(z.shape[0], self._given(z))
        return torch.cat([z, forgotten], 1), -logp
