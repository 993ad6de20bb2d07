"""Spline and its gradient as one Triton kernel each, for eager code on a GPU; `eager` is used where Triton does not work.

A kernel reads v and the parameters once, in their own layout, and writes the results. For the gradient nothing but v and the
parameters is kept: the kernel finds the bin again.
"""

from __future__ import annotations

import functools
from types import ModuleType

import torch
from torch import Tensor

from ..hand_gradients import Pair
from .eager import EagerSpline
from .terms import Shape

MAX_BINS = 32
"""Largest number of bins whose parameters fit into the registers of a thread."""

MAX_ELEMENTS = 2**30
"""Largest number of elements whose index fits into 32 bits."""

_BLOCK = 128
"""Number of elements of a program, one for each of its threads."""

_WARPS = _BLOCK // 32


class GpuSpline(EagerSpline):
    """Spline in two kernels; `EagerSpline` is used where they cannot run."""

    def evaluate(self, v: Tensor, p: Tensor) -> tuple[Pair, tuple[Tensor, ...]]:
        """Return the image and log-slope; nothing is saved for the gradient."""
        kernels = self._kernels(v, p)
        return super().evaluate(v, p) if kernels is None else (_forward(kernels, self.shape, v, p), ())

    def gradient(self, inputs: Pair, saved: tuple[Tensor, ...], image: Tensor, slope: Tensor) -> Pair:
        """Return the gradients with respect to v and p."""
        if not saved:
            kernels = self._kernels(*inputs)
            if kernels is not None:
                return _backward(kernels, self.shape, *inputs, image, slope)
            saved = super().evaluate(*inputs)[1]
        return super().gradient(inputs, saved, image, slope)

    def _kernels(self, v: Tensor, p: Tensor) -> ModuleType | None:
        if self.shape.bins > MAX_BINS or v.numel() > MAX_ELEMENTS or p.device != v.device:
            return None
        if torch._C._len_torch_dispatch_stack():
            # A dispatch mode (a profiler, a memory limit) is active; it would not see a kernel.
            return None
        return _working(v.device)


@functools.cache
def _working(device: torch.device) -> ModuleType | None:
    """Return the module of kernels, or None if a small test shows that Triton cannot run them on this device."""
    smallest = Shape(2, -1.0, 1.0, inverse=False, tails=True)
    try:
        from . import kernels

        _forward(kernels, smallest, torch.zeros(1, device=device), torch.zeros(1, 5, device=device))
    except Exception:
        return None
    return kernels


def _forward(kernels: ModuleType, shape: Shape, v: Tensor, p: Tensor) -> Pair:
    image, log_slope = (torch.empty_like(v, memory_format=torch.contiguous_format) for _ in range(2))
    if v.numel():
        v, p = _by_feature(v, p)
        sizes = v.numel(), v.shape[1], *v.stride(), *p.stride()
        with torch.cuda.device_of(v):
            kernels.forward[_grid(v)](v, p, image, log_slope, *sizes, **_constants(shape))
    return image, log_slope


def _backward(kernels: ModuleType, shape: Shape, v: Tensor, p: Tensor, g: Tensor, g_log: Tensor) -> Pair:
    g_v, batch = torch.empty_like(v, memory_format=torch.contiguous_format), p.shape
    if not v.numel():
        return g_v, torch.empty_like(p)
    v, p = _by_feature(v, p)
    g, g_log = g.reshape(v.shape), g_log.reshape(v.shape)
    g_p = torch.empty_like(p)
    sizes = v.numel(), v.shape[1], *v.stride(), *p.stride(), *g.stride(), *g_log.stride(), *g_p.stride()
    with torch.cuda.device_of(v):
        kernels.backward[_grid(v)](v, p, g, g_log, g_v, g_p, *sizes, **_constants(shape))
    return g_v, g_p.view(batch)


def _by_feature(v: Tensor, p: Tensor) -> Pair:
    """Return v as (B, D) and p as (B, D, n), without a copy where the layout allows it."""
    features = v.shape[-1] if v.dim() else 1
    return v.reshape(-1, features), p.reshape(-1, features, p.shape[-1])


def _grid(v: Tensor) -> tuple[int]:
    return (-(-v.numel() // _BLOCK),)


@functools.lru_cache(maxsize=64)
def _constants(shape: Shape) -> dict[str, float | bool]:
    """Return the constants for which a kernel is compiled."""
    return {
        "BINS": shape.bins,
        "ROWS": 1 << (shape.bins - 1).bit_length(),
        "LOW": float(shape.low),
        "HIGH": float(shape.high),
        "LEAST": shape.least,
        "SHARE": shape.share,
        "INVERSE": shape.inverse,
        "TAILS": shape.tails,
        "BLOCK": _BLOCK,
        "num_warps": _WARPS,
        "enable_fp_fusion": True,
    }
