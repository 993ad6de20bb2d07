"""The spline and its gradient as one kernel each, for eager code on a GPU where Triton works; elsewhere as `eager` has it.

A kernel reads v and the parameters once, where they lie, and writes the results. Nothing is kept for the gradient but the
two: it computes the bin again.
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
"""More do not fit into the registers of a thread."""

MAX_ELEMENTS = 2**30
"""More could not be numbered with 32 bits."""

_BLOCK = 128
"""Elements of a program: one for each of its threads."""

_WARPS = _BLOCK // 32


class GpuSpline(EagerSpline):
    """The spline in two kernels; as `EagerSpline` has it where they cannot be used."""

    def evaluate(self, v: Tensor, p: Tensor) -> tuple[Pair, tuple[Tensor, ...]]:
        """The image and the log-slope; the gradient needs nothing else."""
        kernels = self._kernels(v, p)
        return super().evaluate(v, p) if kernels is None else (_forward(kernels, self.shape, v, p), ())

    def gradient(self, inputs: Pair, saved: tuple[Tensor, ...], image: Tensor, slope: Tensor) -> Pair:
        """The cotangents of v and p."""
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
            # Someone watches the operations, and would not see a kernel.
            return None
        return _working(v.device)


@functools.cache
def _working(device: torch.device) -> ModuleType | None:
    """The kernels, if there is a Triton and it can run one on this device, which only trying tells."""
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
    """As (B, D) and (B, D, n), in place where the layout has room for it."""
    features = v.shape[-1] if v.dim() else 1
    return v.reshape(-1, features), p.reshape(-1, features, p.shape[-1])


def _grid(v: Tensor) -> tuple[int]:
    return (-(-v.numel() // _BLOCK),)


@functools.lru_cache(maxsize=64)
def _constants(shape: Shape) -> dict[str, float | bool]:
    """What a kernel is compiled for."""
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
