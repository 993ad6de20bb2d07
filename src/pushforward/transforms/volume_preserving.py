"""Volume-preserving affine coupling (GIN), and the block of coupling, scale and mixing that is used with it.

    z_a = x_a,    z_b = x_b exp(s_b - mean(s)) + t_b,    dlogp = 0

The coupling may stretch some coordinates at the cost of others, which an additive coupling cannot do (Sorrenson, Rother, Koethe
2020, arXiv:2001.04872; there the last log-scale is minus the sum of the others, here all share the correction).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from ..core import Chain, Real, Space, Transform
from ..errors import SpecError
from ..functional.bounds import positive, soft_clip
from ..networks import MLP
from .coupling import Coupling, Network
from .elementwise import Elementwise
from .linear import Orthogonal, Permutation
from .masks import Mask, half_mask
from .scalar import ClampedAffine, LogScaleMap

Mixing = Literal["rotation", "permutation"]


@dataclass(frozen=True)
class _Scaled(LogScaleMap):
    """Affine map z = x exp(s) + t whose log-scale is the parameter itself."""

    n: int = 2

    def log_scale(self, free: Tensor) -> Tensor:
        return free


@dataclass(frozen=True)
class SoftplusAffine(LogScaleMap):
    """Affine map z = a x + t with a = softplus(s + c) + e, where c gives a = 1 for s = 0.

    The scale grows linearly in s, so that one step of training cannot multiply it.

    Args:
        floor: Constant e, the smallest scale.
    """

    floor: float = 1e-3
    n: int = 2

    def log_scale(self, free: Tensor) -> Tensor:
        """Return log a."""
        return positive(free, self.floor).log()


class VolumePreservingCoupling(Coupling):
    """Coupling of GIN: z_b = x_b exp(s_b - mean(s)) + t_b, where the mean is over all mapped entries of an event.

    The log-scales of an event add up to zero, so that |det dz/dx| = 1 (up to rounding). With one mapped coordinate the map is
    x + t.

    Args:
        space: Space of x and z, (D,) for vectors or (C, H, W) for images.
        mask: Booleans, True where a coordinate passes unchanged; see `Coupling`.
        network: The conditioner, or a function that returns it; see `Coupling`.
        bound: Upper bound of |s| before the mean is subtracted.
        context: Length of the context, 0 for none; or its space.

    Raises:
        SpecError: The mask does not fit the space, or the space is not `Real`.

    References:
        Sorrenson, Rother, Koethe 2020, arXiv:2001.04872.
    """

    def __init__(
        self,
        space: Space,
        mask: Mask,
        network: Network | nn.Module = MLP,
        *,
        bound: float = 2.0,
        context: int | Space = 0,
    ) -> None:
        super().__init__(_Scaled(), space, mask, network, context=context)
        self.bound = bound

    def _parameters_of(self, seen: Tensor, context: Tensor | None) -> Tensor:
        s, t = super()._parameters_of(seen, context).unbind(-1)
        s = soft_clip(s, self.bound)
        return torch.stack([s - s.mean(tuple(range(1, s.dim())), keepdim=True), t], -1)


def all_in_one(
    space: Real,
    network: Network = MLP,
    *,
    clamp: float = 2.0,
    mixing: Mixing = "rotation",
    volume_preserving: bool = False,
    context: int | Space = 0,
) -> Chain:
    """Return the block that many invertible networks repeat: affine coupling, global affine map, mixing of coordinates.

    The first half of the coordinates (or channels) determines the map of the second half. The global map is a x + t with a
    learned scale a = softplus(s + c) for each entry. The mixing brings the halves together for the next block.

    Args:
        space: Space of x and z, (D,) for vectors or (C, H, W) for images.
        network: Function (inputs, outputs, context=length) that returns the conditioner of the coupling.
        clamp: Upper bound of the log-scales of the coupling; see `ClampedAffine`.
        mixing: "rotation", a learned rotation that starts at a random one, or "permutation", a fixed random one.
        volume_preserving: Whether the coupling is a `VolumePreservingCoupling`; the global scale is then left out, so that the
            whole block preserves volume (GIN).
        context: Length of the context that the network sees, 0 for none; or its space.

    Raises:
        SpecError: The kind of mixing is unknown, or the space does not hold vectors or images.
    """
    if mixing not in get_args(Mixing):
        raise SpecError(f"expected mixing to be one of {', '.join(get_args(Mixing))}, got {mixing!r}")
    size = space.shape[0] if space.shape else 0
    mask = half_mask(size)
    layers: list[Transform] = (
        [VolumePreservingCoupling(space, mask, network, bound=clamp, context=context)]
        if volume_preserving
        else [
            Coupling(ClampedAffine(clamp), space, mask, network, context=context),
            Elementwise(SoftplusAffine(), space),
        ]
    )
    mixer = (
        Orthogonal(space, rotation=True) if mixing == "rotation" else Permutation(space, torch.randperm(size).tolist())
    )
    return Chain(*layers, mixer)
