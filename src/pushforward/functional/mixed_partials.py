"""Mixed partial derivatives through a network: one pass gives d^k f / dx_i ... dx_j for every set {i, ..., j} of inputs.

Each hidden unit carries one number for each subset S of the inputs, its derivative once by every input in S. A linear map acts
on each of them. An activation f follows from Faa di Bruno's formula, a sum over the partitions of S:

    (f o a)_S = sum over partitions P of S: f^(|P|)(a) prod over B in P: a_B

For two inputs this is f'' a_1 a_2 + f' a_12. Subsets are bit masks, so {0, 2} is 5.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

LARGEST = 3
"""Largest number of inputs; the number of terms grows like the Bell numbers."""


def _partitions(subset: int) -> tuple[tuple[int, ...], ...]:
    """Return the partitions of a set into blocks; the set and the blocks are bit masks."""
    if not subset:
        return ((),)
    first = subset & -subset
    rest = subset ^ first
    found = []
    # Every subset of the rest may share the block of the first element.
    part = rest
    while True:
        found += [(first | part, *others) for others in _partitions(rest ^ part)]
        if not part:
            return tuple(found)
        part = (part - 1) & rest


PARTITIONS = tuple(_partitions(subset) for subset in range(2**LARGEST))
"""Partitions of each subset."""


def inputs(x: Tensor) -> list[Tensor]:
    """Return the terms of the inputs themselves, one (B, D) for each subset: x (B, D) -> 2^D tensors."""
    terms = [torch.zeros_like(x) for _ in range(2 ** x.shape[1])]
    terms[0] = x
    for i in range(x.shape[1]):
        terms[1 << i] = torch.zeros_like(x)
        terms[1 << i][:, i] = 1
    return terms


def linear(terms: Sequence[Tensor], weight: Tensor, bias: Tensor) -> list[Tensor]:
    """Return the terms of W a + b."""
    return [term @ weight.mT + (bias if not subset else 0) for subset, term in enumerate(terms)]


def activated(terms: Sequence[Tensor], derivatives: Sequence[Tensor]) -> list[Tensor]:
    """Return the terms of f(a), from f(a), f'(a), f''(a), ...: one more derivative than there are inputs."""
    out = [derivatives[0]]
    for subset in range(1, len(terms)):
        total: Tensor | float = 0.0
        for blocks in PARTITIONS[subset]:
            product = derivatives[len(blocks)]
            for block in blocks:
                product = product * terms[block]
            total = total + product
        out.append(total)  # type: ignore[arg-type]
    return out


def tanh_derivatives(a: Tensor) -> list[Tensor]:
    """Return tanh(a) and its first three derivatives."""
    t = torch.tanh(a)
    first = 1 - t.square()
    return [t, first, -2 * t * first, first * (6 * t.square() - 2)]


def sigmoid_derivatives(a: Tensor) -> list[Tensor]:
    """Return sigmoid(a) and its first three derivatives."""
    p = torch.sigmoid(a)
    first = p * torch.sigmoid(-a)
    return [p, first, first * (1 - 2 * p), first * (1 - 6 * first)]
