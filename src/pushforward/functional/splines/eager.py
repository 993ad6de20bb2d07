"""Spline and its gradient in few operations on contiguous memory, for eager code.

Tensors have the bins first here, (K, N), so every operation runs over N contiguous elements. Softmax, cumulative sum and bin
search share one evaluation of the exponentials. With e_j = exp(p_j - max p), the sum E_k of the e_j before bin k and the
total E, bin k starts at low + span (m k + (1 - m K) E_k / E) and has the size span (m + (1 - m K) e_k / E); m is the
smallest size.

Let g_start and g_size be the gradients of the loss with respect to start and size of the bin k of v. Then e_j / E has
the gradient (1 - m K) span c_j with c_j = g_start for j < k, g_size for j = k and 0 for j > k, and the derivative of the
softmax gives

    dL/dp_j = (1 - m K) span e_j / E (c_j - sum_i c_i e_i / E).
"""

from __future__ import annotations

import functools

import torch
from torch import Tensor

from ..hand_gradients import Pair
from .plain import SplineRule
from .terms import Terms, gradient_in_bin, image_in_bin, slopes_of, slopes_rate, terms_in_bin


class EagerSpline(SplineRule):
    """Spline in few operations on contiguous memory."""

    def evaluate(self, v: Tensor, p: Tensor) -> tuple[Pair, tuple[Tensor, ...]]:
        """Return the image and log-slope, and for the gradient the softmax, the bin and the terms of the formula."""
        shape, bins, n = self.shape, self.shape.bins, v.numel()
        given = v.reshape(-1)
        x = given.clamp(shape.low, shape.high)
        logits, raw = self._rows(p, n)
        parts = (logits - logits.amax(1, keepdim=True)).exp_()
        sums = _running_sums(parts)
        unit = shape.share / sums[:, bins]
        side = 1 if shape.inverse else 0
        inner = _inner_knots(bins, shape.low, shape.least, v.dtype, v.device)
        # The number of inner knots at or below x is the index of its bin.
        k = (x >= torch.addcmul(inner, sums[side, 1:bins], unit[side])).sum(0, keepdim=True)
        number = k.to(v.dtype)
        both, two = k.expand(2, 1, n), torch.cat([k, k + 1])
        before = sums.gather(1, both)[:, 0].mul_(unit)
        own = parts.gather(1, both)[:, 0].mul_(unit)
        x0, y0 = torch.add(before, number, alpha=shape.least).add_(shape.low).unbind()
        ends = slopes_of(raw.gather(0, two))
        terms = terms_in_bin(
            x.sub_(y0 if shape.inverse else x0), *(own + shape.least).unbind(), *ends.unbind(), inverse=shape.inverse
        )
        image, log_slope = image_in_bin(terms, x0, y0, inverse=shape.inverse)
        inside = given
        if shape.tails:
            inside = (given.abs() < shape.high).to(v.dtype)
            image.mul_(inside).addcmul_(given, 1 - inside)
            log_slope.mul_(inside)
        pair = image.view(v.shape), log_slope.view(v.shape)
        return pair, (inside, parts, unit, before, own, ends, k, *terms)

    def gradient(self, inputs: Pair, saved: tuple[Tensor, ...], image: Tensor, slope: Tensor) -> Pair:
        """Return the gradients with respect to v and p."""
        v, p = inputs
        inside, parts, unit, before, own, ends, k, *terms = saved
        g = given = image.reshape(-1)
        g_log = slope.reshape(-1)
        if self.shape.tails:
            g, g_log = g * inside, g_log * inside
        d0, d1 = ends.unbind()
        local = gradient_in_bin(Terms(*terms), d0, d1, g, g_log, inverse=self.shape.inverse)
        g_v = local.v
        if self.shape.tails:
            g_v = (g_v * inside).addcmul_(given, 1 - inside)
        g_start, g_size = torch.stack([local.x0, local.y0]), torch.stack([local.w, local.h])
        # mean is sum_i c_i e_i / E times unit = (1 - m K) span / E: before and own already hold a factor unit.
        mean = (g_start * before).addcmul_(g_size, own).mul_(unit).div_(self.shape.share)
        g_parts = _after(self.shape.bins, k.to(parts.dtype)) * g_start.mul_(unit)[:, None]
        g_parts.sub_(mean[:, None]).scatter_add_(1, k.expand(2, 1, k.shape[1]), g_size.mul_(unit)[:, None]).mul_(parts)
        g_ends = torch.stack([local.d0, local.d1]).mul_(slopes_rate(ends))
        return g_v.view(v.shape), self._to_parameters(p, g_parts, torch.cat([k, k + 1]), g_ends)

    def _rows(self, p: Tensor, n: int) -> Pair:
        """Return free parameters with the bins first: of widths and heights (2, K, N), and of all slopes (K + 1, N)."""
        bins = self.shape.bins
        rows = p.movedim(-1, 0).reshape(p.shape[-1], n)
        logits = rows[: 2 * bins].contiguous().view(2, bins, n)
        if not self.shape.tails:
            return logits, rows[2 * bins :]
        # The outer slopes are one, which is a free parameter of zero.
        raw = rows.new_zeros(bins + 1, n)
        raw[1:-1] = rows[2 * bins :]
        return logits, raw

    def _to_parameters(self, p: Tensor, g_parts: Tensor, two: Tensor, g_ends: Tensor) -> Tensor:
        """Return the gradient with respect to p, in its layout, from those of the logits and of the slopes at both ends."""
        bins = self.shape.bins
        g_raw = g_ends.new_zeros(bins + 1, g_ends.shape[1]).scatter_(0, two, g_ends)
        g_p = torch.empty_like(p)
        rows = g_p.movedim(-1, 0)
        events = rows.shape[1:]
        rows[: 2 * bins] = g_parts.view(2 * bins, *events)
        rows[2 * bins :] = (g_raw[1:-1] if self.shape.tails else g_raw).view(len(rows) - 2 * bins, *events)
        return g_p


def _after(bins: int, number: Tensor) -> Tensor:
    """Return one for each bin before bin `number` and zero for the others: (1, N) -> (K, N)."""
    return (number - _numbers(bins, number.dtype, number.device)).clamp_(0, 1)


def _running_sums(parts: Tensor) -> Tensor:
    """Return the sums of the parts before each bin, and the total: (2, K, N) -> (2, K + 1, N)."""
    bins = parts.shape[1]
    # torch.cumsum works column by column. A product with a triangular matrix is several times faster; it is used where
    # it is not computed in reduced precision.
    if bins <= 32 and parts.device.type == "cpu" and torch.get_float32_matmul_precision() == "highest":
        return torch.bmm(_earlier(bins, parts.dtype), parts)
    sums = parts.new_zeros(2, bins + 1, parts.shape[2])
    torch.cumsum(parts, 1, out=sums[:, 1:])
    return sums


@functools.lru_cache(maxsize=64)
def _inner_knots(bins: int, low: float, least: float, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Return low + m span k for the knots k = 1 ... K - 1, the part that does not depend on the softmax: (K - 1, 1)."""
    return torch.arange(1, bins, dtype=dtype, device=device).mul_(least).add_(low)[:, None]


@functools.lru_cache(maxsize=64)
def _numbers(bins: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    return torch.arange(bins, dtype=dtype, device=device)[:, None]


@functools.lru_cache(maxsize=64)
def _earlier(bins: int, dtype: torch.dtype) -> Tensor:
    return torch.ones(bins + 1, bins, dtype=dtype).tril(-1).expand(2, -1, -1)
