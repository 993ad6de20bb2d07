"""One-hot encoding of labels, or of whole numbers in a small range; dlogp = 0."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from ..core import OneHot, Space, Transform, Undo
from ..errors import SpecError


class ToOneHot(Transform):
    """Map from x to one-hot vectors (D, K) of its D labels, in reading order where x is not a vector.

    Args:
        space: A `Categories` space, or `Integers` with both bounds.

    Raises:
        SpecError: The space is another one.
    """

    undo = Undo.BOTH
    anchor: Tensor

    def __init__(self, space: Space) -> None:
        super().__init__()
        if space.interval is None or not space.counts:
            raise SpecError(f"expected Categories, or Integers with both bounds, got {space}")
        counts, self.low = space.counts, int(space.interval[0])
        self.codes = OneHot((space.size, max(counts)), counts)
        self.x_space, self.z_space = space, self.codes
        self.register_buffer("anchor", torch.zeros(1), persistent=False)

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return one-hot vectors and 0: (B, *shape) -> (B, D, K), (B,)."""
        labels = (x.flatten(1) - self.low).long()
        return F.one_hot(labels, self.z_space.shape[1]).to(self.dtype), self._nothing(x)

    def inverse(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return the labels and 0: (B, D, K) -> (B, *shape), (B,)."""
        labels = z.argmax(-1).reshape(z.shape[0], *self.x_space.shape) + self.low
        return labels.to(self.x_space.event_dtype(z.dtype)), self._nothing(z)
