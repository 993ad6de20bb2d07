"""Masks of coupling layers: which numbers of an event pass, how they are taken apart from the others and put back.

A mask over the first dimension halves the entries of a vector or the channels of an image; a mask over positions, such as a
checkerboard, halves the positions of an image with all their channels (Dinh et al. 2017, arXiv:1605.08803, section 3.4).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from ..core import Space
from ..errors import SpecError

Mask = Sequence[bool] | Sequence[Sequence[bool]]
"""True passes: one boolean for each entry or channel, or rows of them for the positions of an image."""


def half_mask(features: int, *, flip: bool = False) -> list[bool]:
    """The first half passes, or with `flip` the second; a single coordinate never passes."""
    half = features // 2
    mask = [i < half for i in range(features)]
    return [not keep for keep in mask] if flip and features > 1 else mask


def alternating_mask(features: int, *, flip: bool = False) -> list[bool]:
    """Odd coordinates pass, or with `flip` the even ones; a single coordinate never passes."""
    return [(i % 2 == 1) != (flip and features > 1) for i in range(features)]


def random_order(features: int, seed: int) -> list[int]:
    """A random permutation of 0 ... features - 1, the same one for the same seed."""
    return torch.randperm(features, generator=torch.Generator().manual_seed(seed)).tolist()


def random_mask(features: int, seed: int) -> list[bool]:
    """A random half passes, the same one for the same seed."""
    return [place < features // 2 for place in random_order(features, seed)]


def checkerboard_mask(height: int, width: int, *, flip: bool = False) -> list[list[bool]]:
    """Positions whose row and column add up to an odd number pass, or with `flip` the others."""
    return [[(i + j) % 2 == (0 if flip else 1) for j in range(width)] for i in range(height)]


class Halves(nn.Module):
    """The entries (or channels) that pass and those that are mapped.

    Args:
        space: Space of an event, (D,) or (C, ...).
        mask: one boolean for each entry of the first dimension.
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
        """(B, D, ...) -> what the network sees, (B, inputs, ...), and what is mapped, (B, outputs, ...)."""
        if not self.contiguous:
            return v.index_select(1, self.passed), v.index_select(1, self.mapped)
        first, second = v.tensor_split((self.counts[0 if self.first else 1],), 1)
        return (first, second) if self.first else (second, first)

    def join(self, v: Tensor, mapped: Tensor) -> Tensor:
        """The event v with other mapped numbers."""
        passed = self.split(v)[0]
        if not self.contiguous:
            return torch.cat([passed, mapped], 1).index_select(1, self.back)
        return torch.cat([passed, mapped] if self.first else [mapped, passed], 1)

    def replace_(self, v: Tensor, mapped: Tensor) -> None:
        """The same, written into v."""
        v[:, self.mapped] = mapped

    def parameters_from(self, made: Tensor, n: int) -> Tensor:
        """What the network makes, (B, n outputs, ...), as parameters of the mapped numbers, (B, outputs, ..., n)."""
        # One parameter of all coordinates after the other: scalar maps then work on contiguous memory.
        return made.unflatten(1, (n, -1)).movedim(1, -1)


class Positions(nn.Module):
    """The positions of an image that pass and those that are mapped, with all channels.

    The network sees the image with zeros where it is mapped, and the mask as one more channel.

    Args:
        space: Space of an event, (C, H, W).
        mask: H rows of W booleans.
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
        """(B, C, H, W) -> what the network sees, (B, C + 1, H, W), and what is mapped, (B, C, positions)."""
        shown = torch.cat([v * self.seen, self.seen.expand(v.shape[0], -1, -1, -1)], 1)
        return shown, v.flatten(2).index_select(2, self.mapped)

    def join(self, v: Tensor, mapped: Tensor) -> Tensor:
        """The event v with other mapped numbers."""
        passed = v.flatten(2).index_select(2, self.passed)
        return torch.cat([passed, mapped], 2).index_select(2, self.back).view(v.shape)

    def replace_(self, v: Tensor, mapped: Tensor) -> None:
        """The same, written into v."""
        v.flatten(2)[:, :, self.mapped] = mapped

    def parameters_from(self, made: Tensor, n: int) -> Tensor:
        """What the network makes, (B, n C, H, W), as parameters of the mapped numbers, (B, C, positions, n)."""
        return made.flatten(2).index_select(2, self.mapped).unflatten(1, (n, -1)).movedim(1, -1)


def parts_of(space: Space, mask: Mask) -> Halves | Positions:
    """How a mask takes the events of a space apart.

    Raises:
        SpecError: it does not fit, or it maps nothing, or nothing passes where something must.
    """
    if len(mask) and isinstance(mask[0], Sequence):
        return Positions(space, cast("Sequence[Sequence[bool]]", mask))
    return Halves(space, cast("Sequence[bool]", mask))


def _register_halves(module: nn.Module, mask: list[bool]) -> bool:
    """Store which places pass and which are mapped; whether both are in one piece."""
    passed = [i for i, keep in enumerate(mask) if keep]
    mapped = [i for i, keep in enumerate(mask) if not keep]
    order = passed + mapped
    for name, values in (("passed", passed), ("mapped", mapped), ("back", torch.tensor(order).argsort().tolist())):
        module.register_buffer(name, torch.tensor(values, dtype=torch.long), persistent=False)
    in_order = list(range(len(mask)))
    return order == in_order or mapped + passed == in_order
