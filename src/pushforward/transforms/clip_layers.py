"""Layers of clips (C, T, H, W): one layer for every frame, and the latents of a frame given those of the frames before it.

Channels come first, as for pictures, so that `Slice` splits the channels of all frames.
"""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..core import Real, Space, Transform
from ..errors import ShapeError, SpecError
from ..functional.bounds import soft_clip, sum_events
from ..networks import ClipNet
from ..networks.conv import last


class EachFrame(Transform):
    """Layer that maps every frame of a clip by the same layer of pictures: z_t = f(x_t), dlogp = sum_t log |det df/dx_t|.

    Args:
        layer: Layer of pictures (C, H, W), without a context.
        frames: Number T of frames.

    Raises:
        ShapeError: The layer is not one of pictures.
        SpecError: The layer takes a context, or there is no frame.
    """

    def __init__(self, layer: Transform, frames: int) -> None:
        super().__init__()
        if layer.context is not None:
            raise SpecError(f"expected a layer without a context, got one with {layer.context}")
        if frames < 1:
            raise SpecError(f"expected frames >= 1, got {frames}")
        self.layer, self.frames = layer, frames
        self.x_space, self.z_space = (_clips(space, frames) for space in (layer.x_space, layer.z_space))

    def _pictures(self, v: Tensor) -> Tensor:
        return v.movedim(2, 1).flatten(0, 1)

    def _clip(self, rows: int, v: Tensor, dlogp: Tensor) -> tuple[Tensor, Tensor]:
        return v.unflatten(0, (rows, self.frames)).movedim(1, 2), dlogp.reshape(rows, self.frames).sum(1)

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return the clip of the mapped frames and dlogp: (B, C, T, H, W) -> (B, C', T, H', W'), (B,) in nats."""
        return self._clip(x.shape[0], *self.layer(self._pictures(x)))

    def inverse(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return the clip whose frames are mapped back, and dlogp."""
        return self._clip(z.shape[0], *self.layer.inverse(self._pictures(z)))

    @property
    def has_start(self) -> bool:
        """Whether this layer itself has data-dependent starting values: False, only the one of pictures may have them."""
        return False

    def init_from(self, x: Tensor, context: Tensor | None = None) -> None:
        """Set the starting values of the layer of pictures from all frames of a batch."""
        self.layer.init_from(self._pictures(x))


class Innovations(Transform):
    """Innovations of latent frames: what the frames before a frame do not say about it, in units of its deviation.

        e_t = (z_t - mu_t) / sigma_t,    dlogp = -sum log sigma_t
        mu_t = z_(t-1) + delta,    (delta, log sigma_t) = net(z_(t-1), ..., z_(t-K), given_t)

    Before a standard normal base this is the latent prior of VideoFlow, N(z_t; mu_t, sigma_t) (Kumar et al. 2020,
    arXiv:1903.01434, eq. 4 to 6). The first frame has mu and sigma of its own: learned numbers, plus a 3 x 3 convolution of
    what is given. A channel of ones and zeros marks frames before the first, whose latents count as zero.

    Args:
        space: Space of the latents (C, T, H, W).
        memory: Number K of earlier frames that the network sees; with 0 all frames are modelled as the first one.
        context: Space of what is given for each frame, such as coarser latents, (c, T, H, W); 0 for nothing.
        hidden: Number of hidden channels of the network.
        blocks: Number of residual blocks of the network.
        bound: Upper bound of |log sigma|.

    Raises:
        ShapeError: The space is not one of clips, or the context does not fit it.
        SpecError: A count is out of range.
    """

    def __init__(
        self,
        space: Real,
        memory: int = 1,
        *,
        context: Space | int = 0,
        hidden: int = 64,
        blocks: int = 2,
        bound: float = 6.0,
    ) -> None:
        super().__init__()
        channels, self.frames, height, width = clip_shape(space)
        if memory < 0:
            raise SpecError(f"expected memory >= 0 frames, got {memory}")
        if not isinstance(context, int) and context.shape[1:] != space.shape[1:]:
            raise ShapeError(f"expected a context (c, {self.frames}, {height}, {width}) for {space}, got {context}")
        self.x_space = self.z_space = space
        self.context = None if isinstance(context, int) else context
        self.memory, self.bound = memory, bound
        given = 0 if isinstance(context, int) else context.shape[0]
        self.free = nn.Parameter(torch.zeros(2 * channels, height, width))
        self.start = last(nn.Conv2d(given, 2 * channels, 3, padding=1), zero=True) if given else None
        self.net: nn.Module | None = None
        if memory:
            self.net = ClipNet(channels + 1, 2 * channels, (height, width), hidden=hidden, blocks=blocks, context=given)

    def _first(self, frames: Tensor, given: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return mu and log sigma of frames (B, C, t, H, W) without frames before them; given (B, c, t, H, W) or None."""
        p = self.free[:, None].expand(frames.shape[0], -1, frames.shape[2], -1, -1)
        if self.start is not None and given is not None:
            p = p + self._pictures(self.start, given)
        mean, log_scale = p.chunk(2, 1)
        return mean, soft_clip(log_scale, self.bound)

    def _next(self, past: Tensor, given: Tensor | None, count: int) -> tuple[Tensor, Tensor]:
        """Return mu and log sigma of the frame after each of the last `count` frames of the past (B, C, t, H, W)."""
        known = torch.cat([past, torch.ones_like(past[:, :1])], 1).transpose(1, 2)
        # Window i ends with frame i; zeros stand before the first frame.
        padded = F.pad(known, (0, 0, 0, 0, 0, 0, self.memory - 1, 0))
        first = past.shape[2] - count
        windows = torch.stack([padded[:, first + k : first + k + count] for k in range(self.memory)], 3).flatten(0, 1)
        beside = None if given is None else given.movedim(2, 1).flatten(0, 1)
        p = self.net(windows, beside).unflatten(0, (past.shape[0], count)).movedim(1, 2)  # type: ignore[misc]
        delta, log_scale = p.chunk(2, 1)
        return past[:, :, -count:] + delta, soft_clip(log_scale, self.bound)

    @staticmethod
    def _pictures(net: nn.Module, v: Tensor) -> Tensor:
        """Return a network of pictures applied to each frame."""
        return net(v.movedim(2, 1).flatten(0, 1)).unflatten(0, (v.shape[0], v.shape[2])).movedim(1, 2)

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return the innovations and dlogp: (B, C, T, H, W) -> (B, C, T, H, W), (B,) in nats; all frames at once."""
        alone = self.frames if self.net is None else 1
        mean, log_scale = self._first(x[:, :, :alone], _part(context, slice(alone)))
        if alone < self.frames:
            later = self._next(x[:, :, :-1], _part(context, slice(1, None)), self.frames - 1)
            mean, log_scale = (torch.cat(pair, 2) for pair in zip((mean, log_scale), later, strict=True))
        return (x - mean) * (-log_scale).exp(), -sum_events(log_scale)

    def inverse(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return the latents and dlogp, frame by frame."""
        alone = self.frames if self.net is None else 1
        mean, log_scale = self._first(z[:, :, :alone], _part(context, slice(alone)))
        frames, scales = [mean + log_scale.exp() * z[:, :, :alone]], [log_scale]
        for t in range(alone, self.frames):
            past = torch.cat(frames[-self.memory :], 2)
            mean, log_scale = self._next(past, _part(context, slice(t, t + 1)), 1)
            frames.append(mean + log_scale.exp() * z[:, :, t : t + 1])
            scales.append(log_scale)
        return torch.cat(frames, 2), sum_events(torch.cat(scales, 2))


def clip_shape(space: Space) -> tuple[int, int, int, int]:
    """Return the channels, frames, height and width of a space of clips.

    Raises:
        ShapeError: The space does not have four dimensions.
    """
    if len(space.shape) != 4:
        raise ShapeError(f"expected a space of clips (channels, frames, height, width), got {space}")
    channels, frames, height, width = space.shape
    return channels, frames, height, width


def _clips(space: Space, frames: int) -> Space:
    if len(space.shape) != 3:
        raise ShapeError(f"expected a layer of pictures (channels, height, width), got {space}")
    channels, height, width = space.shape
    return dataclasses.replace(space, shape=(channels, frames, height, width))


def _part(context: Tensor | None, frames: slice) -> Tensor | None:
    return None if context is None else context[:, :, frames]
