"""Mixtures of logistic distributions: logit of the cumulative distribution function, and its inverse.

With F(x) = sum_k pi_k sigmoid((x - mu_k) / s_k) and density f, the map is z = log F(x) - log(1 - F(x)) and
log dz/dx = log f - log F - log(1 - F). Both tails are computed as log-sums of log-sigmoids, so that neither cancels
(Ho et al. 2019, arXiv:1902.00275, eq. 12-14, without their affine part).

The inverse has an exact bracket: at x = max_k (mu_k + s_k z) every component's CDF is at least sigmoid(z), so F is too;
the minimum bounds it from below.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from .roots import newton_bisect


def mixture_logit_cdf(x: Tensor, log_weights: Tensor, means: Tensor, log_scales: Tensor) -> tuple[Tensor, Tensor]:
    """z = logit F(x).

    Args:
        x: (...) real.
        log_weights: (..., K) normalised: their exponentials add up to 1.
        means: (..., K).
        log_scales: (..., K).

    Returns:
        z (...) and log dz/dx (...).
    """
    u = (x.unsqueeze(-1) - means) * (-log_scales).exp()
    below, above = F.logsigmoid(u), F.logsigmoid(-u)
    log_cdf = (log_weights + below).logsumexp(-1)
    log_survival = (log_weights + above).logsumexp(-1)
    log_density = (log_weights + below + above - log_scales).logsumexp(-1)
    return log_cdf - log_survival, log_density - log_cdf - log_survival


def mixture_logit_cdf_inverse(
    z: Tensor, log_weights: Tensor, means: Tensor, log_scales: Tensor
) -> tuple[Tensor, Tensor]:
    """x with logit F(x) = z; gradients by the implicit function rule (one differentiable Newton step at the root).

    Returns:
        x (...) and log dx/dz (...).
    """

    def residual(x: Tensor) -> tuple[Tensor, Tensor]:
        value, log_slope = mixture_logit_cdf(x, log_weights, means, log_scales)
        return value - z, log_slope.exp()

    ends = means + log_scales.exp() * z.unsqueeze(-1)
    x = newton_bisect(residual, ends.amin(-1), ends.amax(-1))
    if torch.is_grad_enabled():
        value, log_slope = mixture_logit_cdf(x, log_weights, means, log_scales)
        x = x - (value - z) * (-log_slope).exp().detach()
    return x, -mixture_logit_cdf(x, log_weights, means, log_scales)[1]
