"""Mixtures of logistic distributions: logit of the cumulative distribution function (CDF), and its inverse.

With F(x) = sum_k pi_k sigmoid((x - mu_k) / s_k) and density f, the map is z = log F(x) - log(1 - F(x)) and
log dz/dx = log f - log F - log(1 - F). Log F and log(1 - F) are both computed as log-sums of log-sigmoids, so neither
tail loses digits (Ho et al. 2019, arXiv:1902.00275, eq. 12-14, without their affine part).

The inverse starts from an interval that contains the root. At x = max_k (mu_k + s_k z) the CDF of every component is at least
sigmoid(z), so F is too. At x = min_k (mu_k + s_k z) it is at most sigmoid(z).

For the gradient let u_k = (x - mu_k) / s_k, and let the shares of component k in F, 1 - F and f be

    a_k = pi_k sigmoid(u_k) / F,    b_k = pi_k sigmoid(-u_k) / (1 - F),    c_k = pi_k sigmoid(u_k) sigmoid(-u_k) / (s_k f)

With the gradients g and l of the loss with respect to z and log dz/dx, the gradients with respect to log pi_k and u_k are

    d/d log pi_k = g (a_k - b_k) + l (c_k - a_k - b_k)
    d/d u_k      = (g - l) a_k sigmoid(-u_k) + (g + l) b_k sigmoid(u_k) + l c_k (sigmoid(-u_k) - sigmoid(u_k))
"""

from __future__ import annotations

import dataclasses
import math

import torch
from torch import Tensor
from torch.nn import functional as F

from .bounds import soft_clip, soft_clip_root
from .hand_gradients import Pair, derived, same_batch
from .roots import monotone_inverse, newton_bisect


def logistic_mixture(v: Tensor, p: Tensor, bound: float, spread: float, *, inverse: bool = False) -> Pair:
    """Return logit F(v) of a mixture of K logistics and its log-slope, or those of the inverse map.

    Args:
        v: Real numbers (...).
        p: Parameters (..., 3 K): weights before a softmax; means, to which K even steps over [-spread, spread] are added;
            log-scales before they are bounded, which start at -log(2) / 2.
        bound: Largest distance of the log-scales from their start.
        spread: Half-width of the interval on which the means start.
        inverse: Whether to apply the inverse map to v.

    Returns:
        The image (...) and log |d image / d v| (...).
    """
    return derived(_Mixture(bound, spread, inverse), *same_batch(v, p))


def _starts(p: Tensor, spread: float) -> Tensor:
    return torch.linspace(-spread, spread, p.shape[-1] // 3, dtype=p.dtype, device=p.device)


def mixture_parts(p: Tensor, bound: float, spread: float) -> tuple[Tensor, Tensor, Tensor]:
    """Return log-weights, means and log-scales, each (..., K), from the parameters (..., 3 K) of `logistic_mixture`."""
    weights, means, scales = p.chunk(3, -1)
    return weights.log_softmax(-1), means + _starts(p, spread), soft_clip(scales, bound) - 0.5 * math.log(2.0)


@dataclasses.dataclass(frozen=True)
class _Mixture:
    bound: float
    spread: float
    inverse: bool

    def plain(self, v: Tensor, p: Tensor) -> Pair:
        parts = mixture_parts(p, self.bound, self.spread)
        return mixture_logit_cdf_inverse(v, *parts) if self.inverse else mixture_logit_cdf(v, *parts)

    def evaluate(self, v: Tensor, p: Tensor) -> tuple[Pair, tuple[Tensor, ...]]:
        count, n = p.shape[-1] // 3, v.numel()
        # Components form the first dimension, so every operation runs over contiguous elements.
        weights, means, scales = p.movedim(-1, 0).reshape(3, count, n).contiguous()
        log_weights = weights.log_softmax(0)
        means = means + _starts(p, self.spread)[:, None]
        root = soft_clip_root(scales, self.bound)
        log_scales = (scales * root).sub_(0.5 * math.log(2.0))
        rate = log_scales.neg().exp_()

        def parts_at(x: Tensor) -> tuple[Tensor, ...]:
            u = (x - means).mul_(rate)
            below, above = F.logsigmoid(u), F.logsigmoid(-u)
            cdf, survival = log_weights + below, log_weights + above
            return u, below, above, cdf, survival, (cdf + above).sub_(log_scales)

        given = x = v.reshape(-1)
        shares = log_weights.exp()
        if self.inverse:

            def quick(x: Tensor) -> Pair:
                """Return residual and slope from sigmoids; fast, but they underflow far from the components."""
                u = (x - means).mul_(rate)
                lower, upper = u.sigmoid(), u.neg_().sigmoid_()
                density = (lower * upper).mul_(rate).mul_(shares).sum(0)
                cdf, survival = lower.mul_(shares).sum(0), upper.mul_(shares).sum(0)
                return cdf.log() - survival.log() - given, density / (cdf * survival)

            # `quick` finds a good start in most cases; `careful`, in logarithms, finishes at every distance.
            def careful(x: Tensor) -> Pair:
                log_cdf, log_survival, log_density = (part.logsumexp(0) for part in parts_at(x)[3:])
                return log_cdf - log_survival - given, (log_density - log_cdf - log_survival).exp()

            ends = torch.addcdiv(means, given, rate)
            low, high = ends.amin(0), ends.amax(0)
            noise = 4 * torch.finfo(v.dtype).eps * (1 + given.abs())
            x = newton_bisect(careful, low, high, noise, newton_bisect(quick, low, high, noise))
            # The search stops within the rounding error of the image; one more step brings x within its own.
            value, slope = careful(x)
            x = x - value / slope
        u, below, above, *parts = parts_at(x)
        log_cdf, log_survival, log_density = logs = [part.logsumexp(0) for part in parts]
        log_slope = log_density - log_cdf - log_survival
        inner = ((part - log).exp_() for part, log in zip(parts, logs, strict=True))
        saved = (u, below.exp_(), above.exp_(), rate, root, log_slope, shares, *inner)
        if self.inverse:
            return (x.view(v.shape), -log_slope.view(v.shape)), saved
        return ((log_cdf - log_survival).view(v.shape), log_slope.view(v.shape)), saved

    def gradient(self, inputs: Pair, saved: tuple[Tensor, ...], image: Tensor, slope: Tensor) -> Pair:
        v, p = inputs
        u, lower, upper, rate, root, log_slope, weights, a, b, c = saved
        g, g_log = image.reshape(-1), slope.reshape(-1)
        falling, rising, bent = a * upper, b * lower, (upper - lower).mul_(c)
        if self.inverse:
            # Inverse: x(z, p) satisfies z(x, p) = z. With z' = dz/dx and bend = d log z' / dx, the effective gradient of
            # z(x, p) is -(g - l bend) / z', and that of log z' is -l, because log dx/dz = -log z'.
            bend = (rising - falling).add_(bent).mul_(rate).sum(0)
            g, g_log = torch.addcmul(-g, g_log, bend).div_(log_slope.exp()), -g_log
        g_u = (falling * (g - g_log)).addcmul_(rising, g + g_log).addcmul_(bent, g_log)
        g_means = (g_u * rate).neg_()
        g_scales = torch.addcmul(c * g_log, g_u, u).neg_().mul_(root * root * root)
        # The gradients with respect to log pi_k sum to -l over k (a, b and c each sum to one). The softmax subtracts
        # pi_k times this sum, which adds pi_k l.
        g_weights = ((a - b) * g).addcmul_(c - a - b + weights, g_log)
        g_v = -g if self.inverse else g_means.sum(0).neg_()
        g_p = torch.empty_like(p)
        rows = g_p.movedim(-1, 0)
        rows.copy_(torch.cat([g_weights, g_means, g_scales]).view(rows.shape))
        return g_v.view(v.shape), g_p


def mixture_logit_cdf(x: Tensor, log_weights: Tensor, means: Tensor, log_scales: Tensor) -> tuple[Tensor, Tensor]:
    """Return z = logit F(x) and log dz/dx, both (...).

    Args:
        x: Real numbers (...).
        log_weights: Log-weights (..., K), normalised: the weights sum to one.
        means: Means (..., K).
        log_scales: Log-scales (..., K).

    Returns:
        z (...) and log dz/dx (...).
    """
    return mixed_logit((x.unsqueeze(-1) - means) * (-log_scales).exp(), -log_scales, log_weights)


def mixed_logit(u: Tensor, log_rates: Tensor, log_weights: Tensor) -> tuple[Tensor, Tensor]:
    """Return the logit of a weighted mean of sigmoids, z = logit sum_k w_k sigmoid(u_k), and its log-slope.

    The sums of w_k sigmoid(u_k) and of w_k sigmoid(-u_k) are both computed in logarithms, so neither tail loses digits.

    Args:
        u: Arguments (..., K) of the sigmoids.
        log_rates: Logarithms of du_k/dx, (..., K).
        log_weights: Logarithms of weights (..., K), which sum to one.

    Returns:
        z (...) and log dz/dx (...).
    """
    below, above = F.logsigmoid(u), F.logsigmoid(-u)
    cdf = log_weights + below
    log_cdf = cdf.logsumexp(-1)
    log_survival = (log_weights + above).logsumexp(-1)
    log_density = (cdf + above + log_rates).logsumexp(-1)
    return log_cdf - log_survival, log_density - log_cdf - log_survival


def mixture_logit_cdf_inverse(
    z: Tensor, log_weights: Tensor, means: Tensor, log_scales: Tensor
) -> tuple[Tensor, Tensor]:
    """Return x with logit F(x) = z, and log dx/dz.

    Returns:
        x (...) and log dx/dz (...).
    """
    ends = means + log_scales.exp() * z.unsqueeze(-1)

    def image(x: Tensor) -> tuple[Tensor, Tensor]:
        return mixture_logit_cdf(x, log_weights, means, log_scales)

    return monotone_inverse(image, z, ends.amin(-1), ends.amax(-1), "a mixture of logistic distributions")


def discretised_logistic(k: Tensor, log_weights: Tensor, means: Tensor, log_scales: Tensor) -> Tensor:
    """Return log-probabilities of whole numbers under mixtures of M discretised logistic distributions.

        P(k) = sum_j w_j (sigmoid(b_j) - sigmoid(a_j)),    a_j, b_j = (k -/+ 1/2 - m_j) / s_j

    The difference of sigmoids is computed as sigmoid(b) sigmoid(-a) (1 - exp(a - b)), which loses no digits in either tail
    (Hoogeboom et al. 2019, arXiv:1905.07376, eq. 5).

    Args:
        k: Whole numbers (...).
        log_weights: Log-weights (..., M).
        means: Means (..., M).
        log_scales: Log-scales (..., M).

    Returns:
        Log-probabilities in nats, (...).
    """
    rate = (-log_scales).exp()
    centred = (k.unsqueeze(-1) - means) * rate
    a, b = centred - rate / 2, centred + rate / 2
    each = F.logsigmoid(b) + F.logsigmoid(-a) + torch.log(-torch.expm1(-rate))
    return each.squeeze(-1) if means.shape[-1] == 1 else torch.logsumexp(log_weights + each, -1)


def logistic_levels(x: Tensor, means: Tensor, log_scales: Tensor, levels: int) -> Tensor:
    """Return log-probabilities of levels 0 ... K - 1 under logistic distributions rounded to levels.

    The first and the last level also have the probability of the tail beyond them.

    Args:
        x: Levels, of a shape that broadcasts with the parameters.
        means: Means in levels, (...).
        log_scales: Log-scales, (...).
        levels: Number of levels K.

    Returns:
        Log-probabilities in nats, (...).
    """
    inner = discretised_logistic(x, means.new_zeros(1), means.unsqueeze(-1), log_scales.unsqueeze(-1))
    rate = (-log_scales).exp()
    # The first level has P(X < 1/2) = sigmoid((1/2 - m) / s), and the last one 1 - sigmoid((K - 3/2 - m) / s);
    # logsigmoid computes both without a difference of nearly equal numbers.
    inner = torch.where(x == 0, F.logsigmoid((x + 0.5 - means) * rate), inner)
    return torch.where(x == levels - 1, F.logsigmoid((means - x + 0.5) * rate), inner)
