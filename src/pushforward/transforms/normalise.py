"""Normalisation layers: z = (x - m) / s for each coordinate, with m and s learned, measured or given.

All contribute -sum log s. ActNorm learns m and s after a start from data (Kingma and Dhariwal 2018, arXiv:1807.03039,
section 3.1). BatchNorm uses running averages, which in training include the current batch, so the gradient flows through the
batch statistics (Dinh et al. 2017, arXiv:1605.08803, section 3.7 and eq. 24-26). Standardise keeps fixed values.
"""

from __future__ import annotations

import abc
from collections.abc import Callable

import torch
from torch import Tensor, nn

from ..core import Real, Transform, Undo

EPSILON = 1e-5
Moments = Callable[[Tensor], "tuple[Tensor, Tensor] | None"]


def batch_moments(x: Tensor) -> tuple[Tensor, Tensor] | None:
    """Return the mean and variance of a batch (B, *shape), both (*shape); None for a single row, which has no variance."""
    if x.shape[0] < 2:
        return None
    return x.mean(0), x.var(0, unbiased=False)


def _shared_shape(space: Real, *, channels: bool) -> tuple[int, ...]:
    """Return the shape of the space, or with `channels` that of one number per channel, which broadcasts to it."""
    return (*space.shape[:1], *(1 for _ in space.shape[1:])) if channels else space.shape


def _of_shape(like: Tensor, mean: Tensor, variance: Tensor) -> tuple[Tensor, Tensor]:
    """Return the moments of every entry unchanged, or pooled over positions where `like` has one number per channel."""
    if like.shape == mean.shape:
        return mean, variance
    # Law of total variance: mean of the variances of the positions, plus variance of their means.
    within, between = variance.flatten(1).mean(1), mean.flatten(1).var(1, unbiased=False)
    return mean.flatten(1).mean(1).view_as(like), (within + between).view_as(like)


class _Started(Transform):
    """Layer that takes starting values from data once; a saved or trained layer keeps its values.

    Args:
        space: Space of x and z.
        started: Whether the values are already set.
    """

    started: Tensor

    def __init__(self, space: Real, *, started: bool = False) -> None:
        super().__init__()
        self.x_space = self.z_space = space
        self.register_buffer("started", torch.tensor(started))

    def init_from(self, x: Tensor, context: Tensor | None = None) -> None:
        """Set the starting values from the mean and variance of the batch, unless they are already set."""
        if not bool(self.started):
            self._start(x.mean(0), x.var(0, unbiased=False))
            self.started.fill_(True)  # noqa: FBT003

    @abc.abstractmethod
    def _start(self, mean: Tensor, variance: Tensor) -> None:
        """Set the starting values from a batch's mean and variance."""


class ActNorm(_Started):
    """ActNorm: z = (x - m) exp(-s), m and s learned; `initialise` sets them to the mean and log-deviation of a batch.

    Args:
        space: Space of x and z.
        channels: Whether all positions of a channel, the first dimension of an event, share m and s.
    """

    undo = Undo.BOTH

    def __init__(self, space: Real, *, channels: bool = False) -> None:
        super().__init__(space)
        shape = _shared_shape(space, channels=channels)
        self.loc = nn.Parameter(torch.zeros(shape))
        self.log_scale = nn.Parameter(torch.zeros(shape))
        self.positions = space.size // max(1, self.loc.numel())

    def _start(self, mean: Tensor, variance: Tensor) -> None:
        mean, variance = _of_shape(self.loc, mean, variance)
        self.loc.data.copy_(mean)
        self.log_scale.data.copy_((variance + EPSILON).log() / 2)

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return (x - m) exp(-s) and -sum s."""
        return (x - self.loc) * (-self.log_scale).exp(), -self._volume(x)

    def inverse(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return z exp(s) + m and sum s."""
        return z * self.log_scale.exp() + self.loc, self._volume(z)

    def _volume(self, v: Tensor) -> Tensor:
        return (self.positions * self.log_scale.sum()).expand(v.shape[0])


class BatchNorm(_Started):
    """Batch normalisation: z = (x - m) / sqrt(v + e) with running averages m and v, without learned parameters.

    In training, forward first moves the averages towards the batch's mean and variance by `momentum`, and then uses them: the
    gradient flows through the batch's share, and the likelihood is that of the map that was applied. In evaluation the averages
    are fixed. The inverse uses the current averages, and therefore inverts the last forward in both modes.

    Args:
        space: Space of x and z.
        momentum: Weight of the batch in the new average, in (0, 1].
        channels: Whether all positions of a channel, the first dimension of an event, share m and v.
    """

    undo = Undo.BOTH
    mean: Tensor
    variance: Tensor
    moments: Moments = staticmethod(batch_moments)
    """Function that computes the moments of a batch in training; parallel training replaces it by one over all processes."""

    def __init__(self, space: Real, momentum: float = 0.1, *, channels: bool = False) -> None:
        super().__init__(space)
        self.momentum = momentum
        shape = _shared_shape(space, channels=channels)
        self.register_buffer("mean", torch.zeros(shape))
        self.register_buffer("variance", torch.ones(shape))
        self.positions = space.size // max(1, self.mean.numel())

    def _start(self, mean: Tensor, variance: Tensor) -> None:
        mean, variance = _of_shape(self.mean, mean, variance)
        self.mean.copy_(mean)
        self.variance.copy_(variance)

    def rows_of(self, x: Tensor) -> Tensor:
        """Return the values as rows of which each entry has its own average; every position of a picture is one more row."""
        return x if self.mean.shape == x.shape[1:] else x.movedim(1, -1).flatten(0, -2)

    def set_moments(self, mean: Tensor, variance: Tensor) -> None:
        """Set the averages to the moments of the rows of `rows_of`."""
        self.mean.copy_(mean.view_as(self.mean))
        self.variance.copy_(variance.view_as(self.variance))

    def _measured(self, x: Tensor) -> tuple[Tensor, Tensor] | None:
        found = self.moments(self.rows_of(x))
        return None if found is None else (found[0].view_as(self.mean), found[1].view_as(self.mean))

    @property
    def repeatable(self) -> bool:  # type: ignore[override]
        """Whether a second run gives the same result: not in training, where each forward moves the averages."""
        return not self.training

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return (x - m) / sqrt(v + e) and -1/2 sum log(v + e)."""
        mean, variance = self.mean, self.variance
        found = self._measured(x) if self.training else None
        if found is not None:
            mean = torch.lerp(mean, found[0], self.momentum)
            variance = torch.lerp(variance, found[1], self.momentum)
            self.mean.copy_(mean.detach())
            self.variance.copy_(variance.detach())
        log_scale = (variance + EPSILON).log() / 2
        return (x - mean) * (-log_scale).exp(), -(self.positions * log_scale.sum()).expand(x.shape[0])

    def inverse(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return z sqrt(v + e) + m and 1/2 sum log(v + e)."""
        log_scale = (self.variance + EPSILON).log() / 2
        return z * log_scale.exp() + self.mean, (self.positions * log_scale.sum()).expand(z.shape[0])


class Standardise(_Started):
    """Standardisation z = (x - m) / s with fixed m and s, given or measured once by `initialise`.

    Args:
        space: Space of x and z.
        loc: Centre m, in the space's shape; zeros by default.
        scale: Scale s > 0, in the space's shape; ones by default.
    """

    undo = Undo.BOTH
    loc: Tensor
    scale: Tensor

    def __init__(self, space: Real, loc: Tensor | None = None, scale: Tensor | None = None) -> None:
        super().__init__(space, started=loc is not None or scale is not None)
        self.register_buffer("loc", torch.zeros(space.shape) if loc is None else loc.clone())
        self.register_buffer("scale", torch.ones(space.shape) if scale is None else scale.clone())

    def _start(self, mean: Tensor, variance: Tensor) -> None:
        self.loc.copy_(mean)
        self.scale.copy_((variance + EPSILON**2).sqrt())

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return (x - m) / s and -sum log s."""
        return (x - self.loc) / self.scale, -self.scale.log().sum().expand(x.shape[0])

    def inverse(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return z s + m and sum log s."""
        return z * self.scale + self.loc, self.scale.log().sum().expand(z.shape[0])
