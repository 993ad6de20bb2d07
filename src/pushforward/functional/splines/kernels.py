"""Triton kernels of `gpu`: one thread per element, with its bins in registers. The formulas are those of `terms` and `eager`.

This module imports Triton, so only `gpu` imports it, and only when a kernel is used.

Names in capitals are compile-time constants. `at` is an address, and `step` the distance between two parameters of an element.
Tiles (ROWS, BLOCK) have the bins first. Triton needs ROWS to be a power of two, so the last rows may be unused.
"""

# Triton reads the annotations of its functions, so there must be no `from __future__ import annotations` here.

import triton
import triton.language as tl

from .terms import MIN_SLOPE, SHIFT

_FLOOR = tl.constexpr(MIN_SLOPE)
_SHIFT = tl.constexpr(SHIFT)

# Arguments that change between calls: without this, Triton would compile a kernel again for some of their values.
_FORWARD = list(range(11))
_BACKWARD = list(range(20))


@triton.jit
def _element(count: tl.tensor, features: tl.tensor, BLOCK: tl.constexpr) -> tuple[tl.tensor, ...]:
    """Return the indices of this program's elements, and their indices in the batch and among the features."""
    element = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    # Indices beyond the end are replaced by the last one, whose results are computed again and not stored.
    real = tl.minimum(element, count - 1)
    return element, (real // features).to(tl.int64), (real % features).to(tl.int64)


@triton.jit
def _rows(ROWS: tl.constexpr) -> tl.tensor:
    """Return the indices of the rows of a tile."""
    return tl.arange(0, ROWS)[:, None]


@triton.jit
def _clamp(x: tl.tensor, LOW: tl.constexpr, HIGH: tl.constexpr) -> tl.tensor:
    """Return x clamped to [LOW, HIGH]; unlike minimum and maximum, this keeps NaN."""
    return tl.where(x < LOW, LOW, tl.where(x > HIGH, HIGH, x))


@triton.jit
def _softmax(
    at: tl.tensor, step: tl.tensor, BINS: tl.constexpr, ROWS: tl.constexpr, SHARE: tl.constexpr
) -> tuple[tl.tensor, ...]:
    """Return the exponentials of all bins, and the factor from exponentials to sizes."""
    row = _rows(ROWS)
    logits = tl.load(at[None, :] + row.to(tl.int64) * step, mask=row < BINS, other=float("-inf"))
    parts = tl.exp(logits - tl.max(logits, 0)[None, :])
    return parts, SHARE / tl.sum(parts, 0)


@triton.jit
def _bin(
    x: tl.tensor,
    parts: tl.tensor,
    unit: tl.tensor,
    BINS: tl.constexpr,
    ROWS: tl.constexpr,
    LOW: tl.constexpr,
    LEAST: tl.constexpr,
) -> tl.tensor:
    """Return the index of the bin in which x lies."""
    row = _rows(ROWS)
    knots = LOW + LEAST * row.to(x.dtype) + (tl.cumsum(parts, 0) - parts) * unit[None, :]
    beyond = (x[None, :] >= knots) & (row > 0) & (row < BINS)
    return tl.sum(beyond.to(tl.int32), 0)


@triton.jit
def _before(parts: tl.tensor, unit: tl.tensor, k: tl.tensor, ROWS: tl.constexpr) -> tl.tensor:
    """Return the part of the start of bin k that the softmax determines."""
    return tl.sum(tl.where(_rows(ROWS) < k[None, :], parts, 0.0), 0) * unit


@triton.jit
def _own(parts: tl.tensor, unit: tl.tensor, k: tl.tensor, ROWS: tl.constexpr) -> tl.tensor:
    """Return the part of the size of bin k that the softmax determines."""
    return tl.sum(tl.where(_rows(ROWS) == k[None, :], parts, 0.0), 0) * unit


@triton.jit
def _ends(
    at: tl.tensor, step: tl.tensor, k: tl.tensor, BINS: tl.constexpr, TAILS: tl.constexpr
) -> tuple[tl.tensor, ...]:
    """Return the free parameters of the slopes at both ends of bin k."""
    if TAILS:
        # The outer slopes are one, which is a free parameter of zero.
        raw0 = tl.load(at + (k - 1).to(tl.int64) * step, mask=k > 0, other=0.0)
        raw1 = tl.load(at + k.to(tl.int64) * step, mask=k < BINS - 1, other=0.0)
    else:
        raw0 = tl.load(at + k.to(tl.int64) * step)
        raw1 = tl.load(at + (k + 1).to(tl.int64) * step)
    return raw0, raw1


@triton.jit
def _slope(raw: tl.tensor) -> tl.tensor:
    """Return softplus(raw + SHIFT) + MIN_SLOPE, by the series of log(1 + u) = 2 artanh(z), z = u / (2 + u) <= 1/3."""
    TERMS: tl.constexpr = 18 if raw.dtype == tl.float64 else 8
    x = raw + _SHIFT
    u = tl.exp(-tl.abs(x))
    z = u / (2 + u)
    total = z * 0 + 1 / (2 * TERMS - 1)
    for i in tl.static_range(1, TERMS):
        total = total * (z * z) + 1 / (2 * (TERMS - i) - 1)
    # As torch.nn.functional.softplus, which is the identity beyond 20.
    return tl.where(x > 20, x, tl.where(x > 0, x, 0.0) + 2 * z * total) + _FLOOR


@triton.jit
def _slope_rate(raw: tl.tensor) -> tl.tensor:
    """Return the derivative of `_slope`."""
    x = raw + _SHIFT
    u = tl.exp(-tl.abs(x))
    return tl.where(x < 0, u, 1.0) / (1 + u)


@triton.jit
def _root(dy: tl.tensor, h: tl.tensor, s: tl.tensor, d0: tl.tensor, curve: tl.tensor) -> tl.tensor:
    """Return the t at which the spline has the value y_k + dy."""
    bent = dy * curve
    a = (s - d0) * h + bent
    b = h * d0 - bent
    c = dy * s
    under = b * b + 4 * a * c
    return 2 * c / (tl.sqrt(tl.where(under < 0, 0.0, under)) + b)


@triton.jit
def _read(
    v: tl.tensor,
    at: tl.tensor,
    step: tl.tensor,
    BINS: tl.constexpr,
    ROWS: tl.constexpr,
    LOW: tl.constexpr,
    HIGH: tl.constexpr,
    LEAST: tl.constexpr,
    SHARE: tl.constexpr,
    INVERSE: tl.constexpr,
    TAILS: tl.constexpr,
) -> tuple[tl.tensor, ...]:
    """Return the softmax of the widths and heights, v's bin, the free parameters of its slopes, and t."""
    w_parts, w_unit = _softmax(at, step, BINS, ROWS, SHARE)
    h_parts, h_unit = _softmax(at + BINS * step, step, BINS, ROWS, SHARE)
    x = _clamp(v, LOW, HIGH)
    if INVERSE:
        parts, unit = h_parts, h_unit
    else:
        parts, unit = w_parts, w_unit
    k = _bin(x, parts, unit, BINS, ROWS, LOW, LEAST)
    along = x - (LOW + LEAST * k.to(x.dtype) + _before(parts, unit, k, ROWS))
    raw0, raw1 = _ends(at + 2 * BINS * step, step, k, BINS, TAILS)
    w, h = _own(w_parts, w_unit, k, ROWS) + LEAST, _own(h_parts, h_unit, k, ROWS) + LEAST
    if INVERSE:
        s, d0 = h / w, _slope(raw0)
        t = _root(along, h, s, d0, d0 + _slope(raw1) - 2 * s)
    else:
        t = along / w
    return w_parts, w_unit, h_parts, h_unit, k, raw0, raw1, _clamp(t, 0.0, 1.0)


@triton.jit(do_not_specialize=_FORWARD)
def forward(
    v_at: tl.tensor,
    p_at: tl.tensor,
    image_at: tl.tensor,
    log_slope_at: tl.tensor,
    count: tl.tensor,
    features: tl.tensor,
    v_b: tl.tensor,
    v_d: tl.tensor,
    p_b: tl.tensor,
    p_d: tl.tensor,
    p_n: tl.tensor,
    BINS: tl.constexpr,
    ROWS: tl.constexpr,
    LOW: tl.constexpr,
    HIGH: tl.constexpr,
    LEAST: tl.constexpr,
    SHARE: tl.constexpr,
    INVERSE: tl.constexpr,
    TAILS: tl.constexpr,
    BLOCK: tl.constexpr,
) -> None:
    """Compute the image and log-slope."""
    element, b, d = _element(count, features, BLOCK)
    v = tl.load(v_at + b * v_b + d * v_d)
    w_parts, w_unit, h_parts, h_unit, k, raw0, raw1, t = _read(
        v, p_at + b * p_b + d * p_d, p_n.to(tl.int64), BINS, ROWS, LOW, HIGH, LEAST, SHARE, INVERSE, TAILS
    )
    w, h = _own(w_parts, w_unit, k, ROWS) + LEAST, _own(h_parts, h_unit, k, ROWS) + LEAST
    d0, d1, s = _slope(raw0), _slope(raw1), h / w
    r = 1 - t
    mixed = t * r
    over = 1 / (s + (d0 + d1 - 2 * s) * mixed)
    steep = s * over
    log_slope = tl.log(steep * steep * (d1 * t * t + 2 * s * mixed + d0 * r * r))
    start = LOW + LEAST * k.to(v.dtype)
    if INVERSE:
        image = start + _before(w_parts, w_unit, k, ROWS) + w * t
        log_slope = -log_slope
    else:
        image = start + _before(h_parts, h_unit, k, ROWS) + h * ((s * t * t + d0 * mixed) * over)
    if TAILS:
        inside = tl.abs(v) < HIGH
        image = tl.where(inside, image, v)
        log_slope = tl.where(inside, log_slope, 0.0)
    tl.store(image_at + element, image, mask=element < count)
    tl.store(log_slope_at + element, log_slope, mask=element < count)


@triton.jit
def _store_logits(
    at: tl.tensor,
    step: tl.tensor,
    live: tl.tensor,
    parts: tl.tensor,
    unit: tl.tensor,
    k: tl.tensor,
    g_start: tl.tensor,
    g_size: tl.tensor,
    BINS: tl.constexpr,
    ROWS: tl.constexpr,
    SHARE: tl.constexpr,
) -> None:
    """Store the gradients with respect to a softmax's logits, from those with respect to start and size of bin k."""
    row = _rows(ROWS)
    mean = (g_start * _before(parts, unit, k, ROWS) + g_size * _own(parts, unit, k, ROWS)) / SHARE
    piece = tl.where(row < k[None, :], g_start[None, :], tl.where(row == k[None, :], g_size[None, :], 0.0))
    wanted = (row < BINS) & live[None, :]
    g = parts * unit[None, :] * (piece - mean[None, :])
    tl.store(at[None, :] + row.to(tl.int64) * step, g, mask=wanted)


@triton.jit
def _store_slopes(
    at: tl.tensor,
    step: tl.tensor,
    live: tl.tensor,
    k: tl.tensor,
    g0: tl.tensor,
    g1: tl.tensor,
    BINS: tl.constexpr,
    ROWS: tl.constexpr,
    TAILS: tl.constexpr,
) -> None:
    """Store the gradients with respect to the free slopes: two at the ends of bin k, and zeros."""
    row = _rows(ROWS)
    # With tails the outer knots have no parameter, so row j holds knot j + 1.
    knot = row + 1 if TAILS else row
    g = tl.where(knot == k[None, :], g0[None, :], tl.where(knot == k[None, :] + 1, g1[None, :], 0.0))
    wanted = (row < (BINS - 1 if TAILS else BINS)) & live[None, :]
    tl.store(at[None, :] + row.to(tl.int64) * step, g, mask=wanted)
    if not TAILS:
        # There is one more knot than bins, which may not fit into the tile.
        tl.store(at + BINS * step, tl.where(k == BINS - 1, g1, 0.0), mask=live)


@triton.jit(do_not_specialize=_BACKWARD)
def backward(
    v_at: tl.tensor,
    p_at: tl.tensor,
    g_at: tl.tensor,
    l_at: tl.tensor,
    g_v_at: tl.tensor,
    g_p_at: tl.tensor,
    count: tl.tensor,
    features: tl.tensor,
    v_b: tl.tensor,
    v_d: tl.tensor,
    p_b: tl.tensor,
    p_d: tl.tensor,
    p_n: tl.tensor,
    g_b: tl.tensor,
    g_d: tl.tensor,
    l_b: tl.tensor,
    l_d: tl.tensor,
    out_b: tl.tensor,
    out_d: tl.tensor,
    out_n: tl.tensor,
    BINS: tl.constexpr,
    ROWS: tl.constexpr,
    LOW: tl.constexpr,
    HIGH: tl.constexpr,
    LEAST: tl.constexpr,
    SHARE: tl.constexpr,
    INVERSE: tl.constexpr,
    TAILS: tl.constexpr,
    BLOCK: tl.constexpr,
) -> None:
    """Compute the gradients with respect to v and p, from g of the image and l of the log-slope."""
    element, b, d = _element(count, features, BLOCK)
    live = element < count
    v = tl.load(v_at + b * v_b + d * v_d)
    w_parts, w_unit, h_parts, h_unit, k, raw0, raw1, t = _read(
        v, p_at + b * p_b + d * p_d, p_n.to(tl.int64), BINS, ROWS, LOW, HIGH, LEAST, SHARE, INVERSE, TAILS
    )
    given = tl.load(g_at + b * g_b + d * g_d)
    g, g_log = given, tl.load(l_at + b * l_b + d * l_d)
    if TAILS:
        inside = tl.abs(v) < HIGH
        g, g_log = tl.where(inside, g, 0.0), tl.where(inside, g_log, 0.0)
    w, h = _own(w_parts, w_unit, k, ROWS) + LEAST, _own(h_parts, h_unit, k, ROWS) + LEAST
    d0, d1, s = _slope(raw0), _slope(raw1), h / w
    # The formulas are derived in `terms.gradient_in_bin`.
    curve = d0 + d1 - 2 * s
    r = 1 - t
    mixed, t2, r2 = t * r, t * t, r * r
    over = 1 / (s + curve * mixed)
    ratio = (s * t2 + d0 * mixed) * over
    blend = d1 * t2 + 2 * s * mixed + d0 * r2
    rise = (s * over) * (s * over) * blend
    bend = (d1 * t + s * (r - t) - d0 * r) / blend - (r - t) * curve * over
    if INVERSE:
        g = (2 * g_log * bend / w - g) / rise
        g_log = -g_log
    g_x = g * rise + 2 * g_log * bend / w
    g_ratio = g * h
    flat = (t2 + r2) * over
    g_s = ((t2 * over - ratio * flat) * g_ratio + 2 * g_log * (1 / s + mixed / blend - flat)) / w
    bent = mixed * over
    g_curve = (g_ratio * ratio + 2 * g_log) * bent
    g_blend = g_log / blend
    g_d0 = g_blend * r2 + g_ratio * bent - g_curve
    g_d1 = g_blend * t2 - g_curve
    g_v = -g if INVERSE else g_x
    if TAILS:
        g_v = tl.where(inside, g_v, given)
    tl.store(g_v_at + element, g_v, mask=live)
    step = out_n.to(tl.int64)
    at = g_p_at + b * out_b + d * out_d
    _store_logits(at, step, live, w_parts, w_unit, k, -g_x, -(g_x * t + g_s * s), BINS, ROWS, SHARE)
    _store_logits(at + BINS * step, step, live, h_parts, h_unit, k, g, g * ratio + g_s, BINS, ROWS, SHARE)
    _store_slopes(
        at + 2 * BINS * step, step, live, k, g_d0 * _slope_rate(raw0), g_d1 * _slope_rate(raw1), BINS, ROWS, TAILS
    )
