"""Unrolling: a masked network is solved for one input after the other, at the cost of about one pass.

Output r depends only on inputs before r, and x_r follows from output r. Every hidden unit is therefore needed once, as soon as
the last of its inputs is known. The units of a layer are sorted by this input, so each step is a small product of neighbouring
rows. Steps are grouped into blocks, as in a blocked triangular solve: one large product for everything before the block, and
small products inside it.

The transposed system has the same form. With N the Jacobian of the outputs with respect to the inputs, N^T q is again a masked
network: the layers in reverse order with transposed weights, each unit scaled by the derivative of its activation, the ranks
counted from the end. `Staircase.transposed` builds it. Gradients through an inverse then cost one more such pass (by the
implicit function rule), and no step needs to be stored.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

BLOCK = 8
"""Number of ranks between two large products."""

Finish = Callable[[int, int, int, Tensor], Tensor]
"""Function (layer, first unit, last unit, pre-activations (units, B)) that returns the units' values (units, B)."""


class _Piece(NamedTuple):
    """Units lo ... hi - 1 of a layer, and their weights for the sources s0 ... s1 - 1; None if there are no sources."""

    layer: int
    lo: int
    hi: int
    weight: Tensor | None
    s0: int
    s1: int


class _Rank(NamedTuple):
    """Step of one rank: weights of its outputs for the last layer's units seen ... now - 1, and the units it completes."""

    own: Tensor | None
    now: int
    units: list[_Piece]


class _Block(NamedTuple):
    """Neighbouring ranks: the products of their units and outputs with sources before the block, and the ranks."""

    first: int
    ahead: list[_Piece]
    out: Tensor
    seen: int
    ranks: list[_Rank]


@dataclasses.dataclass(eq=False)
class Staircase:
    """Masked network with inputs and units sorted by rank.

    Args:
        features: Number of ranks D.
        width: Number of inputs of each rank.
        n: Number of outputs of each rank.
        weights: Weights of each hidden layer, (units, inputs) or (units, units of the layer before).
        biases: Biases of each hidden layer, (units,); None for no biases.
        units: For each layer, the number of units that depend only on inputs of rank < r, for r = 0 ... D.
        out: Weights of the outputs, (D n, units), with the outputs of one rank together.
        out_bias: Biases of the outputs, (D n,); None for no biases.
        direct: Weights from the inputs to the outputs, (D n, D width), zero for inputs of the same rank or later; or None.
        pieces: Pieces of the weights for every step, computed when they are first needed.
    """

    features: int
    width: int
    n: int
    weights: list[Tensor]
    biases: list[Tensor] | None
    units: list[list[int]]
    out: Tensor
    out_bias: Tensor | None
    direct: Tensor | None = None
    pieces: tuple[list[_Piece], list[_Block]] | None = None

    def transposed(self) -> Staircase:
        """Return the masked network of N^T q: n inputs and `width` outputs per rank, with ranks counted from the end."""
        features, last = self.features, len(self.weights) - 1
        weights = [self.out.view(features, self.n, -1).flip((0, 2)).flatten(0, 1).mT.contiguous()]
        weights += [self.weights[layer].flip((0, 1)).mT.contiguous() for layer in range(last, 0, -1)]
        # With ranks counted from the end, a unit that depended on inputs of rank <= d sends to outputs of rank > d.
        units = [
            [size - below[features - 1 - r] for r in range(features)] + [size]
            for size, below in ((len(w), u) for w, u in zip(self.weights[::-1], self.units[::-1], strict=True))
        ]
        first = self.weights[0].view(-1, features, self.width)
        out = first.flip((0, 1)).permute(1, 2, 0).flatten(0, 1).contiguous()
        direct = self.direct
        if direct is not None:
            sizes = (features, self.n, features, self.width)
            direct = direct.view(sizes).flip((0, 2)).permute(2, 3, 0, 1).flatten(2).flatten(0, 1)
        return Staircase(features, self.n, self.width, weights, None, units, out, None, direct)

    def solve(
        self,
        step: Callable[[int, Tensor], Tensor],
        finish: Finish,
        rows: Tensor,
        first_bias: Tensor | None = None,
    ) -> Tensor:
        """Return all inputs, each computed from its outputs.

        Args:
            step: Function (rank r, its outputs (n, B)) that returns its inputs, (width, B) or (B,).
            finish: Function that computes the values of some units from their pre-activations.
            rows: Tensor with the length, dtype and device of the batch; its values are not used.
            first_bias: Biases (units, B) that replace the first layer's, or None.

        Returns:
            Inputs (D width, B), in the order of the ranks.
        """
        size, width, n = rows.shape[0], self.width, self.n
        make = _Recorded if torch.is_grad_enabled() else _Buffer
        known = make(self.features * width, size, rows)
        values = [make(weight.shape[0], size, rows) for weight in self.weights]
        sources = [known, *values]
        zero = rows.new_zeros(())
        if self.biases is None:
            biases = [zero.expand(weight.shape[0], size) for weight in self.weights]
        else:
            biases = [bias[:, None].expand(-1, size) for bias in self.biases]
        if first_bias is not None:
            biases[0] = first_bias
        out_bias = zero.expand(len(self.out), 1) if self.out_bias is None else self.out_bias[:, None]
        if self.pieces is None:
            self.pieces = self._cut()
        start, blocks = self.pieces

        def give(piece: _Piece, raw: Tensor) -> Tensor:
            if piece.weight is None:
                return raw
            return torch.addmm(raw, piece.weight, sources[piece.layer].get(piece.s0, piece.s1))

        def add(piece: _Piece, raw: Tensor) -> None:
            layer, lo, hi = piece[:3]
            values[layer].add(finish(layer, lo, hi, give(piece, raw)))

        # Units that depend on no input (only on biases and the context) come first.
        for piece in start:
            add(piece, biases[piece.layer][piece.lo : piece.hi])
        for block in blocks:
            # Large products: all contributions to the block's units and outputs from sources before the block.
            ahead = [give(piece, biases[piece.layer][piece.lo : piece.hi]) for piece in block.ahead]
            rows_of_block = slice(block.first * n, block.first * n + len(block.out))
            outputs = torch.addmm(out_bias[rows_of_block], block.out, values[-1].get(0, block.seen))
            start_of_block = block.first * width
            if self.direct is not None and start_of_block:
                outputs = torch.addmm(
                    outputs, self.direct[rows_of_block, :start_of_block], known.get(0, start_of_block)
                )
            for r, rank in enumerate(block.ranks):
                p = outputs[r * n : (r + 1) * n]
                # Small products: contributions from units that earlier ranks of this block completed.
                if rank.own is not None:
                    p = torch.addmm(p, rank.own, values[-1].get(block.seen, rank.now))
                if self.direct is not None and r:
                    here = slice(rows_of_block.start + r * n, rows_of_block.start + (r + 1) * n)
                    stop = start_of_block + r * width
                    p = torch.addmm(p, self.direct[here, start_of_block:stop], known.get(start_of_block, stop))
                known.add(step(block.first + r, p).reshape(width, size))
                for piece in rank.units:
                    base = block.ahead[piece.layer].lo
                    add(piece, ahead[piece.layer][piece.lo - base : piece.hi - base])
        return known.get(0, self.features * width)

    def _cut(self) -> tuple[list[_Piece], list[_Block]]:
        """Return the pieces of the weights: for units without inputs, and for each block of ranks."""
        units, features, n = self.units, self.features, self.n

        def piece(layer: int, first: int, start: int, stop: int) -> _Piece:
            """Return a layer's units of ranks start ... stop - 1, with weights for sources of ranks first ... stop - 1."""
            lo, hi = units[layer][start], units[layer][stop]
            before = [self.width * r for r in range(features + 1)] if layer == 0 else units[layer - 1]
            s0, s1 = before[first], before[stop]
            weight = self.weights[layer][lo:hi, s0:s1] if hi > lo and s1 > s0 else None
            return _Piece(layer, lo, hi, weight, s0, s1)

        def before(layer: int, first: int, last: int) -> _Piece:
            """Return a layer's units of ranks first ... last - 1, with weights for all sources below rank `first`."""
            lo, hi = units[layer][first], units[layer][last]
            seen = first * self.width if layer == 0 else units[layer - 1][first]
            weight = self.weights[layer][lo:hi, :seen] if seen and hi > lo else None
            return _Piece(layer, lo, hi, weight, 0, seen)

        layers = range(len(self.weights))
        start: list[_Piece] = []
        for layer in layers:
            lo, seen = units[layer][0], units[layer - 1][0] if layer else 0
            if lo:
                start.append(_Piece(layer, 0, lo, self.weights[layer][:lo, :seen] if seen else None, 0, seen))
        blocks: list[_Block] = []
        for first in range(0, features, BLOCK):
            last = min(first + BLOCK, features)
            seen = units[-1][first]
            ranks = []
            for r in range(first, last):
                now = units[-1][r]
                own = self.out[r * n : (r + 1) * n, seen:now] if now > seen else None
                # The last input has no successors, so its units are never needed.
                follow = [piece(layer, first, r, r + 1) for layer in layers] if r + 1 < features else []
                ranks.append(_Rank(own, now, [p for p in follow if p.hi > p.lo]))
            ahead = [before(layer, first, last) for layer in layers]
            blocks.append(_Block(first, ahead, self.out[first * n : last * n, :seen], seen, ranks))
        return start, blocks


class _Buffer:
    """Rows that are written one after the other into one tensor, without gradients."""

    def __init__(self, rows: int, size: int, like: Tensor) -> None:
        self.data, self.count = like.new_empty(rows, size), 0

    def add(self, rows: Tensor) -> None:
        self.data[self.count : self.count + rows.shape[0]] = rows
        self.count += rows.shape[0]

    def get(self, start: int, stop: int) -> Tensor:
        return self.data[start:stop]


class _Recorded:
    """Rows for autograd: pieces are kept, and concatenated when they are read, because writes in place break gradients."""

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
