"""Modular affine map: a bijection of labels 0 ... K - 1 whose parameters a network can set.

    z = (m + s x) mod K,    x = s^-1 (z - m) mod K,    gcd(s, K) = 1,    dlogp = 0

(Tran et al. 2019, arXiv:1905.10347, section 3). Labels are one-hot vectors. The map is linear in the one-hot vector of x, of m
and of s, each with the other two fixed:

    z_k = x_(s^-1 (k - m)) = m_(k - s x) = sum of s_r over r with r x + m = k        (indices modulo K)

The three forms have equal values. In the backward pass each form sends the gradient to its own argument, and the one-hot
vectors of m and s pass it on to the network's logits as softmax(logits / temperature) would (straight-through). Indexing costs
K operations for each label; products with permutation matrices would cost K^2.

The straight-through gradient vanishes where the softmaxes are sure. The costs of a `LabelMap` are sums over all choices, with
exact gradients instead; `objectives.ExpectedChoices` trains with them.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from ..functional.bounds import one_hot_through
from ..functional.modular_arithmetic import inverses
from .label_map import IMPOSSIBLE, LabelMap


@dataclass(frozen=True)
class Modular(LabelMap):
    """Modular affine map z = (m + s x) mod K of one-hot labels (..., K), from logits of m and, with `scale`, of s.

    With all logits zero it is the identity. Logits of values of s that share a divisor with K are ignored.

    Args:
        classes: Number of labels K of every coordinate, or a tuple with one number per coordinate.
        scale: Whether there is a factor s; otherwise z = (m + x) mod K.
        temperature: Temperature of the softmax that replaces argmax in the gradient, and weight of the entropies in the
            expected cost of shifts with scales.
    """

    scale: bool = False
    temperature: float = 0.1
    undoing: tuple[tuple[int, ...], ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Compute the inverse modulo K of each scale that has one."""
        known = {modulus: inverses(modulus, self.width) for modulus in set(self._counts)}
        object.__setattr__(self, "undoing", tuple(known[modulus] for modulus in self._counts))

    @property
    def n(self) -> int:
        """Number of parameters of a coordinate: K, or 2 K with a scale."""
        return 2 * self.width if self.scale else self.width

    def _steer(self, p: Tensor) -> tuple[Tensor, Tensor | None, Tensor]:
        """Return the one-hot m, the one-hot s or None, and the inverse of s modulo K as labels (..., 1)."""
        width, places = self.width, torch.arange(self.width, device=p.device)
        shift = one_hot_through(p[..., :width].masked_fill(places >= self._moduli(p), -torch.inf), self.temperature)
        if not self.scale:
            return shift, None, torch.ones_like(shift[..., :1], dtype=torch.long)
        table = torch.tensor(self.undoing, device=p.device)
        table = table if len(table) > 1 else table[0]
        scale = one_hot_through(p[..., width:].masked_fill(table < 0, -torch.inf), self.temperature)
        inverse = table.expand(scale.shape).gather(-1, scale.detach().argmax(-1, keepdim=True))
        return shift, scale, inverse

    def forward(self, x: Tensor, p: Tensor) -> tuple[Tensor, Tensor]:
        """Return (m + s x) mod K, and 0: x (..., K), p (..., n) -> z (..., K), (...)."""
        shift, scale, inverse = self._steer(p)
        modulus, places = self._moduli(x), torch.arange(self.width, device=x.device)
        label, m = x.detach().argmax(-1, keepdim=True), shift.detach().argmax(-1, keepdim=True)
        s = torch.ones_like(inverse) if scale is None else scale.detach().argmax(-1, keepdim=True)
        # The value comes from the form in x. The other two forms are added as zeros that carry a gradient.
        z = x.gather(-1, self._inside(inverse * (places - m), modulus))
        z = z + _gradient(shift.gather(-1, self._inside(places - s * label, modulus)))
        if scale is not None:
            goes_to = self._inside(places * label + m, modulus)
            z = z + _gradient(torch.zeros_like(scale).scatter_add(-1, goes_to, scale))
        return z, x.new_zeros(x.shape[:-1])

    def inverse(self, z: Tensor, p: Tensor) -> tuple[Tensor, Tensor]:
        """Return s^-1 (z - m) mod K, and 0, with gradients with respect to z and m."""
        shift, scale, inverse = self._steer(p)
        modulus, places = self._moduli(z), torch.arange(self.width, device=z.device)
        label, m = z.detach().argmax(-1, keepdim=True), shift.detach().argmax(-1, keepdim=True)
        s = torch.ones_like(inverse) if scale is None else scale.detach().argmax(-1, keepdim=True)
        x = z.gather(-1, self._inside(s * places + m, modulus))
        x = x + _gradient(shift.gather(-1, self._inside(label - s * places, modulus)))
        return x, z.new_zeros(z.shape[:-1])

    def _choices(self, p: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return the logarithms of the probabilities of each shift, (..., K), and of each scale, (..., K) or None."""
        width, places = self.width, torch.arange(self.width, device=p.device)
        shift = p[..., :width].masked_fill(places >= self._moduli(p), IMPOSSIBLE).log_softmax(-1)
        if not self.scale:
            return shift, None
        allowed = torch.tensor(self.undoing, device=p.device) >= 0
        scale = p[..., width:].masked_fill(~(allowed if len(allowed) > 1 else allowed[0]), IMPOSSIBLE)
        return shift, scale.log_softmax(-1)

    def _scaled(self, x: Tensor) -> Tensor:
        """Return s x for every s in 0 ... K - 1, (..., K); without a scale x, (..., 1)."""
        label = x.argmax(-1, keepdim=True)
        return label * torch.arange(self.width, device=x.device) if self.scale else label

    def cost_of_zero(self, x: Tensor, p: Tensor) -> Tensor:
        """Return -log sum_s P(s) P(m = -s x): x (..., K), p (..., n) -> (...), in nats."""
        shift, scale = self._choices(p)
        log_p = shift.gather(-1, (-self._scaled(x)).remainder(self._moduli(x)))
        return -(log_p if scale is None else log_p + scale).logsumexp(-1)

    def expected_cost(self, x: Tensor, p: Tensor, log_base: Tensor) -> Tensor:
        """Return E[-log b(m + s x)] - H(m), or with scales E[-log b(m + s x)] - t (H(m) + H(s)) + log of their number, in nats.

        Without scales this is the divergence of the softmax from the probabilities b(m + x) of the shifts, which sum to 1. Its
        optimum is P(m) proportional to exp E log b(m + x): the likeliest shift has the largest expected log-likelihood. With
        scales the best shift differs from scale to scale, and two softmaxes cannot hold all the pairs. So the entropies H have
        the weight t = min(temperature, 1), with which the softmaxes decide for one pair.
        """
        shift, scale = self._choices(p)
        places = torch.arange(self.width, device=x.device)
        modulus = self._moduli(x)[..., None]
        # The index of (m, s) is (m + s x) mod K. Shifts from K on have no probability; their index is any one that exists.
        index = (places[:, None] + self._scaled(x)[..., None, :]).remainder(modulus)
        cost = -log_base.expand(*x.shape).gather(-1, index.flatten(-2)).unflatten(-1, index.shape[-2:])
        if scale is None:
            return (shift.exp() * (cost[..., 0] + shift)).sum(-1)
        cost = torch.einsum("...ms,...m,...s->...", cost, shift.exp(), scale.exp())
        numbers = p.new_tensor([sum(b >= 0 for b in known) for known in self.undoing])
        negentropy = (shift.exp() * shift).sum(-1) + (scale.exp() * scale).sum(-1)
        return cost + min(self.temperature, 1.0) * negentropy + numbers.log()

    def _inside(self, index: Tensor, modulus: Tensor) -> Tensor:
        """Return the index modulo K; indices from K on, which stand for no label, are unchanged."""
        places = torch.arange(self.width, device=index.device)
        return torch.where(places < modulus, index.remainder(modulus), places)


def _gradient(t: Tensor) -> Tensor:
    """Return zeros that have the gradient of t."""
    return t - t.detach()
