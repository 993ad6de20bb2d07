"""Masks of coupling layers, and the split of events into the part that passes and the part that is mapped.

A mask over the first dimension splits the entries of a vector or the channels of an image. A mask over positions, such as a
checkerboard, splits the positions of an image, each with all channels (Dinh et al. 2017, arXiv:1605.08803, section 3.4).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from ..core import Space
from ..errors import SpecError

Mask = Sequence[bool] | Sequence[Sequence[bool]]
"""Booleans, True for what passes: one for each entry or channel, or rows of them for the positions of an image."""


def half_mask(features: int, *, flip: bool = False) -> list[bool]:
    """Return a mask whose first half passes, or with `flip` the second half; a single coordinate is always mapped."""
    half = features // 2
    mask = [i < half for i in range(features)]
    return [not keep for keep in mask] if flip and features > 1 else mask


def alternating_mask(features: int, *, flip: bool = False) -> list[bool]:
    """Return a mask whose odd coordinates pass, or with `flip` the even ones; a single coordinate is always mapped."""
    return [(i % 2 == 1) != (flip and features > 1) for i in range(features)]


def residue_mask(features: int, groups: int, group: int) -> list[bool]:
    """Return a mask where all coordinates pass but those of a group: with i = group modulo the number of groups."""
    return [i % groups != group for i in range(features)]


def random_order(features: int, seed: int) -> list[int]:
    """Return a random permutation of 0 ... features - 1, the same one for the same seed."""
    return torch.randperm(features, generator=torch.Generator().manual_seed(seed)).tolist()


def random_mask(features: int, seed: int) -> list[bool]:
    """Return a mask whose random half passes, the same one for the same seed."""
    return [place < features // 2 for place in random_order(features, seed)]


def checkerboard_mask(height: int, width: int, *, flip: bool = False) -> list[list[bool]]:
    """Return rows of a mask where positions with odd row + column pass, or with `flip` those with even row + column."""
    return [[(i + j) % 2 == (0 if flip else 1) for j in range(width)] for i in range(height)]


class Halves(nn.Module):
    """Split of the entries (or channels) of an event into those that pass and those that are mapped.

    Args:
        space: Space of events, of shape (D,) or (C, ...).
        mask: Booleans, one for each entry of the first dimension; True passes.
    """

    passed: Tensor
    mapped: Tensor
    back: Tensor

    def __init__(self, space: Space, mask: Sequence[bool]) -> None:
        super().__init__()
        if not space.shape or len(mask) != space.shape[0]:
            raise SpecError(
                f"expected a mask of one boolean for each coordinate (or channel) of {space}, got {len(mask)}"
            )
        self.first = bool(mask[0])
        self.contiguous = _register_halves(self, [bool(keep) for keep in mask])
        self.counts = (len(self.passed), len(self.mapped))
        self.inputs, self.outputs = self.counts

    def split(self, v: Tensor) -> tuple[Tensor, Tensor]:
        """Return the network's input (B, inputs, ...) and the mapped entries (B, outputs, ...) of v (B, D, ...)."""
        if not self.contiguous:
            return v.index_select(1, self.passed), v.index_select(1, self.mapped)
        # The gradient of `split` is one concatenation; that of two slices would be two tensors of zeros and a sum.
        first, second = v.split(self.counts if self.first else self.counts[::-1], 1)
        return (first, second) if self.first else (second, first)

    def join(self, v: Tensor, mapped: Tensor, seen: Tensor | None = None) -> Tensor:
        """Return v with its mapped entries replaced; `seen` is the first part of `split(v)`, if it is at hand."""
        passed = self.split(v)[0] if seen is None else seen
        if not self.contiguous:
            return torch.cat([passed, mapped], 1).index_select(1, self.back)
        return torch.cat([passed, mapped] if self.first else [mapped, passed], 1)

    def replace_(self, v: Tensor, mapped: Tensor) -> None:
        """Replace the mapped entries of v in place."""
        v[:, self.mapped] = mapped

    def parameters_from(self, made: Tensor, n: int) -> Tensor:
        """Return the network's output (B, n outputs, ...) as parameters of the mapped entries, (B, outputs, ..., n)."""
        # The first parameter of all coordinates comes first, then the second: scalar maps work on contiguous memory.
        return made.unflatten(1, (n, -1)).movedim(1, -1)


class Positions(nn.Module):
    """Split of the positions of an image, with all channels, into those that pass and those that are mapped.

    The network's input is the image with zeros at mapped positions, and the mask as one more channel.

    Args:
        space: Space of events, of shape (C, H, W).
        mask: Booleans, H rows of W; True passes.
    """

    passed: Tensor
    mapped: Tensor
    back: Tensor
    seen: Tensor

    def __init__(self, space: Space, mask: Sequence[Sequence[bool]]) -> None:
        super().__init__()
        if len(space.shape) != 3 or {len(row) for row in mask} != {space.shape[2]} or len(mask) != space.shape[1]:
            raise SpecError(
                f"expected a mask of {' x '.join(map(str, space.shape[1:]))} positions for {space}, "
                f"got {len(mask)} rows of {'/'.join(str(n) for n in sorted({len(row) for row in mask}))}"
            )
        _register_halves(self, [bool(keep) for row in mask for keep in row])
        self.register_buffer("seen", torch.tensor(mask, dtype=torch.get_default_dtype())[None], persistent=False)
        self.channels = space.shape[0]
        self.inputs, self.outputs = self.channels + 1, self.channels

    def split(self, v: Tensor) -> tuple[Tensor, Tensor]:
        """Return the network's input (B, C + 1, H, W) and the mapped entries (B, C, positions) of v (B, C, H, W)."""
        shown = torch.cat([v * self.seen, self.seen.expand(v.shape[0], -1, -1, -1)], 1)
        return shown, v.flatten(2).index_select(2, self.mapped)

    def join(self, v: Tensor, mapped: Tensor, seen: Tensor | None = None) -> Tensor:
        """Return v with its mapped entries replaced; `seen` is not used."""
        passed = v.flatten(2).index_select(2, self.passed)
        return torch.cat([passed, mapped], 2).index_select(2, self.back).view(v.shape)

    def replace_(self, v: Tensor, mapped: Tensor) -> None:
        """Replace the mapped entries of v in place."""
        v.flatten(2)[:, :, self.mapped] = mapped

    def parameters_from(self, made: Tensor, n: int) -> Tensor:
        """Return the network's output (B, n C, H, W) as parameters of the mapped entries, (B, C, positions, n)."""
        return made.flatten(2).index_select(2, self.mapped).unflatten(1, (n, -1)).movedim(1, -1)


def parts_of(space: Space, mask: Mask) -> Halves | Positions:
    """Return the module that splits the events of a space by a mask.

    Raises:
        SpecError: The mask does not fit the space.
    """
    if len(mask) and isinstance(mask[0], Sequence):
        return Positions(space, cast("Sequence[Sequence[bool]]", mask))
    return Halves(space, cast("Sequence[bool]", mask))


def _register_halves(module: nn.Module, mask: list[bool]) -> bool:
    """Register the indices that pass and those that are mapped; return whether both are contiguous ranges."""
    passed = [i for i, keep in enumerate(mask) if keep]
    mapped = [i for i, keep in enumerate(mask) if not keep]
    order = passed + mapped
    for name, values in (("passed", passed), ("mapped", mapped), ("back", torch.tensor(order).argsort().tolist())):
        module.register_buffer(name, torch.tensor(values, dtype=torch.long), persistent=False)
    in_order = list(range(len(mask)))
    return order == in_order or mapped + passed == in_order
