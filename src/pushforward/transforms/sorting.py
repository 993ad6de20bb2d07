"""Surjections of exchangeable vectors and of real numbers: sorting, rounding, and the largest entry.

    sorting    z = (x_(1), g of the gaps between sorted entries),   lost: the order, with probability 1 / D!
    rounding   z = floor(x),                                                  lost: the fraction x - z in [0, 1)
    maximum    z = max_i x_i of a block,                                      lost: the winner and the gaps behind it

(Nielsen et al. 2020, arXiv:2007.02731, sections 3.2 and 4, appendices D and F.)
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..core import Box, Chain, Distribution, Integers, Real, Space, context_space
from ..distributions import Normal, Uniform
from ..distributions.choice import RandomOrder
from ..errors import ShapeError, SpecError
from ..functional.bounds import sum_events
from ..functional.half_normal import GAPS, Gaps
from .branches import WinnerFold
from .coupling import Network
from .shape import Squeeze
from .surjective import Slice, Surjection, beside, require_context


class Sort(Surjection):
    """Sorting of an exchangeable vector: z is the smallest entry and the image of each gap to the next one.

    The model's density is the same for every order of the entries of x.

    Args:
        space: Space of x, vectors of at least two real numbers.
        gaps: Map of the gaps to the line, as in `WinnerFold`.

    Raises:
        SpecError: Events are not vectors of at least two real numbers.
    """

    def __init__(self, space: Space, *, gaps: Gaps = "normal") -> None:
        super().__init__()
        if type(space) is not Real or len(space.shape) != 1 or space.size < 2:
            raise SpecError(f"expected vectors of at least two real numbers to sort, got {space}")
        self.x_space = self.z_space = space
        self.rest, self.gaps = RandomOrder(space.size), gaps

    def split(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return z, the place in sorted order of each entry (B, D), and the log-slopes of the gaps."""
        ordered, order = x.sort(1)
        gaps, slopes = GAPS[self.gaps][0](ordered.diff(dim=1))
        return torch.cat([ordered[:, :1], gaps], 1), order.argsort(1), sum_events(slopes)

    def merge(self, z: Tensor, lost: Tensor) -> tuple[Tensor, Tensor]:
        """Return the entries at their places, and the log-slopes of the gaps."""
        gaps, slopes = GAPS[self.gaps][1](z[:, 1:])
        return torch.cat([z[:, :1], gaps], 1).cumsum(1).gather(1, lost), -sum_events(slopes)

    def given(self, z: Tensor, context: Tensor | None) -> None:
        """Return None: every order has the same probability."""
        return


class Rounding(Surjection):
    """Rounding down z = floor(x) of real numbers, whose fractions x - z in [0, 1) have their own distribution.

    `Inverse(Rounding(...))` is dequantisation of all integers.

    Args:
        space: Space of x, of real numbers.
        rest: Distribution of the fractions on the unit box; its context is z followed by the layer's own context, or none. It
            is uniform by default.
        context: Length of the layer's own context, 0 for none; or its space.

    Raises:
        SpecError: Events are not real arrays.
        ShapeError: The distribution `rest` has another space or takes another context.
    """

    def __init__(self, space: Space, rest: Distribution | None = None, *, context: int | Space = 0) -> None:
        super().__init__()
        if type(space) is not Real or not space.shape:
            raise SpecError(f"expected real arrays to round, got {space}")
        box = Box(space.shape, 0.0, 1.0)
        self.rest = Uniform(box) if rest is None else rest
        if self.rest.space != box:
            raise ShapeError(f"expected `rest` on {box}, got {self.rest.space}")
        self.x_space, self.z_space, self.context = space, Integers(space.shape), context_space(context)
        require_context(self.rest, self.z_space, self.context)

    def split(self, x: Tensor) -> tuple[Tensor, Tensor, float]:
        """Return floor(x), x - floor(x) and 0."""
        z = x.floor()
        return z, x - z, 0.0

    def merge(self, z: Tensor, lost: Tensor) -> tuple[Tensor, float]:
        """Return z plus the fraction, and 0."""
        return z + lost, 0.0

    def given(self, z: Tensor, context: Tensor | None) -> Tensor | None:
        """Return z followed by the layer's own context."""
        return beside(z, context if self.context is not None else None, self.rest)


def maximum(
    space: Space,
    units: int | None = None,
    rest: Distribution | None = None,
    network: Network | nn.Module | None = None,
    *,
    context: int | Space = 0,
) -> Chain:
    """Return the surjection to the largest entry of each block, z = max_i x_i: a fold, and a slice that drops the gaps.

    Args:
        space: Space of x, real of shape (D, ...).
        units: Number of entries of a block, a divisor of D; None for one block of all entries.
        rest: Distribution of the normal image of the gaps behind the largest entry; its context is z followed by the own
            context, or none. It is standard normal by default.
        network: Network that gives the logits of the winner, as in `WinnerFold`; None for equal probabilities.
        context: Length of the context, 0 for none; or its space.

    Raises:
        SpecError: The blocks do not divide the entries, or a block has fewer than two.
    """
    size = space.shape[0] if space.shape else 0
    units = size if units is None else units
    if units < 2 or size % units:
        raise SpecError(f"expected blocks of at least 2 entries that divide {size}, got {units}")
    fold = WinnerFold(space, units, network, context=context)
    left = Real((size - fold.blocks, *space.shape[1:]))
    if rest is None:
        return Chain(fold, Slice(space, fold.blocks, Normal(left)))
    return Chain(fold, Slice(space, fold.blocks, rest, context=context))


def max_pool(
    space: Space,
    factor: int = 2,
    rest: Distribution | None = None,
    network: Network | nn.Module | None = None,
    *,
    context: int | Space = 0,
) -> Chain:
    """Return max-pooling of pictures: the largest value of each block of factor x factor positions of each channel.

    Args:
        space: Space of pictures (C, H, W) of real numbers; H and W are multiples of the factor.
        factor: Height and width of a block.
        rest: Distribution of the gaps, (C (factor^2 - 1), H / factor, W / factor), as in `maximum`.
        network: Network that gives the logits of the winning positions; None for equal probabilities.
        context: Length of the context, 0 for none; or its space.

    Raises:
        SpecError: Events are not pictures, or their size is no multiple of the factor.
    """
    if type(space) is not Real:
        raise SpecError(f"expected pictures of real numbers to pool, got {space}")
    squeezed = Squeeze(space, factor)
    return Chain(squeezed, *maximum(squeezed.z_space, factor**2, rest, network, context=context).layers)
