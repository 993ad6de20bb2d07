"""Spline and its gradient with the bins written out, for compilers.

Every operation is pointwise, so the compiler makes one kernel of each, which reads the parameters once and keeps nothing else.

A loop over the bins moves to the next bin wherever v lies beyond its knot. The gradient repeats the loop, and then
computes bin by bin what `eager` computes by sums and scatters.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor

from ..hand_gradients import Pair
from .plain import SplineRule
from .terms import Terms, gradient_in_bin, image_in_bin, slopes_of, slopes_rate, terms_in_bin

MAX_BINS = 16
"""Largest number of bins that are written out; the compiled code grows with it."""


class _Found(NamedTuple):
    """Bin in which v lies.

    Args:
        reached: Booleans, K + 1 tensors: whether v lies beyond the start of each bin; the last is False.
        shares: Parts of widths and of heights that the softmax determines, K tensors each.
        x0: Start of the bin in x.
        y0: Start of the bin in y.
        ends: Slopes d0 and d1 at the ends of the bin.
        terms: Terms of the formula inside the bin.
    """

    reached: list[Tensor]
    shares: tuple[list[Tensor], list[Tensor]]
    x0: Tensor
    y0: Tensor
    ends: Pair
    terms: Terms


class UnrolledSpline(SplineRule):
    """Spline with its bins written out."""

    def evaluate(self, v: Tensor, p: Tensor) -> tuple[Pair, tuple[Tensor, ...]]:
        """Return the image and log-slope; nothing is saved for the gradient."""
        found, inside = self._walk(v, p), v.abs() < self.shape.high
        image, log_slope = image_in_bin(found.terms, found.x0, found.y0, inverse=self.shape.inverse)
        if self.shape.tails:
            image, log_slope = torch.where(inside, image, v), torch.where(inside, log_slope, 0.0)
        return (image, log_slope), ()

    def gradient(self, inputs: Pair, saved: tuple[Tensor, ...], image: Tensor, slope: Tensor) -> Pair:
        """Return the gradients with respect to v and p."""
        v, p = inputs
        found, inside = self._walk(v, p), v.abs() < self.shape.high
        g, g_log = image, slope
        if self.shape.tails:
            g, g_log = torch.where(inside, g, 0.0), torch.where(inside, g_log, 0.0)
        local = gradient_in_bin(found.terms, *found.ends, g, g_log, inverse=self.shape.inverse)
        widths = self._softmax(found.reached, found.shares[0], local.x0, local.w)
        heights = self._softmax(found.reached, found.shares[1], local.y0, local.h)
        g0, g1 = (g * slopes_rate(d) for g, d in zip((local.d0, local.d1), found.ends, strict=True))
        nothing = torch.zeros_like(v)
        left, right = _spread(found.reached, nothing, g0), _spread(found.reached, nothing, g1)
        inner = [a + b for a, b in zip(left[1:], right[:-1], strict=True)]
        slopes = inner if self.shape.tails else [left[0], *inner, right[-1]]
        g_v = torch.where(inside, local.v, image) if self.shape.tails else local.v
        parameters = [*widths, *heights, *slopes]
        if not v.dim():
            return g_v, torch.stack(parameters)
        # In memory the first parameter of all elements comes first, then the second, as networks output them.
        return g_v, torch.stack(parameters, -2).mT

    def _walk(self, v: Tensor, p: Tensor) -> _Found:
        shape, bins = self.shape, self.shape.bins
        rows = p.unbind(-1)
        shares = self._shares(rows[:bins]), self._shares(rows[bins : 2 * bins])
        raw = list(rows[2 * bins :])
        if shape.tails:
            # The outer slopes are one, which is a free parameter of zero.
            raw = [torch.zeros_like(v), *raw, torch.zeros_like(v)]
        x = v.clamp(shape.low, shape.high)
        x_knot = y_knot = x0 = y0 = torch.full_like(v, shape.low)
        w, h, raw0, raw1 = shares[0][0], shares[1][0], raw[0], raw[1]
        reached = [torch.ones_like(v, dtype=torch.bool)]
        for j in range(1, bins):
            x_knot, y_knot = x_knot + shares[0][j - 1] + shape.least, y_knot + shares[1][j - 1] + shape.least
            here = x >= (y_knot if shape.inverse else x_knot)
            reached.append(here)
            x0, y0 = torch.where(here, x_knot, x0), torch.where(here, y_knot, y0)
            w, h = torch.where(here, shares[0][j], w), torch.where(here, shares[1][j], h)
            raw0, raw1 = torch.where(here, raw[j], raw0), torch.where(here, raw[j + 1], raw1)
        reached.append(torch.zeros_like(v, dtype=torch.bool))
        ends = slopes_of(raw0), slopes_of(raw1)
        along = x - (y0 if shape.inverse else x0)
        terms = terms_in_bin(along, w + shape.least, h + shape.least, *ends, inverse=shape.inverse)
        return _Found(reached, shares, x0, y0, ends, terms)

    def _shares(self, logits: Sequence[Tensor]) -> list[Tensor]:
        top = logits[0]
        for logit in logits[1:]:
            top = torch.maximum(top, logit)
        parts = [(logit - top).exp() for logit in logits]
        total = parts[0]
        for part in parts[1:]:
            total = total + part
        unit = self.shape.share / total
        return [part * unit for part in parts]

    def _softmax(self, reached: list[Tensor], shares: list[Tensor], g_start: Tensor, g_size: Tensor) -> list[Tensor]:
        """Return the gradients with respect to a softmax's logits, from those with respect to start and size of v's bin."""
        pieces = _spread(reached, g_start, g_size)
        mean = shares[0] * pieces[0]
        for share, piece in zip(shares[1:], pieces[1:], strict=True):
            mean = mean + share * piece
        mean = mean / self.shape.share
        return [share * (piece - mean) for share, piece in zip(shares, pieces, strict=True)]


def _spread(reached: list[Tensor], before: Tensor, own: Tensor) -> list[Tensor]:
    """Return `before` for each bin that v lies beyond, `own` for the bin of v, and 0 for the bins after it."""
    return [torch.where(beyond, before, torch.where(here, own, 0.0)) for here, beyond in pairwise(reached)]
