"""MADE: a network whose i-th output sees only the inputs before i in some order, and that can be unrolled in one pass.

Every hidden unit has a degree d and sees the inputs of rank <= d; a connection exists where degrees do not decrease, and
the output of rank r sees units of degree < r (Germain et al. 2015, arXiv:1502.03509, eq. 8-9, 12-13). Here the units of a
layer are sorted by degree, so that every mask is a staircase. Unrolling x_0, x_1, ... then needs each hidden unit once, as
soon as the last input that it sees is known: the work of a single pass, not of D passes. It is done in blocks of ranks, as
a blocked triangular solve is: one large product for all that came before the block, small ones inside it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..errors import SpecError
from .mlp import ACTIVATIONS, check_hidden, through
from .mlp import activation as activation_named

BLOCK = 8
"""Ranks unrolled between two large products."""


class MaskedLinear(nn.Linear):
    """A linear layer whose weight is multiplied by a fixed mask of zeros and ones.

    Args:
        mask: (outputs, inputs).
        bias: whether there is one.
    """

    mask: Tensor

    def __init__(self, mask: Tensor, *, bias: bool = True) -> None:
        super().__init__(mask.shape[1], mask.shape[0], bias=bias)
        self.register_buffer("mask", mask.to(self.weight.dtype), persistent=False)

    @property
    def masked_weight(self) -> Tensor:
        """Weight * mask."""
        return self.weight * self.mask

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs) -> (B, outputs)."""
        return F.linear(x, self.masked_weight, self.bias)


class MADE(nn.Module):
    """Masked autoencoder: parameters of x_i from the x_j that come before it in `order`, and from the context.

    Args:
        features: D.
        n: parameters for each feature.
        width: inputs that make up one feature (a one-hot code); they share its rank.
        hidden: widths of the hidden layers; all equal, and an odd number of them, when residual.
        context: length of the context, 0 for none; every output sees it.
        order: rank of each feature: order[i] = how many features come before feature i. None is 0, 1, ..., D - 1.
        residual: as in `MLP`.
        activation: name of it.
        dropout: probability of dropping a hidden unit while training.
        zero: whether the last layer starts at zero.

    Raises:
        SpecError: `order` is not a permutation, or the hidden widths cannot be built.
    """

    order: Tensor
    columns: Tensor

    def __init__(
        self,
        features: int,
        n: int,
        *,
        width: int = 1,
        hidden: Sequence[int] = (64, 64),
        context: int = 0,
        order: Sequence[int] | None = None,
        residual: bool = False,
        activation: str = "relu",
        dropout: float = 0.0,
        zero: bool = True,
    ) -> None:
        super().__init__()
        check_hidden(hidden, residual)
        activation_named(activation)
        order = list(range(features)) if order is None else list(order)
        if sorted(order) != list(range(features)):
            raise SpecError(f"expected `order` to be a permutation of 0 ... {features - 1}, got {order}")
        self.features, self.n, self.width = features, n, width
        self.residual, self.activation = residual, activation
        rank = torch.tensor(order)
        self.register_buffer("order", rank, persistent=False)
        self.register_buffer("columns", rank.argsort(), persistent=False)
        lowest = -1 if context or features == 1 else 0
        self.visit = rank.argsort().tolist()
        # units[l][r]: how many units of layer l see inputs of rank < r only
        self.units: list[list[int]] = []
        layers, before = [], rank.repeat_interleave(width)
        for size in hidden:
            degree = _degrees(size, lowest, features)
            self.units.append([int((degree < r).sum()) for r in range(features + 1)])
            layers.append(MaskedLinear(degree[:, None] >= before[None]))
            before = degree
        self.hidden: Sequence[MaskedLinear] = nn.ModuleList(layers)  # type: ignore[assignment]
        self.out = MaskedLinear(rank.repeat_interleave(n)[:, None] > before[None])
        self.embed = nn.Linear(context, hidden[0], bias=False) if context else None
        self.dropout = nn.Dropout(dropout) if dropout > 0 else None
        if zero:
            nn.init.zeros_(self.out.weight)
            nn.init.zeros_(self.out.bias)

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """(B, D * width), (B, context) or None -> (B, D, n)."""
        added = None if self.embed is None else self.embed(context)
        h = through(self.hidden, x, self.activation, self.dropout, residual=self.residual, added=added)
        return self.out(h).unflatten(-1, (self.features, self.n))

    def unroll(self, step: Callable[[int, Tensor], Tensor], rows: Tensor, context: Tensor | None = None) -> Tensor:
        """Features one after the other, each from its own parameters, at the cost of about one forward pass.

        Equal to D passes of `forward` in evaluation mode, each followed by one step. Gradients are recorded if they are
        enabled; if not, nothing is allocated inside the loop but small slices.

        Args:
            step: (feature i, its parameters (B, n)) -> x_i (B,), or (B, width).
            rows: a tensor whose length, dtype and device are the batch's.
            context: (B, context) or None.

        Returns:
            x (B, D * width).
        """
        act, size = ACTIVATIONS[self.activation], rows.shape[0]
        make = _Recorded if torch.is_grad_enabled() else _Buffer
        units, width = self.units, self.width
        weights = [layer.masked_weight for layer in self.hidden]
        weights[0] = weights[0].unflatten(1, (-1, width))[:, self.columns].flatten(1)
        out_weight = self.out.masked_weight.unflatten(0, (self.features, self.n))[self.columns].flatten(0, 1)
        out_bias = self.out.bias.unflatten(0, (self.features, self.n))[self.columns].flatten(0, 1)
        biases = [layer.bias[:, None].expand(-1, size) for layer in self.hidden]
        if self.embed is not None:
            biases[0] = torch.addmm(self.hidden[0].bias[:, None], self.embed.weight, context.mT)  # type: ignore[union-attr]
        known = make(self.features * width, size, rows)
        post = [make(layer.out_features, size, rows) for layer in self.hidden]
        skips = [make(layer.out_features, size, rows) for layer in self.hidden[::2]] if self.residual else []

        def add_units(start: int, stop: int, first: int, ahead: Sequence[Tensor]) -> None:
            """Units of ranks start ... stop - 1; `ahead` holds what they get from sources below rank `first`."""
            for i, weight in enumerate(weights):
                lo, hi = units[i][start], units[i][stop]
                source = known if i == 0 else post[i - 1]
                s0, s1 = (first * width, stop * width) if i == 0 else (units[i - 1][first], units[i - 1][stop])
                base = units[i][first]
                raw = ahead[i][lo - base : hi - base]
                if s1 > s0 and hi > lo:
                    raw = torch.addmm(raw, weight[lo:hi, s0:s1], source.get(s0, s1))
                if self.residual and i % 2 == 0:
                    if i > 0:
                        raw = raw + skips[i // 2 - 1].get(lo, hi)
                    skips[i // 2].add(raw)
                post[i].add(act(raw))

        # units that see no input at all, only the context
        for i, weight in enumerate(weights):
            count = units[i][0]
            raw = biases[i][:count]
            if i > 0 and units[i - 1][0]:
                raw = torch.addmm(raw, weight[:count, : units[i - 1][0]], post[i - 1].get(0, units[i - 1][0]))
            if self.residual and i % 2 == 0:
                raw = raw if i == 0 else raw + skips[i // 2 - 1].get(0, count)
                skips[i // 2].add(raw)
            post[i].add(act(raw))
        for first in range(0, self.features, BLOCK):
            last = min(first + BLOCK, self.features)
            ahead = []
            for i, weight in enumerate(weights):
                lo, hi = units[i][first], units[i][last]
                seen = first * width if i == 0 else units[i - 1][first]
                source = known if i == 0 else post[i - 1]
                bias = biases[i][lo:hi]
                ahead.append(torch.addmm(bias, weight[lo:hi, :seen], source.get(0, seen)) if seen and hi > lo else bias)
            seen = units[-1][first]
            ahead_out = torch.addmm(
                out_bias[first * self.n : last * self.n, None],
                out_weight[first * self.n : last * self.n, :seen],
                post[-1].get(0, seen),
            )
            for r in range(first, last):
                p = ahead_out[(r - first) * self.n : (r - first + 1) * self.n]
                now = units[-1][r]
                if now > seen:
                    p = torch.addmm(p, out_weight[r * self.n : (r + 1) * self.n, seen:now], post[-1].get(seen, now))
                known.add(step(self.visit[r], p.mT).reshape(size, width).mT)
                if r + 1 < self.features:
                    add_units(r, r + 1, first, ahead)
        x = known.get(0, self.features * width).mT.unflatten(1, (self.features, width))
        return x[:, self.order].flatten(1)


def _degrees(width: int, lowest: int, features: int) -> Tensor:
    """`width` degrees from `lowest` to features - 2, in equal shares, sorted."""
    levels = max(features - 1 - lowest, 1)
    return lowest + torch.arange(width) * levels // width


class _Buffer:
    """Rows written one after the other into one tensor, without gradients."""

    def __init__(self, rows: int, size: int, like: Tensor) -> None:
        self.data, self.count = like.new_empty(rows, size), 0

    def add(self, rows: Tensor) -> None:
        self.data[self.count : self.count + rows.shape[0]] = rows
        self.count += rows.shape[0]

    def get(self, start: int, stop: int) -> Tensor:
        return self.data[start:stop]


class _Recorded:
    """The same for autograd: the pieces are kept, and joined when they are read."""

    def __init__(self, rows: int, size: int, like: Tensor) -> None:
        self.pieces: list[tuple[int, Tensor]] = []
        self.count, self.empty = 0, like.new_zeros(0, size)

    def add(self, rows: Tensor) -> None:
        if rows.shape[0]:
            self.pieces.append((self.count, rows))
            self.count += rows.shape[0]

    def get(self, start: int, stop: int) -> Tensor:
        parts = [
            piece[max(start - at, 0) : stop - at] for at, piece in self.pieces if at < stop and at + len(piece) > start
        ]
        return torch.cat(parts) if parts else self.empty
