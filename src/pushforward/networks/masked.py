"""MaskedMLP: a network whose i-th output sees only the inputs before i in some order, and that can be unrolled in one pass.

Every hidden unit has a degree d and sees the inputs of rank <= d; a connection exists where degrees do not decrease, and
the output of rank r sees units of degree < r (Germain et al. 2015, arXiv:1502.03509, eq. 8-9, 12-13). Here the units of a
layer are sorted by degree, so that every mask is a staircase, and the network can be unrolled: see `unroll`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..errors import SpecError
from ..functional.hand_gradients import eager
from .mlp import ACTIVATIONS, check_hidden, through
from .mlp import activation as activation_named
from .network import Network
from .unroll import Staircase


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


class MaskedMLP(Network):
    """Masked autoencoder: parameters of x_i from the x_j that come before it in `order`, and from the context.

    Args:
        features: D.
        n: parameters for each feature.
        width: inputs that make up one feature (a one-hot code); they share its rank.
        hidden: widths of the hidden layers; all equal, and an odd number of them, when residual.
        context: length of the context, 0 for none; every output sees it.
        order: rank of each feature: order[i] = how many features come before feature i. None is 0, 1, ..., D - 1.
        residual: Whether there are residual connections, see `MLP`.
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
        self._kept: tuple[object, dict[bool, Staircase]] | None = None
        # units[l][r]: how many units of layer l see inputs of rank < r only
        self.units: list[list[int]] = []
        layers, before = [], rank.repeat_interleave(width)
        for size in hidden:
            degree = _degrees(size, lowest, features)
            self.units.append([int((degree < r).sum()) for r in range(features + 1)])
            layers.append(MaskedLinear(degree[:, None] >= before[None]))
            before = degree
        self.hidden: Sequence[MaskedLinear] = nn.ModuleList(layers)  # type: ignore[assignment]
        self.out = MaskedLinear(rank.repeat(n)[:, None] > before[None])
        self.embed = nn.Linear(context, hidden[0], bias=False) if context else None
        self.dropout = nn.Dropout(dropout) if dropout > 0 else None
        if zero:
            nn.init.zeros_(self.out.weight)
            nn.init.zeros_(self.out.bias)

    def compute(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """(B, D * width), (B, context) or None -> (B, D, n)."""
        h = self._through(x, context, ACTIVATIONS[self.activation], self.dropout)
        # One parameter of all features after the other: scalar maps then work on contiguous memory.
        return self.out(h).unflatten(-1, (self.n, self.features)).mT

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
        skips: list[list[Tensor]] = [[] for _ in self.hidden]

        def finish(i: int, lo: int, hi: int, raw: Tensor) -> Tensor:
            if self.residual and i % 2 == 0:
                raw = raw if i == 0 else raw + skips[i - 2].pop(0)
                skips[i].append(raw)
            return act(raw)

        first_bias = None
        if self.embed is not None:
            first_bias = torch.addmm(self.hidden[0].bias[:, None], self.embed.weight, context.mT)  # type: ignore[union-attr]
        known = self._staircase(rows).solve(
            lambda r, p: step(self.visit[r], p.mT).reshape(size, self.width).mT, finish, rows, first_bias
        )
        x = known.mT.unflatten(1, (self.features, self.width))
        return x[:, self.order].flatten(1)

    def pull(self, step: Callable[[int, Tensor], Tensor], x: Tensor, context: Tensor | None = None) -> None:
        """The transposed system: features from the last to the first, each with what the outputs after it send back.

        With N the Jacobian of the outputs with respect to x, and q their cotangents, feature i gets (N^T q)_i, which
        depends on the q of features after i only, and gives its own q.

        Args:
            step: (feature i, (N^T q)_i (B,)) -> q_i (B, n).
            x: (B, D), where N is taken.
            context: (B, context) or None.
        """
        rates = [rate.flip(0) for rate in reversed(self._rates(x, context))]
        values: list[list[Tensor]] = [[] for _ in self.hidden]

        def finish(i: int, lo: int, hi: int, raw: Tensor) -> Tensor:
            value = raw * rates[i][lo:hi]
            if self.residual and i % 2 == 0:
                value = value if i == 0 else value + values[i - 2].pop(0)
                values[i].append(value)
            return value

        last = self.features - 1
        self._staircase(x, transposed=True).solve(lambda r, w: step(self.visit[last - r], w[0]).mT, finish, x)

    def _through(
        self, x: Tensor, context: Tensor | None, act: Callable[[Tensor], Tensor], dropout: nn.Module | None
    ) -> Tensor:
        added = None if self.embed is None else self.embed(context)
        return through(self.hidden, x, act, dropout, residual=self.residual, added=added)

    def _rates(self, x: Tensor, context: Tensor | None) -> list[Tensor]:
        """The derivative of every hidden unit's activation: of each layer (units, B)."""
        rates: list[Tensor] = []

        def act(raw: Tensor) -> Tensor:
            with torch.enable_grad():
                raw = raw.detach().requires_grad_()
                h = ACTIVATIONS[self.activation](raw)
            rates.append(torch.autograd.grad(h, raw, torch.ones_like(h))[0].mT)
            return h.detach()

        self._through(x, context, act, None)
        return rates

    def _staircase(self, like: Tensor, *, transposed: bool = False) -> Staircase:
        """The weights in the order of ranks; those of the last call, when no gradient is recorded and nothing changed."""
        if torch.is_grad_enabled() or not eager(like, self.out.weight):
            made = self._sorted()
            return made.transposed() if transposed else made
        key = _fingerprint([t for layer in (*self.hidden, self.out) for t in (layer.weight, layer.bias)])
        if self._kept is None or key is None or self._kept[0] != key:
            self._kept = (key, {False: self._sorted()})
        kept = self._kept[1]
        if transposed and True not in kept:
            kept[True] = kept[False].transposed()
        return kept[transposed]

    def _sorted(self) -> Staircase:
        weights = [layer.masked_weight for layer in self.hidden]
        weights[0] = weights[0].unflatten(1, (-1, self.width))[:, self.columns].flatten(1)
        out = (
            self.out.masked_weight.unflatten(0, (self.n, self.features))[:, self.columns].transpose(0, 1).flatten(0, 1)
        )
        out_bias = self.out.bias.unflatten(0, (self.n, self.features))[:, self.columns].mT.flatten()
        biases: list[Tensor] = [layer.bias for layer in self.hidden]
        return Staircase(self.features, self.width, self.n, weights, biases, self.units, out, out_bias)

    def __getstate__(self) -> dict[str, Any]:
        """Everything but the sorted copy of the weights."""
        return {**self.__dict__, "_kept": None}


def _degrees(width: int, lowest: int, features: int) -> Tensor:
    """`width` degrees from `lowest` to features - 2, in equal shares, sorted."""
    levels = max(features - 1 - lowest, 1)
    return lowest + torch.arange(width) * levels // width


def _fingerprint(tensors: list[Tensor]) -> tuple[object, ...] | None:
    """Equal for the same tensors with the same values; None when that cannot be told."""
    if any(t.is_inference() for t in tensors):
        return None
    # Writing to `.data` leaves no trace in the version: on the CPU, where it costs little, the values are looked at too.
    return tuple(
        (t.data_ptr(), t._version, t.dtype, t.device, _sum(t) if t.device.type == "cpu" else 0) for t in tensors
    )


def _sum(t: Tensor) -> float:
    """A weighted sum that another tensor of the shape hardly shares."""
    for size in reversed(t.shape):
        t = t @ _probe(size, t.dtype)
    return float(t)


@functools.lru_cache(maxsize=64)
def _probe(size: int, dtype: torch.dtype) -> Tensor:
    return torch.rand(size, generator=torch.Generator().manual_seed(size), dtype=dtype) + 0.5
