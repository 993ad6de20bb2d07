"""Masked network of a directed graph: the parameters of each feature depend on its parents in the graph alone.

Every hidden unit has a set of features and depends on no others. It sees the units of the layer before whose set is a part of
its own, and the outputs of feature i see the units whose set is a part of the parents of i. With the parents of an order,
{j : j before i}, this is the rule of `MaskedMLP`.

A graph of groups lies between coupling and full autoregression: with p groups, the parents of a feature are the features of
all earlier groups. Two groups are a coupling, D groups an autoregression, and the inverse takes p passes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

from ..errors import SpecError
from .masked import MaskedLinear
from .mlp import ACTIVATIONS, activation_named, check_hidden, through
from .network import Network

Parents = tuple[tuple[int, ...], ...]
"""Parents of each feature, sorted."""


class GraphMLP(Network):
    """Network from features (B, D) to parameters (B, D, n); those of a feature depend on its parents and on the context.

    Args:
        parents: Features on which the parameters of each feature depend, one collection for each of the D features.
        n: Number of parameters for each feature.
        hidden: Widths of the hidden layers; for a residual network an odd number of equal widths.
        context: Length of the context, 0 for none; every output depends on it.
        residual: Whether there are residual connections, see `MLP`.
        activation: Name of the activation function.
        dropout: Probability in [0, 1) of dropping a hidden unit in training.

    Raises:
        SpecError: The graph has a cycle or an unknown feature, or a hidden layer is too narrow for its different sets.
    """

    def __init__(
        self,
        parents: Sequence[Sequence[int]],
        n: int,
        *,
        hidden: Sequence[int] = (64, 64),
        context: int = 0,
        residual: bool = False,
        activation: str = "relu",
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        check_hidden(hidden, residual)
        activation_named(activation)
        graph = tuple(tuple(sorted(set(row))) for row in parents)
        self.depth = longest_chain(graph)
        self.features, self.n = len(graph), n
        self.residual, self.activation = residual, activation
        sees = torch.zeros(self.features, self.features, dtype=torch.bool)
        for i, row in enumerate(graph):
            sees[i, list(row)] = True
        # Without a context, a unit of the empty set is a constant, which the biases can replace.
        sets = sorted({row for row in graph if row or context}, key=lambda row: (len(row), row)) or [()]
        kinds = torch.zeros(len(sets), self.features, dtype=torch.bool)
        for k, row in enumerate(sets):
            kinds[k, list(row)] = True
        if min(hidden) < len(sets):
            raise SpecError(
                f"expected hidden widths >= {len(sets)}, one unit for each different set of parents, got {tuple(hidden)}"
            )
        layers, before = [], None
        for size in hidden:
            units = kinds[torch.arange(size) * len(sets) // size]
            layers.append(MaskedLinear(units if before is None else _covers(units, before)))
            before = units
        assert before is not None  # noqa: S101
        self.hidden = nn.ModuleList(layers)
        self.out = MaskedLinear(_covers(sees, before).repeat(n, 1))
        self.embed = nn.Linear(context, hidden[0], bias=False) if context else None
        self.dropout = nn.Dropout(dropout) if dropout > 0 else None
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def compute(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """Return the parameters: x (B, D), context (B, context) or None -> (B, D, n)."""
        added = None if self.embed is None else self.embed(context)
        h = through(self.hidden, x, ACTIVATIONS[self.activation], self.dropout, residual=self.residual, added=added)
        return self.out(h).unflatten(-1, (self.n, self.features)).mT


def _covers(above: Tensor, below: Tensor) -> Tensor:
    """Return which sets, the rows of `above` (A, D), contain which of the rows of `below` (B, D): (A, B)."""
    return ~(below[None] & ~above[:, None]).any(-1)


def longest_chain(parents: Sequence[Iterable[int]]) -> int:
    """Return the number of features on the longest directed path of a graph: the number of passes of an inverse.

    Args:
        parents: Parents of each feature.

    Raises:
        SpecError: A feature is unknown, or the graph has a cycle; the message names its features.
    """
    size = len(parents)
    waiting = {i: set(row) for i, row in enumerate(parents)}
    unknown = sorted({j for row in waiting.values() for j in row if not 0 <= j < size})
    if unknown:
        raise SpecError(f"expected parents among the features 0 ... {size - 1}, got {unknown[0]}")
    steps = 0
    while waiting:
        ready = [i for i, row in waiting.items() if not row & waiting.keys()]
        if not ready:
            raise SpecError(f"expected a graph without cycles, got one on the features {_cycle(waiting)}")
        for i in ready:
            del waiting[i]
        steps += 1
    return steps


def _cycle(waiting: dict[int, set[int]]) -> str:
    """Return a cycle as text, following parents among features that all have one."""
    path = [next(iter(waiting))]
    while True:
        path.append(min(waiting[path[-1]] & waiting.keys()))
        if path[-1] in path[:-1]:
            return " > ".join(map(str, reversed(path[path.index(path[-1]) :])))


def grouped_parents(features: int, passes: int, *, backwards: bool = False) -> Parents:
    """Return the parents of each feature when the features form groups of neighbours, each after all earlier ones.

    Args:
        features: Number of features D.
        passes: Number of groups: 2 for a coupling, D for an autoregression.
        backwards: Whether the order is reversed.

    Raises:
        SpecError: The number of groups is not between 1 and D.
    """
    if not 1 <= passes <= features:
        raise SpecError(f"expected between 1 and {features} passes for {features} features, got {passes}")
    group = [i * passes // features for i in range(features)]
    group = group[::-1] if backwards else group
    return tuple(tuple(j for j in range(features) if group[j] < group[i]) for i in range(features))
