"""Masked network whose i-th output depends only on inputs before i in some order; it can be unrolled in one pass.

Every hidden unit has a degree d and depends on the inputs of rank <= d. Two units are connected if the degree does not
decrease, and the output of rank r sees units of degree < r (Germain et al. 2015, arXiv:1502.03509, eq. 8-9, 12-13). Here the
units of a layer are sorted by degree. Every mask is then a staircase, and the network can be unrolled: see `unroll`.
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
from .ordered import OrderedNetwork
from .unroll import Staircase


class MaskedLinear(nn.Linear):
    """A linear layer whose weight is multiplied by a fixed mask of zeros and ones.

    Args:
        mask: Mask of shape (outputs, inputs).
        bias: Whether the layer has a bias.
    """

    mask: Tensor

    def __init__(self, mask: Tensor, *, bias: bool = True) -> None:
        super().__init__(mask.shape[1], mask.shape[0], bias=bias)
        self.register_buffer("mask", mask.to(self.weight.dtype), persistent=False)

    @property
    def masked_weight(self) -> Tensor:
        """The weight times the mask."""
        return self.weight * self.mask

    def forward(self, x: Tensor) -> Tensor:
        """Return the result: (B, inputs) -> (B, outputs)."""
        return F.linear(x, self.masked_weight, self.bias)


class MaskedMLP(OrderedNetwork):
    """Masked autoencoder: the parameters of x_i from the x_j before it in `order`, and from the context.

    Args:
        features: Number of features D.
        n: Number of parameters for each feature.
        width: Number of inputs that form one feature (a one-hot code); they have the same rank.
        hidden: Widths of the hidden layers; for a residual network an odd number of equal widths.
        context: Length of the context, 0 for none; every output depends on it.
        order: Rank of each feature: order[i] is the number of features before feature i. None is 0, 1, ..., D - 1.
        residual: Whether there are residual connections, see `MLP`.
        activation: Name of the activation function.
        dropout: Probability in [0, 1) of dropping a hidden unit in training.
        zero: Whether the last layer starts at zero.
        direct: Whether there are also direct connections from the features to later outputs (Germain et al. 2015,
            section 4.2, eq. 15).
        degrees: Degree of each unit of each hidden layer, ascending; by default `hidden_degrees`, in equal shares.
        last_activation: Whether the activation is also applied before the last layer.

    Raises:
        SpecError: The order is not a permutation, or the hidden widths or the degrees do not fit.
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
        direct: bool = False,
        degrees: Sequence[Sequence[int]] | None = None,
        last_activation: bool = True,
    ) -> None:
        super().__init__()
        check_hidden(hidden, residual)
        activation_named(activation)
        order = list(range(features)) if order is None else list(order)
        if sorted(order) != list(range(features)):
            raise SpecError(f"expected `order` to be a permutation of 0 ... {features - 1}, got {order}")
        self.features, self.n, self.width = features, n, width
        self.residual, self.activation, self.last_activation = residual, activation, last_activation
        rank = torch.tensor(order)
        self.register_buffer("order", rank, persistent=False)
        self.register_buffer("columns", rank.argsort(), persistent=False)
        self.visit = rank.argsort().tolist()
        self._kept: tuple[object, dict[bool, Staircase]] | None = None
        # units[l][r]: number of units of layer l that depend only on inputs of rank < r
        self.units: list[list[int]] = []
        layers, before = [], rank.repeat_interleave(width)
        shares = [hidden_degrees(size, features, given=context > 0) for size in hidden]
        for degree in shares if degrees is None else _checked_degrees(degrees, shares):
            self.units.append([int((degree < r).sum()) for r in range(features + 1)])
            layers.append(MaskedLinear(degree[:, None] >= before[None]))
            before = degree
        self.hidden: Sequence[MaskedLinear] = nn.ModuleList(layers)  # type: ignore[assignment]
        self.out = MaskedLinear(rank.repeat(n)[:, None] > before[None])
        earlier = rank.repeat(n)[:, None] > rank.repeat_interleave(width)[None]
        self.direct = MaskedLinear(earlier, bias=False) if direct else None
        self.embed = nn.Linear(context, hidden[0], bias=False) if context else None
        self.dropout = nn.Dropout(dropout) if dropout > 0 else None
        if zero:
            nn.init.zeros_(self.out.weight)
            nn.init.zeros_(self.out.bias)
            if self.direct is not None:
                nn.init.zeros_(self.direct.weight)

    def start_at(self, values: Tensor) -> None:
        """Set the biases of the last layer to `values` (D, n), if its weights are still zero."""
        if not bool(self.out.weight.any()):
            self.out.bias.data.copy_(values.mT.flatten())

    def compute(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """Return the parameters: x (B, D * width), context (B, context) or None -> (B, D, n)."""
        h = self._through(x, context, ACTIVATIONS[self.activation], self.dropout)
        made = self.out(h) if self.direct is None else self.out(h) + self.direct(x)
        # The first parameter of all features comes first, then the second: scalar maps work on contiguous memory.
        return made.unflatten(-1, (self.n, self.features)).mT

    def unroll(self, step: Callable[[int, Tensor], Tensor], rows: Tensor, context: Tensor | None = None) -> Tensor:
        """Compute the features one after the other, each from its own parameters, at the cost of about one forward pass.

        The result equals D passes of `forward` in evaluation mode, each followed by one step. Gradients are recorded if
        they are enabled; otherwise the loop allocates only small slices.

        Args:
            step: Function (feature i, its parameters (B, n)) that returns x_i, (B,) or (B, width).
            rows: Tensor with the length, dtype and device of the batch; its values are not used.
            context: Context of shape (B, context), or None.

        Returns:
            Features x, (B, D * width).
        """
        act, size, last = ACTIVATIONS[self.activation], rows.shape[0], len(self.hidden) - 1
        skips: list[list[Tensor]] = [[] for _ in self.hidden]

        def finish(i: int, lo: int, hi: int, raw: Tensor) -> Tensor:
            # Layers i and i - 2 are cut at different places, but each queue yields pieces in the order in which they are made.
            if self.residual and i % 2 == 0:
                raw = raw if i == 0 else raw + skips[i - 2].pop(0)
                skips[i].append(raw)
            return raw if i == last and not self.last_activation else act(raw)

        first_bias = None
        if self.embed is not None:
            first_bias = torch.addmm(self.hidden[0].bias[:, None], self.embed.weight, context.mT)  # type: ignore[union-attr]
        known = self._staircase(rows).solve(
            lambda r, p: step(self.visit[r], p.mT).reshape(size, self.width).mT, finish, rows, first_bias
        )
        x = known.mT.unflatten(1, (self.features, self.width))
        return x[:, self.order].flatten(1)

    def pull(self, step: Callable[[int, Tensor], Tensor], x: Tensor, context: Tensor | None = None) -> None:
        """Solve the transposed system: visit the features from last to first, each with what later outputs send back to it.

        With N the Jacobian of the outputs with respect to x and q their cotangents, feature i receives (N^T q)_i, which
        depends only on the q of later features, and returns its own q.

        Args:
            step: Function (feature i, (N^T q)_i (B,)) that returns q_i (B, n).
            x: Point at which N is taken, (B, D).
            context: Context of shape (B, context), or None.
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
        options = {"residual": self.residual, "last_activation": self.last_activation}
        return through(self.hidden, x, act, dropout, added=added, **options)

    def _rates(self, x: Tensor, context: Tensor | None) -> list[Tensor]:
        """Return the derivative of the activation of every hidden unit, for each layer (units, B)."""
        rates: list[Tensor] = []

        def act(raw: Tensor) -> Tensor:
            with torch.enable_grad():
                raw = raw.detach().requires_grad_()
                h = ACTIVATIONS[self.activation](raw)
            rates.append(torch.autograd.grad(h, raw, torch.ones_like(h))[0].mT)
            return h.detach()

        h = self._through(x, context, act, None)
        return rates if self.last_activation else [*rates, torch.ones_like(h).mT]

    def _staircase(self, like: Tensor, *, transposed: bool = False) -> Staircase:
        """Return the weights sorted by rank; without gradients, those of the last call if no weight has changed."""
        if torch.is_grad_enabled() or not eager(like, self.out.weight):
            made = self._sorted()
            return made.transposed() if transposed else made
        more = [] if self.direct is None else [self.direct.weight]
        key = _fingerprint([t for layer in (*self.hidden, self.out) for t in (layer.weight, layer.bias)] + more)
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
        direct = None
        if self.direct is not None:
            direct = self.direct.masked_weight.unflatten(0, (self.n, self.features))[:, self.columns]
            direct = direct.transpose(0, 1).flatten(0, 1).unflatten(1, (self.features, self.width))
            direct = direct[:, self.columns].flatten(1)
        return Staircase(self.features, self.width, self.n, weights, biases, self.units, out, out_bias, direct)

    def __getstate__(self) -> dict[str, Any]:
        """Return the state without the sorted copy of the weights."""
        return {**self.__dict__, "_kept": None}


def hidden_degrees(width: int, features: int, *, given: bool) -> Tensor:
    """Return the degrees of the hidden units of a layer, in equal shares, sorted.

    The degree of a unit is the largest rank of the inputs on which it may depend.

    Args:
        width: Number of units.
        features: Number of features D; the largest degree is D - 2.
        given: Whether there is a context. Then some units have degree -1 and depend on the context only.
    """
    lowest = -1 if given or features == 1 else 0
    levels = max(features - 1 - lowest, 1)
    return lowest + torch.arange(width) * levels // width


def _checked_degrees(degrees: Sequence[Sequence[int]], shares: list[Tensor]) -> list[Tensor]:
    """Return given degrees, one tensor for each hidden layer.

    Raises:
        SpecError: There are too many or too few of them, or those of a layer are not ascending.
    """
    found = [torch.tensor(list(layer), dtype=torch.long) for layer in degrees]
    if [len(layer) for layer in found] != [len(layer) for layer in shares]:
        raise SpecError(
            f"expected a degree for each of the {sum(map(len, shares))} hidden units, got {sum(map(len, found))}"
        )
    if any(bool((layer.diff() < 0).any()) for layer in found):
        raise SpecError("expected the degrees of each layer in ascending order")
    return found


def _fingerprint(tensors: list[Tensor]) -> tuple[object, ...] | None:
    """Return a value that is equal for the same tensors with the same values; None if that cannot be decided."""
    if any(t.is_inference() for t in tensors):
        return None
    # A write to `.data` does not change the version. On the CPU, where it is cheap, a checksum of the values is compared too.
    return tuple(
        (t.data_ptr(), t._version, t.dtype, t.device, _sum(t) if t.device.type == "cpu" else 0) for t in tensors
    )


def _sum(t: Tensor) -> float:
    """Return a weighted sum, which differs for almost every other tensor of the shape."""
    for size in reversed(t.shape):
        t = t @ _probe(size, t.dtype)
    return float(t)


@functools.lru_cache(maxsize=64)
def _probe(size: int, dtype: torch.dtype) -> Tensor:
    return torch.rand(size, generator=torch.Generator().manual_seed(size), dtype=dtype) + 0.5
