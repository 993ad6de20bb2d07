"""Random source of symbols, with which the code for entropy coding draws samples."""

from __future__ import annotations

import torch
from torch import Tensor

from ..functional.bounds import sum_events
from ..functional.logistic import discretised_logistic


class Chance:
    """Random source of symbols; `logp` (B,) is the log-probability of all symbols drawn so far, in nats."""

    def __init__(self) -> None:
        self.logp: Tensor | float = 0.0

    def labels(self, logits: Tensor, at: int | None = None) -> Tensor:
        """Return labels drawn from categorical distributions: logits (B, ..., K) -> (B, ...)."""
        logp = logits.log_softmax(-1)
        flat = logp.exp().flatten(0, -2)
        drawn = torch.multinomial(flat, 1) if len(flat) else torch.zeros(0, 1, dtype=torch.long, device=flat.device)
        x = drawn.reshape(logits.shape[:-1])
        self.logp = self.logp + sum_events(logp.gather(-1, x.unsqueeze(-1)).squeeze(-1))
        return x

    def integers(self, log_weights: Tensor, means: Tensor, log_scales: Tensor, at: int | None = None) -> Tensor:
        """Return draws from mixtures of discretised logistic distributions: (B, ..., M) each -> (B, ...)."""
        # Gumbel-max trick: the argmax of log-weights plus Gumbel noise, -log of exponential noise, picks the component.
        chosen = (log_weights - torch.empty_like(log_weights).exponential_().log()).argmax(-1, keepdim=True)
        mean, scale = (t.gather(-1, chosen).squeeze(-1) for t in (means, log_scales.exp()))
        eps = torch.finfo(means.dtype).eps
        x = (mean + scale * torch.logit(torch.rand_like(mean).clamp(eps, 1 - eps))).round()
        self.logp = self.logp + sum_events(discretised_logistic(x, log_weights, means, log_scales))
        return x
