"""Bijection between logits and normal scores: Phi(z) = sigmoid(l), the map from the logistic to the normal distribution.

    dz/dl = p (1 - p) / phi(z) = (1 - p') sqrt(pi / 2) erfcx(|z| / sqrt 2),    p = sigmoid(l), p' = sigmoid(-|l|)

The scaled complementary error function erfcx has no underflow, so neither tail loses digits.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

FAR = 60.0
"""Absolute logit beyond which an expansion gives the first guess, because the tail probability nearly underflows."""
STEPS = 2
"""Number of Newton steps without a gradient."""


def normal_to_logit(z: Tensor) -> tuple[Tensor, Tensor]:
    """Return l = log Phi(z) - log Phi(-z) and log dl/dz, both (...)."""
    logit = _log_ndtr(z) - _log_ndtr(-z)
    return logit, -_log_slope(logit, z)


def logit_to_normal(logit: Tensor) -> tuple[Tensor, Tensor]:
    """Return z with Phi(z) = sigmoid(l), by Newton's method, and log dz/dl, both (...), with first and second derivatives."""
    with torch.no_grad():
        size = logit.abs()
        tiny = torch.finfo(logit.dtype).tiny
        near = -torch.special.ndtri(torch.sigmoid(-size.clamp_max(FAR)).clamp_min(tiny))
        # Log Q(z) = -z^2 / 2 - log z - log(2 pi) / 2 + ..., with z^2 = 2 |l| in the logarithm.
        twice = 2 * size.clamp_min(FAR)
        far = (twice - twice.log() - math.log(2 * math.pi)).sqrt()
        z = torch.where(size > FAR, far, near) * logit.sign()
        for _ in range(STEPS):
            z = _newton(z, logit)
    # One recorded step at the root has the first derivative of the root; two steps also have the second.
    z = _newton(_newton(z, logit), logit)
    return z, _log_slope(logit, z)


def _log_ndtr(z: Tensor) -> Tensor:
    """Return log Phi(z). Unlike torch's own function, it can be vectorised by `torch.func.vmap`."""
    root = z / math.sqrt(2)
    # Each branch gets a harmless number where the other one is taken, so that its gradient is finite there.
    low = torch.where(z < 0, root, -1.0)
    high = torch.where(z < 0, 1.0, root)
    tail = (torch.special.erfcx(-low) / 2).log() - low.square()
    return torch.where(z < 0, tail, torch.log1p(-torch.erfc(high) / 2))


def _log_slope(logit: Tensor, z: Tensor) -> Tensor:
    """Return log dz/dl at a pair with Phi(z) = sigmoid(l)."""
    return F.logsigmoid(logit.abs()) + (torch.special.erfcx(z.abs() / math.sqrt(2)) * math.sqrt(math.pi / 2)).log()


def _newton(z: Tensor, logit: Tensor) -> Tensor:
    value, log_slope = normal_to_logit(z)
    return z - (value - logit) * (-log_slope).exp()
