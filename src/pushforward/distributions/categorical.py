"""Autoregressive distributions of labels: p(x) = prod_i p(x_i | x_<i, context), every factor a softmax."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from ..core import Categories, Distribution, Real
from ..errors import SpecError
from ..networks import MADE


class AutoregressiveCategorical(Distribution):
    """Labels with a MADE over their one-hot codes; columns may have different numbers of classes.

    Each label's one-hot code enters as `max(classes)` inputs of the same rank, so masks stay those of labels.

    Args:
        classes: number of labels of each coordinate; at least one coordinate, each with at least one label.
        context: length of the context, 0 for none.
        hidden: widths of the hidden layers.
        dropout: of hidden units while training.

    Raises:
        SpecError: no coordinates, or one without labels.
    """

    allowed: Tensor

    def __init__(
        self,
        classes: tuple[int, ...],
        *,
        context: int = 0,
        hidden: tuple[int, ...] = (64, 64),
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if not classes or min(classes) < 1:
            raise SpecError(f"expected at least one coordinate, each with at least one label, got {classes}")
        self.classes, self.most = tuple(classes), max(classes)
        self.space = Categories((len(classes),), self.classes)
        self.context = Real((context,)) if context else None
        self.net = MADE(len(classes), self.most, hidden=hidden, context=context, width=self.most, dropout=dropout)
        labels = torch.arange(self.most)
        self.register_buffer("allowed", labels[None] < torch.tensor(classes)[:, None], persistent=False)

    def init_from(self, x: Tensor, context: Tensor | None = None) -> None:
        """A fresh network starts at the labels' frequencies in the batch, one added to each count."""
        if bool(self.net.out.weight.any()):
            return
        counts = F.one_hot(x, self.most).sum(0) + 1
        self.net.out.bias.data.copy_(counts.to(self.dtype).log().masked_fill(~self.allowed, 0.0).mT.flatten())

    def _logits(self, x: Tensor, context: Tensor | None) -> Tensor:
        codes = F.one_hot(x, self.most).to(self.dtype).flatten(1)
        logits = self.net(codes, context)
        return logits.masked_fill(~self.allowed, -torch.inf).log_softmax(-1)

    def _log_prob(self, x: Tensor, context: Tensor | None) -> Tensor:
        return self._logits(x, context).gather(-1, x.unsqueeze(-1)).squeeze(-1).sum(1)

    def _sample(self, n: int, context: Tensor | None) -> tuple[Tensor, Tensor]:
        logps: list[Tensor] = []
        draws: list[Tensor] = []

        def step(i: int, p: Tensor) -> Tensor:
            logits = p.masked_fill(~self.allowed[i], -torch.inf).log_softmax(-1)
            x = torch.multinomial(logits.exp(), 1) if n else torch.zeros(0, 1, dtype=torch.long, device=p.device)
            draws.append(x)
            logps.append(logits.gather(-1, x).squeeze(-1))
            return F.one_hot(x.squeeze(-1), self.most).to(p.dtype)

        rows = torch.zeros(n, dtype=self.dtype, device=self.device)
        self.net.unroll(step, rows, context)
        return torch.cat(draws, 1), torch.stack(logps).sum(0)
