"""Ranking map: a bijection of labels that sorts them by predicted probabilities.

    z = number of labels k that are likelier than x,    x = the (z + 1)-th likeliest label,    dlogp = 0

The network predicts the label, and z is its rank: 0 for the likeliest label. Shannon's experiment is the autoregressive case: a
reader guesses each letter of a text until the guess is right, and the numbers of guesses determine the text (Shannon 1951,
Prediction and entropy of printed English, section 3).

For one layer before independent labels no bijection is better. Let the base have decreasing probabilities b_0 >= b_1 >= ...,
and let p be the distribution of x given what the network sees. The cross-entropy -sum_x p(x) log b(z(x)) of a bijection z is
smallest where p and b have the same order (rearrangement inequality). The least that such a flow can reach is the entropy of
the ranks.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .label_map import IMPOSSIBLE, LabelMap


@dataclass(frozen=True)
class RankedLabels(LabelMap):
    """Ranking map z = rank of x among the labels sorted by decreasing logits (..., K); equal logits keep their order.

    With all logits zero it is the identity. Its forward and its inverse have no gradient for the logits; the cost, the
    negative log-likelihood of the label, has one.

    Args:
        classes: Number of labels K of every coordinate, or a tuple with one number per coordinate.
    """

    @property
    def n(self) -> int:
        """Number of parameters of a coordinate, K."""
        return self.width

    def _logits(self, p: Tensor) -> Tensor:
        return p.masked_fill(torch.arange(self.width, device=p.device) >= self._moduli(p), IMPOSSIBLE)

    def _order(self, p: Tensor) -> Tensor:
        """Return the labels in the order of decreasing logits, (..., K)."""
        return torch.sort(self._logits(p.detach()), dim=-1, descending=True, stable=True).indices

    def forward(self, x: Tensor, p: Tensor) -> tuple[Tensor, Tensor]:
        """Return the one-hot rank of x, and 0: x (..., K), p (..., K) -> z (..., K), (...)."""
        return x.gather(-1, self._order(p).expand(x.shape)), x.new_zeros(x.shape[:-1])

    def inverse(self, z: Tensor, p: Tensor) -> tuple[Tensor, Tensor]:
        """Return the one-hot label of rank z, and 0."""
        return torch.zeros_like(z).scatter(-1, self._order(p).expand(z.shape), z), z.new_zeros(z.shape[:-1])

    def cost_of_zero(self, x: Tensor, p: Tensor) -> Tensor:
        """Return -log softmax(p)[x], (...) in nats."""
        return -(x.detach() * self._logits(p).log_softmax(-1)).sum(-1)

    def expected_cost(self, x: Tensor, p: Tensor, log_base: Tensor) -> Tensor:
        """Return -log softmax(p)[x]: the best order is that of the true probabilities, whatever the base is."""
        return self.cost_of_zero(x, p)
