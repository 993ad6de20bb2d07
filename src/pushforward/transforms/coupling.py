"""Coupling layers: some coordinates pass unchanged and give the parameters of the map of the others.

    z_a = x_a,    z_b = f(x_b; net(x_a, context)),    dlogp = sum_b log f'(x_b)

The Jacobian is block-triangular, so dlogp needs only the map's own slopes, and both directions cost one pass
(Dinh et al. 2015, arXiv:1410.8516, section 3.2).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from ..core import Real, Space, Transform, Undo
from ..errors import SpecError
from ..functional.bounds import sum_events
from ..networks import MLP, Constant
from .scalar import Scalar

Network = Callable[..., nn.Module]
"""Called with (inputs, outputs, context=length); its module maps (B, inputs), context to (B, outputs)."""


class Coupling(Transform):
    """z_b = scalar(x_b; net(x_a)), a where the mask is True.

    The network gives the first parameter of every mapped coordinate, then the second of every one, and so on.

    Args:
        scalar: the map.
        space: of x and z, of shape (D,), or (C, ...) for images: whole channels pass or are mapped.
        mask: D (or C) booleans; True passes unchanged. Not all True; all False only for vectors, when D is 1 or there is a
            context.
        network: makes the conditioner from (inputs, outputs, context=); an `MLP` by default. For images it maps channels
            to channels.
        context: length of the context, 0 for none.

    Raises:
        SpecError: the mask does not fit, or the map does not fit the space.
    """

    passed: Tensor
    mapped: Tensor
    back: Tensor

    def __init__(
        self, scalar: Scalar, space: Space, mask: Sequence[bool], network: Network = MLP, *, context: int = 0
    ) -> None:
        super().__init__()
        scalar.check(space)
        if not space.shape or len(mask) != space.shape[0]:
            raise SpecError(
                f"expected a mask of one boolean for each coordinate (or channel) of {space}, got {len(mask)}"
            )
        passed = [i for i, keep in enumerate(mask) if keep]
        mapped = [i for i, keep in enumerate(mask) if not keep]
        alone = len(space.shape) == 1 and (space.size == 1 or context)
        if not mapped or (not passed and not alone):
            raise SpecError(f"expected a mask with both True and False, got {sum(map(bool, mask))} of {len(mask)} True")
        self.scalar, self.x_space, self.z_space = scalar, space, space
        self.undo = Undo.INVERSE if scalar.numeric_inverse else Undo.BOTH
        self.context = Real((context,)) if context else None
        order = passed + mapped
        in_order = list(range(len(mask)))
        self.mask = [bool(keep) for keep in mask]
        self.halves = order == in_order or mapped + passed == in_order
        self.register_buffer("passed", torch.tensor(passed, dtype=torch.long), persistent=False)
        self.register_buffer("mapped", torch.tensor(mapped, dtype=torch.long), persistent=False)
        self.register_buffer("back", torch.tensor(order).argsort(), persistent=False)
        outputs = len(mapped) * scalar.n
        self.net = network(len(passed), outputs, context=context) if passed or context else Constant(outputs)

    def _split(self, v: Tensor) -> tuple[Tensor, Tensor]:
        if not self.halves:
            return v.index_select(1, self.passed), v.index_select(1, self.mapped)
        first, second = v.tensor_split((len(self.passed) if self.mask[0] else len(self.mapped),), 1)
        return (first, second) if self.mask[0] else (second, first)

    def _join(self, a: Tensor, b: Tensor) -> Tensor:
        if not self.halves:
            return torch.cat([a, b], 1).index_select(1, self.back)
        return torch.cat([a, b] if self.mask[0] else [b, a], 1)

    def _parameters_of(self, a: Tensor, context: Tensor | None) -> Tensor:
        # One parameter of all coordinates after the other: scalar maps then work on contiguous memory.
        return self.net(a, context).unflatten(1, (self.scalar.n, -1)).movedim(1, -1)

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """(B, *shape) -> (B, *shape), (B,)."""
        a, b = self._split(x)
        b, slopes = self.scalar.forward(b, self._parameters_of(a, context))
        return self._join(a, b), sum_events(slopes)

    def inverse(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The map's inverse on the same coordinates, from the same parameters."""
        a, b = self._split(z)
        b, slopes = self.scalar.inverse(b, self._parameters_of(a, context))
        return self._join(a, b), sum_events(slopes)

    def rewind(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """As for every layer, with one pass of the network where inverse and forward would take two."""
        x = z.detach().clone().requires_grad_()
        a, b = self._split(x)
        p = self._parameters_of(a, context)
        with torch.no_grad():
            # Not seen by autograd, which holds the coordinates that pass: those do not change.
            x.data[:, self.mapped] = self.scalar.inverse(b, p)[0]
        b, slopes = self.scalar.forward(self._split(x)[1], p)
        return x, self._join(a, b), sum_events(slopes)


def half_mask(features: int, *, flip: bool = False) -> list[bool]:
    """The first half passes, or with `flip` the second; a single coordinate never passes."""
    half = features // 2
    mask = [i < half for i in range(features)]
    return [not keep for keep in mask] if flip and features > 1 else mask


def alternating_mask(features: int, *, flip: bool = False) -> list[bool]:
    """Odd coordinates pass, or with `flip` the even ones; a single coordinate never passes."""
    return [(i % 2 == 1) != (flip and features > 1) for i in range(features)]


def random_mask(features: int, seed: int) -> list[bool]:
    """A random half passes, the same one for the same seed."""
    order = torch.randperm(features, generator=torch.Generator().manual_seed(seed))
    return (order < features // 2).tolist()
