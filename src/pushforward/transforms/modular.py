"""Modular location and scale: a bijection of labels 0 ... K - 1 that a network can steer.

    z = (m + s x) mod K,    x = s^-1 (z - m) mod K,    gcd(s, K) = 1,    dlogp = 0

(Tran et al. 2019, arXiv:1905.10347, section 3). Labels are one-hot vectors. The map is linear in those of x, of m and of s,
each with the others held fixed, so it has gradients with respect to all three:

    z_k = x_(s^-1 (k - m)) = m_(k - s x) = sum of s_r over r with r x + m = k        (indices modulo K)

Forward they are the same numbers; backward each sends the gradient to its own argument, and the one-hot vectors of m and s
pass it on to the network's logits as softmax(logits / temperature) would (straight-through). Indexing costs K for each label,
where products with matrices of permutations cost K^2.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ..core import Space
from ..errors import SpecError
from ..functional.bounds import one_hot_through
from ..functional.modular_arithmetic import inverses
from .scalar import ScalarMap


@dataclass(frozen=True)
class Modular(ScalarMap):
    """z = (m + s x) mod K on one-hot labels (..., K), from logits of m and, with `scale`, of s.

    With all logits zero it is the identity. Logits of s that have a common divisor with K count for nothing.

    Args:
        classes: K of every coordinate; or one for each of them.
        scale: whether there is an s; else z = (m + x) mod K.
        temperature: Temperature of the softmax that gradients come from.
    """

    classes: int | tuple[int, ...]
    scale: bool = False
    temperature: float = 0.1
    undoing: tuple[tuple[int, ...], ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Find out which scales have an inverse."""
        known = {modulus: inverses(modulus, self.width) for modulus in set(self._counts)}
        object.__setattr__(self, "undoing", tuple(known[modulus] for modulus in self._counts))

    @property
    def width(self) -> int:
        """Length of the one-hot vectors: the largest K."""
        return max(self.classes) if isinstance(self.classes, tuple) else self.classes

    @property
    def n(self) -> int:
        """K, or 2 K with a scale."""
        return 2 * self.width if self.scale else self.width

    def check(self, space: Space) -> None:
        """Refuse anything but `OneHot` labels of these numbers.

        Raises:
            SpecError: naming the space.
        """
        counts = self.classes if isinstance(self.classes, tuple) else (self.classes,) * space.shape[0]
        if not space.one_hot or space.shape[1] != self.width or space.counts != counts:
            raise SpecError(f"Modular({self.classes}) maps one-hot labels of those numbers of classes, got {space}")

    def part(self, which: int | Sequence[int]) -> Modular:
        """The same for one coordinate, or for some. The width stays, so that parameters fit."""
        if not isinstance(self.classes, tuple):
            return self
        chosen = (which,) if isinstance(which, int) else tuple(which)
        return _Part(tuple(self.classes[i] for i in chosen), self.scale, self.temperature, self.width)

    @property
    def _counts(self) -> tuple[int, ...]:
        return self.classes if isinstance(self.classes, tuple) else (self.classes,)

    def _moduli(self, like: Tensor) -> Tensor:
        """K as (1,), or of each coordinate as (D, 1)."""
        counts = torch.tensor(self._counts, device=like.device)
        return counts[:, None] if len(counts) > 1 else counts

    def _steer(self, p: Tensor) -> tuple[Tensor, Tensor | None, Tensor]:
        """One-hot m, one-hot s or None, and the inverse of s as numbers (..., 1)."""
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
        """(m + s x) mod K, 0: x (..., K), p (..., n) -> z (..., K), (...)."""
        shift, scale, inverse = self._steer(p)
        modulus, places = self._moduli(x), torch.arange(self.width, device=x.device)
        label, m = x.detach().argmax(-1, keepdim=True), shift.detach().argmax(-1, keepdim=True)
        s = torch.ones_like(inverse) if scale is None else scale.detach().argmax(-1, keepdim=True)
        z = x.gather(-1, self._inside(inverse * (places - m), modulus))
        z = z + _gradient(shift.gather(-1, self._inside(places - s * label, modulus)))
        if scale is not None:
            goes_to = self._inside(places * label + m, modulus)
            z = z + _gradient(torch.zeros_like(scale).scatter_add(-1, goes_to, scale))
        return z, x.new_zeros(x.shape[:-1])

    def inverse(self, z: Tensor, p: Tensor) -> tuple[Tensor, Tensor]:
        """s^-1 (z - m) mod K, 0, with gradients with respect to z and m."""
        shift, scale, inverse = self._steer(p)
        modulus, places = self._moduli(z), torch.arange(self.width, device=z.device)
        label, m = z.detach().argmax(-1, keepdim=True), shift.detach().argmax(-1, keepdim=True)
        s = torch.ones_like(inverse) if scale is None else scale.detach().argmax(-1, keepdim=True)
        x = z.gather(-1, self._inside(s * places + m, modulus))
        x = x + _gradient(shift.gather(-1, self._inside(label - s * places, modulus)))
        return x, z.new_zeros(z.shape[:-1])

    def _inside(self, index: Tensor, modulus: Tensor) -> Tensor:
        """The index modulo K; places from K on, which belong to no label, stay where they are."""
        places = torch.arange(self.width, device=index.device)
        return torch.where(places < modulus, index.remainder(modulus), places)


@dataclass(frozen=True)
class _Part(Modular):
    """Some coordinates of a map whose vectors are as long as the largest K of all."""

    whole: int = 0

    @property
    def width(self) -> int:
        """Of all coordinates."""
        return self.whole


def _gradient(t: Tensor) -> Tensor:
    """Zero, with the gradient of t."""
    return t - t.detach()
