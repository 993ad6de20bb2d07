"""Modular affine map: a bijection of labels 0 ... K - 1 whose parameters a network can set.

    z = (m + s x) mod K,    x = s^-1 (z - m) mod K,    gcd(s, K) = 1,    dlogp = 0

(Tran et al. 2019, arXiv:1905.10347, section 3). Labels are one-hot vectors. The map is linear in the one-hot vector of x, of m
and of s, each with the other two fixed:

    z_k = x_(s^-1 (k - m)) = m_(k - s x) = sum of s_r over r with r x + m = k        (indices modulo K)

The three forms have equal values. In the backward pass each form sends the gradient to its own argument, and the one-hot
vectors of m and s pass it on to the network's logits as softmax(logits / temperature) would (straight-through). Indexing costs
K operations for each label; products with permutation matrices would cost K^2.
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
    """Modular affine map z = (m + s x) mod K of one-hot labels (..., K), from logits of m and, with `scale`, of s.

    With all logits zero it is the identity. Logits of values of s that share a divisor with K are ignored.

    Args:
        classes: Number of labels K of every coordinate, or a tuple with one number per coordinate.
        scale: Whether there is a factor s; otherwise z = (m + x) mod K.
        temperature: Temperature of the softmax that replaces argmax in the gradient.
    """

    classes: int | tuple[int, ...]
    scale: bool = False
    temperature: float = 0.1
    undoing: tuple[tuple[int, ...], ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Compute the inverse modulo K of each scale that has one."""
        known = {modulus: inverses(modulus, self.width) for modulus in set(self._counts)}
        object.__setattr__(self, "undoing", tuple(known[modulus] for modulus in self._counts))

    @property
    def width(self) -> int:
        """Length of the one-hot vectors, the largest K."""
        return max(self.classes) if isinstance(self.classes, tuple) else self.classes

    @property
    def n(self) -> int:
        """Number of parameters of a coordinate: K, or 2 K with a scale."""
        return 2 * self.width if self.scale else self.width

    def check(self, space: Space) -> None:
        """Check that the space has `OneHot` labels with these numbers of classes.

        Raises:
            SpecError: The space does not; the message names it.
        """
        counts = self.classes if isinstance(self.classes, tuple) else (self.classes,) * space.shape[0]
        if not space.one_hot or space.shape[1] != self.width or space.counts != counts:
            raise SpecError(f"Modular({self.classes}) maps one-hot labels of those numbers of classes, got {space}")

    def part(self, which: int | Sequence[int]) -> Modular:
        """Return the map of one coordinate or of some coordinates, with the same length of one-hot vectors."""
        if not isinstance(self.classes, tuple):
            return self
        chosen = (which,) if isinstance(which, int) else tuple(which)
        return _Part(tuple(self.classes[i] for i in chosen), self.scale, self.temperature, self.width)

    @property
    def _counts(self) -> tuple[int, ...]:
        return self.classes if isinstance(self.classes, tuple) else (self.classes,)

    def _moduli(self, like: Tensor) -> Tensor:
        """Return K as a tensor (1,), or the K of each coordinate as (D, 1)."""
        counts = torch.tensor(self._counts, device=like.device)
        return counts[:, None] if len(counts) > 1 else counts

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

    def _inside(self, index: Tensor, modulus: Tensor) -> Tensor:
        """Return the index modulo K; indices from K on, which stand for no label, are unchanged."""
        places = torch.arange(self.width, device=index.device)
        return torch.where(places < modulus, index.remainder(modulus), places)


@dataclass(frozen=True)
class _Part(Modular):
    """Map of some coordinates, with one-hot vectors as long as the largest K of all coordinates."""

    whole: int = 0

    @property
    def width(self) -> int:
        """Length of the one-hot vectors, the largest K of all coordinates."""
        return self.whole


def _gradient(t: Tensor) -> Tensor:
    """Return zeros that have the gradient of t."""
    return t - t.detach()
