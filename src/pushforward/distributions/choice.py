"""Labels whose logits are the context, and random orders: the lost parts of layers that map several events to one."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ..core import Categories, Distribution, Real
from ..functional.bounds import sum_events


def draw_labels(logits: Tensor) -> Tensor:
    """Return labels k with probabilities softmax(logits), by the Gumbel-max trick: (..., K) -> (...) in int64."""
    noise = torch.rand_like(logits).clamp_min(torch.finfo(logits.dtype).tiny)
    # -log(-log u) has a Gumbel distribution, and the argmax of logits plus Gumbel noise has the softmax distribution.
    return (logits.detach() - (-noise.log()).log()).argmax(-1)


def label_log_prob(logits: Tensor, labels: Tensor) -> Tensor:
    """Return log softmax(logits) at the labels: (..., K), (...) -> (...)."""
    return logits.log_softmax(-1).gather(-1, labels.unsqueeze(-1)).squeeze(-1)


class Choice(Distribution):
    """Independent labels whose logits are the context: log p(k) = sum_i log softmax(l_i)[k_i].

    Args:
        shape: Shape of an event.
        labels: Number K of labels.
    """

    zero: Tensor

    def __init__(self, shape: tuple[int, ...], labels: int) -> None:
        super().__init__()
        self.space, self.context = Categories(tuple(shape), labels), Real((*shape, labels))
        self.register_buffer("zero", torch.zeros(1), persistent=False)

    def _log_prob(self, x: Tensor, context: Tensor | None) -> Tensor:
        return sum_events(label_log_prob(context, x))  # type: ignore[arg-type]

    def _sample(self, n: int, context: Tensor | None) -> tuple[Tensor, Tensor]:
        labels = draw_labels(context)  # type: ignore[arg-type]
        return labels, self._log_prob(labels, context)


class RandomOrder(Distribution):
    """Uniform distribution of the permutations of 0 ... D - 1, log p = -log D!.

    Args:
        size: Number D of entries.
    """

    zero: Tensor

    def __init__(self, size: int) -> None:
        super().__init__()
        self.space, self.size = Categories((size,), size), size
        self.register_buffer("zero", torch.zeros(1), persistent=False)

    def _log_prob(self, x: Tensor, context: Tensor | None) -> Tensor:
        each = torch.arange(self.size, device=x.device)
        valid = (x.sort(1).values == each).all(1)
        return torch.where(valid, -math.lgamma(self.size + 1), -math.inf).to(self.zero.dtype)

    def _sample(self, n: int, context: Tensor | None) -> tuple[Tensor, Tensor]:
        order = torch.rand(n, self.size, device=self.zero.device).argsort(1)
        return order, self._log_prob(order, None)
