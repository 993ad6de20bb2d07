"""Mixtures of Gaussians with full covariances, whose weights and means may follow a context."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from ..core import Distribution, Real, context_space
from ..errors import SpecError
from ..functional.mixture_em import MOST_ROWS, best_mixture, choose_mixture, ridge_slopes


class FullGaussianMixture(Distribution):
    """Mixture of Gaussians with full covariances.

        p(x | c) = sum_k w_k(c) N(x; m_k + M c, (L_k^T L_k)^-1),    w(c) = softmax(b + W c)

    L_k is lower triangular with a positive diagonal. Without a context the terms with c are not there.

    Args:
        space: Space of one event, of shape (D,).
        components: Number K of Gaussians.
        context: Length of the context; 0 for none.

    Raises:
        SpecError: The space is not one of vectors, or there are no components.
    """

    fitted: Tensor

    def __init__(self, space: Real, components: int = 4, *, context: int = 0) -> None:
        super().__init__()
        if len(space.shape) != 1 or components < 1:
            raise SpecError(f"expected a space of vectors and at least 1 component, got {space} and {components}")
        self.space, self.context = space, context_space(context)
        size = space.shape[0]
        self.logits = nn.Parameter(torch.zeros(components))
        self.means = nn.Parameter(torch.randn(components, size))
        self.factors = nn.Parameter(torch.zeros(components, size, size))
        self.of_context = nn.Linear(context, components + size, bias=False) if context else None
        if self.of_context is not None:
            nn.init.zeros_(self.of_context.weight)
        self.register_buffer("fitted", torch.zeros(1, dtype=torch.bool))

    def init_from(self, x: Tensor, context: Tensor | None = None) -> None:
        """Start a fresh mixture at the fit of expectation-maximisation, with the ridge chosen by cross-validation.

        If the context is a code of zeros and ones, there are two candidates, of which cross-validation chooses one: the
        context shifts all means, by a regression; or it determines the weights, by its frequencies in each component. A
        context of other numbers shifts the means.
        """
        if bool(self.fitted) or x.shape[0] < 2:
            return
        rows, number = x.double(), len(self.logits)
        given = None if self.of_context is None or context is None else context.double()
        chosen = choose_mixture(rows, (number,), codes=given)
        codes = None
        if given is not None and self.of_context is not None:
            binary = number > 1 and bool(((given == 0) | (given == 1)).all())
            gated = choose_mixture(rows, (number,), codes=given, gated=True) if binary else chosen
            if gated.score > chosen.score:
                chosen, codes = gated, given[:MOST_ROWS]
            else:
                slopes = ridge_slopes(given, rows)
                self.of_context.weight.data[number:] = slopes.mT.to(self.dtype)
                rows = rows - given @ slopes
        fit = best_mixture(rows[:MOST_ROWS], number, chosen.ridge, codes)
        if self.of_context is not None and fit.labels is not None:
            self.of_context.weight.data[:number] = fit.labels.to(self.dtype)
        # S = (L^T L)^-1: the lower factor of the inverse is that of the reversed matrix, reversed.
        precision = torch.linalg.cholesky(torch.linalg.inv(fit.covariances).flip(-1, -2))
        factors = precision.flip(-1, -2).mT
        self.logits.data.copy_(fit.weights.log())
        self.means.data.copy_(fit.means)
        self.factors.data.copy_(factors.tril(-1) + torch.diag_embed(factors.diagonal(dim1=-2, dim2=-1).log()))
        self.fitted.fill_(value=True)

    def _parts(self, context: Tensor | None) -> tuple[Tensor, Tensor | float, Tensor, Tensor]:
        """Return log w (B or 1, K), the shift M c (B, D) or 0, L (K, D, D) and the logs of its diagonals (K,)."""
        logs = self.factors.diagonal(dim1=-2, dim2=-1)
        factors = self.factors.tril(-1) + torch.diag_embed(logs.exp())
        if self.of_context is None:
            return self.logits[None].log_softmax(-1), 0.0, factors, logs.sum(-1)
        made = self.of_context(context)
        components = len(self.logits)
        return (self.logits + made[:, :components]).log_softmax(-1), made[:, components:], factors, logs.sum(-1)

    def _log_prob(self, x: Tensor, context: Tensor | None) -> Tensor:
        log_weights, shift, factors, log_dets = self._parts(context)
        centred = (x - shift).unsqueeze(1) - self.means
        u = torch.einsum("kij,bkj->bki", factors, centred)
        each = log_dets - 0.5 * (u.square().sum(-1) + x.shape[1] * math.log(2 * math.pi))
        return (log_weights + each).logsumexp(-1)

    def _sample(self, n: int, context: Tensor | None) -> tuple[Tensor, Tensor]:
        log_weights, shift, factors, _ = self._parts(context)
        weights = log_weights.exp().expand(n, -1)
        k = torch.multinomial(weights, 1)[:, 0] if n else self.logits.new_empty(0).long()
        noise = torch.randn(n, self.means.shape[1], 1, dtype=self.means.dtype, device=self.means.device)
        x = shift + self.means[k] + torch.linalg.solve_triangular(factors[k], noise, upper=False)[..., 0]
        return x, self._log_prob(x, context)
