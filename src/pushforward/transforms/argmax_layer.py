"""Argmax surjection: a label is the place of the largest of several real numbers.

    inverse:  x = argmax_k z_k,    forward:  z ~ q(z|x) with argmax z = x,    dlogp = -log q(z|x)

(Hoogeboom, Nielsen, Jaini, Forré, Welling 2021, arXiv:2102.05379, section 3). The noise u has any distribution given x. Its
number at the label is the threshold T, and a softplus brings the others below it:

    z_x = T = u_x,    z_k = T - softplus(T - u_k),    log dz_k/du_k = log sigmoid(T - u_k)    for k other than x
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..core import Distribution, OneHot, Real
from ..functional.bounds import softplus_inverse, softplus_slope
from .stochastic import _Noisy


class ArgMax(_Noisy):
    """Argmax surjection from D one-hot labels of K_1, ..., K_D classes to K_1 + ... + K_D real numbers.

    Args:
        codes: Space of the one-hot labels, (D, K).
        noise: Distribution q(u|x) on Real((K_1 + ... + K_D,)). Its context is none, or the one-hot labels side by side, of
            length D K.

    Raises:
        ShapeError: The noise has another space or takes another context.
    """

    kept: Tensor

    def __init__(self, codes: OneHot, noise: Distribution) -> None:
        line = Real((sum(codes.counts),))
        super().__init__(codes, line, noise, line)
        width = codes.shape[1]
        kept = [i * width + k for i, count in enumerate(codes.counts) for k in range(count)]
        self.register_buffer("kept", torch.tensor(kept), persistent=False)

    def _spread(self, v: Tensor) -> Tensor:
        """Return the numbers of every label, (B, D, K), with -inf for labels that do not exist."""
        empty = v.new_full((v.shape[0], self.x_space.size), -torch.inf)
        return empty.index_copy(1, self.kept, v).unflatten(1, self.x_space.shape)

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return noise below thresholds, and sum log sigmoid(T - u) - log q(u|x): (B, D, K) -> (B, sum K), (B,) in nats."""
        u, log_q = self.noise._sample(x.shape[0], self._given(x, context))
        spread = self._spread(u)
        threshold = spread.gather(-1, x.argmax(-1, keepdim=True))
        gap, slope = softplus_slope(threshold - spread)
        # Rounding must not lift another number to the threshold: the label would change.
        below = torch.minimum(threshold - gap, torch.nextafter(threshold.detach(), threshold.new_tensor(-torch.inf)))
        z = torch.where(x > 0, threshold, below).flatten(1).index_select(1, self.kept)
        return z, (slope * (1 - x)).flatten(1).sum(1) - log_q

    def inverse(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return the one-hot labels of the largest numbers, and log q(u|x) - sum log sigmoid(T - u)."""
        spread = self._spread(z)
        threshold, label = spread.max(-1, keepdim=True)
        x = torch.zeros_like(spread).scatter(-1, label, 1.0)
        gap, stretch = softplus_inverse(threshold - spread)
        u = torch.where(x > 0, threshold, threshold - gap).flatten(1).index_select(1, self.kept)
        log_q = self.noise._log_prob(u, self._given(x, context))
        return x, log_q + torch.where(x > 0, torch.zeros_like(stretch), stretch).flatten(1).sum(1)
