"""Code of vectors with angles for networks: an angle is seen as its cosine and sine, so nothing jumps at a full turn."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class CosineSine(nn.Module):
    """Code in which each angle of a vector becomes its cosine and its sine; other numbers are unchanged.

    Args:
        angles: Whether each entry of the vector is an angle in radians.
    """

    marks: Tensor
    flat: Tensor
    turned: Tensor

    def __init__(self, angles: Sequence[bool]) -> None:
        super().__init__()
        marks = torch.tensor([bool(angle) for angle in angles])
        self.all = bool(marks.all())
        self.outputs = len(marks) + int(marks.sum())
        self.register_buffer("marks", marks, persistent=False)
        self.register_buffer("flat", (~marks).nonzero()[:, 0], persistent=False)
        self.register_buffer("turned", marks.nonzero()[:, 0], persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return all numbers that are not angles, then the cosines, then the sines: (B, D) -> (B, D + number of angles)."""
        if self.all:
            return torch.cat([x.cos(), x.sin()], 1)
        turned = x.index_select(1, self.turned)
        return torch.cat([x.index_select(1, self.flat), turned.cos(), turned.sin()], 1)

    def pairs(self, x: Tensor) -> Tensor:
        """Return (cos x, sin x) for each angle and (x, 0) for each other number: (B, D) -> (B, D, 2)."""
        return self._pairs(x, self.marks)

    def pair(self, i: int, x: Tensor) -> Tensor:
        """Return the pairs (B, 2) of numbers (B,) that are all values of entry i."""
        return self._pairs(x, self.marks[i])

    def _pairs(self, x: Tensor, marks: Tensor) -> Tensor:
        if self.all:
            return torch.stack([x.cos(), x.sin()], -1)
        return torch.stack([torch.where(marks, x.cos(), x), torch.where(marks, x.sin(), torch.zeros_like(x))], -1)


def angle_code(angles: Sequence[bool]) -> CosineSine | None:
    """Return the code of a vector, or None if none of its entries is an angle."""
    return CosineSine(angles) if any(angles) else None
