"""Fit of a regular vine: maximum spanning trees on |Kendall's tau|, and a pair copula for each edge.

Tree 1 joins variables. The nodes of every further tree are the edges of the tree before, and two of them may be joined if they
share a node (Dissmann, Brechmann, Czado and Kurowicka 2013, arXiv:1202.2002). An edge joins variables a and b given a set D.
Its pair copula sees the pseudo-observations F(a | D) and F(b | D), which are h-functions of the trees before.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from .kernel_copula import kernel_fit, kernel_h, kernel_log_density
from .pair_copulas import FAMILIES, KERNEL, Family, StudentPair, inside, rotated, student_pair_log_density
from .student_t import student_quantile

MOST_CHOSEN = 3_000
"""Largest number of rows on which families are compared."""
MOST_FITTED = 20_000
"""Largest number of rows on which the chosen family is fitted."""
MOST_PAIRED = 2_000
"""Largest number of rows for Kendall's tau, whose cost is quadratic."""
DEGREES = (2.2, 3.0, 4.0, 6.0, 9.0, 14.0, 25.0)
"""Degrees of freedom that are tried for the Student copula."""


@dataclass(frozen=True)
class Pair:
    """Pair copula of two variables.

    Args:
        family: Number of the family, see `pair_copulas.NAMES`.
        rotation: Angle in degrees.
        free: Free parameters, (2,).
        grid: Values of a kernel copula at its nodes; None for other families.
        score: Log-likelihood minus the number of parameters, in nats: minus half of Akaike's criterion.
    """

    family: int = 0
    rotation: int = 0
    free: tuple[float, float] = (0.0, 0.0)
    grid: Tensor | None = None
    score: float = 0.0

    def turned(self) -> Pair:
        """Return the pair copula with its variables exchanged."""
        rotation = {90: 270, 270: 90}.get(self.rotation, self.rotation)
        return Pair(self.family, rotation, self.free, None if self.grid is None else self.grid.mT, self.score)


def pair_log_density(family: int, rotation: int, free: Tensor, grid: Tensor | None, u: Tensor, v: Tensor) -> Tensor:
    """Return log c(u, v) of a pair copula: (N,), (N,) -> (N,)."""
    if family == KERNEL:
        assert grid is not None  # noqa: S101
        return kernel_log_density(grid, u, v)
    u, v, _ = rotated(rotation, u, v)
    chosen = FAMILIES[family]
    return chosen.log_density(u, v, *chosen.parameters(free))


def pair_h(family: int, rotation: int, free: Tensor, grid: Tensor | None, v: Tensor, u: Tensor) -> Tensor:
    """Return h(v | u) = dC(u, v) / du of a pair copula."""
    if family == KERNEL:
        assert grid is not None  # noqa: S101
        return inside(kernel_h(grid, v, u))
    u, v, turn = rotated(rotation, u, v)
    chosen = FAMILIES[family]
    value = chosen.h(v, u, *chosen.parameters(free))
    return inside(1 - value if turn else value)


def average_ranks(x: Tensor) -> Tensor:
    """Return the ranks of numbers (N,) divided by N + 1; equal numbers have the mean of their ranks."""
    ordered, x = x.sort().values, x.contiguous()
    below, upto = (torch.searchsorted(ordered, x, right=right) for right in (False, True))
    return (below + upto + 1).double() / 2 / (len(x) + 1)


def thinned(n: int, most: int) -> slice:
    """Return a slice of at most `most` of n rows, at even steps."""
    return slice(None, None, max(1, math.ceil(n / most)))


def kendall(u: Tensor, v: Tensor) -> float:
    """Return Kendall's tau-b of two columns (N,), from at most `MOST_PAIRED` rows."""
    some = thinned(len(u), MOST_PAIRED)
    a, b = ((part[some, None] - part[None, some]).sign() for part in (u, v))
    size = math.sqrt(float(a.abs().sum()) * float(b.abs().sum()))
    return float((a * b).sum()) / size if size else 0.0


def _best(log_likelihood: Callable[[float], float], low: float = -9.0, high: float = 9.0) -> tuple[float, float]:
    """Return the free parameter with the largest log-likelihood, and that number: a grid, then golden sections."""
    grid = [low + (high - low) * i / 18 for i in range(19)]
    values = [log_likelihood(p) for p in grid]
    at = max(range(19), key=values.__getitem__)
    a, b = grid[max(0, at - 1)], grid[min(18, at + 1)]
    golden = (math.sqrt(5) - 1) / 2
    c, d = b - golden * (b - a), a + golden * (b - a)
    value_c, value_d = log_likelihood(c), log_likelihood(d)
    for _ in range(16):
        if value_c > value_d:
            b, d, value_d = d, c, value_c
            c = b - golden * (b - a)
            value_c = log_likelihood(c)
        else:
            a, c, value_c = c, d, value_d
            d = a + golden * (b - a)
            value_d = log_likelihood(d)
    return (c, value_c) if value_c > value_d else (d, value_d)


def _fit_one(number: int, rotation: int, u: Tensor, v: Tensor) -> Pair:
    """Return the maximum-likelihood fit of a family with one parameter."""
    family = FAMILIES[number]
    u, v, _ = rotated(rotation, u, v)

    def log_likelihood(p: float) -> float:
        theta = family.parameters(torch.tensor([p, 0.0], dtype=torch.float64))
        return float(family.log_density(u, v, *theta).sum())

    p, value = _best(log_likelihood)
    return Pair(number, rotation, (p, 0.0), None, value - 1)


def _fit_student(number: int, family: Family, u: Tensor, v: Tensor, degrees: Sequence[float]) -> Pair:
    """Return the fit of the Student copula: the correlation for each of some degrees of freedom."""
    low, high = family.ranges[1]
    best = Pair(number, score=-math.inf)
    for df in degrees:
        freedom = torch.tensor(df, dtype=torch.float64)
        x, y = student_quantile(u, freedom), student_quantile(v, freedom)

        def log_likelihood(p: float, x: Tensor = x, y: Tensor = y, freedom: Tensor = freedom) -> float:
            r = family.parameters(torch.tensor([p, 0.0], dtype=torch.float64))[0]
            return float(student_pair_log_density(x, y, r, freedom).sum())

        p, value = _best(log_likelihood)
        if value - 2 > best.score:
            share = (df - low) / (high - low)
            best = Pair(number, 0, (p, math.log(share / (1 - share))), None, value - 2)
    return best


def fit_pair(u: Tensor, v: Tensor, *, families: Sequence[int]) -> Pair:
    """Return the pair copula with the best criterion of Akaike, among some families and their rotations.

    Args:
        u: First pseudo-observations in float64, (N,).
        v: Second pseudo-observations, (N,).
        families: Numbers of the families to compare; independence is always one of them.
    """
    tau = kendall(u, v)
    some, rows = thinned(len(u), MOST_CHOSEN), thinned(len(u), MOST_FITTED)
    found = [Pair()]
    for number in families:
        if number == KERNEL:
            # The bandwidth depends on the number of rows, so the estimate is judged on all rows to which it is fitted.
            grid, count = kernel_fit(u[rows], v[rows])
            gain = float(kernel_log_density(grid, u[rows], v[rows]).sum()) - count
            found.append(Pair(number, grid=grid, score=gain * len(u[some]) / len(u[rows])))
        elif isinstance(FAMILIES[number], StudentPair):
            found.append(_fit_student(number, FAMILIES[number], u[some], v[some], DEGREES))
        elif number:
            family = FAMILIES[number]
            half = (0,) if not family.rotates or tau > 0 else (90,)
            turns = half if family.radial else (half[0], half[0] + 180)
            found += [_fit_one(number, rotation, u[some], v[some]) for rotation in turns]
    best = max(found, key=lambda pair: pair.score)
    if best.family in {0, KERNEL} or rows == some:
        return best
    if isinstance(FAMILIES[best.family], StudentPair):
        df = float(FAMILIES[best.family].parameters(torch.tensor(best.free, dtype=torch.float64))[1])
        return _fit_student(best.family, FAMILIES[best.family], u[rows], v[rows], (df,))
    return _fit_one(best.family, best.rotation, u[rows], v[rows])


@dataclass
class _Edge:
    """Edge of a tree, or a variable as a node of tree 1.

    Args:
        ends: The two conditioned variables a and b, or the variable.
        members: All variables of the edge, the conditioned and the conditioning ones.
        parents: Positions of the nodes that the edge joins.
        values: Pseudo-observation of each conditioned variable given all others of the edge.
        pair: Pair copula c(F(a | D), F(b | D)).
    """

    ends: tuple[int, ...]
    members: frozenset[int]
    parents: tuple[int, ...]
    values: dict[int, Tensor]
    pair: Pair = field(default_factory=Pair)


@dataclass(frozen=True)
class VinePart:
    """Conditional distribution of one variable in a vine, given those before it in the order.

    Args:
        variable: The variable.
        partners: Variables m_1, m_2, ...; the t-th pair copula joins the variable and m_t given m_1, ..., m_(t-1).
        pairs: Pair copulas c(F(m_t | ...), F(variable | ...)).
    """

    variable: int
    partners: tuple[int, ...]
    pairs: tuple[Pair, ...]


def fit_vine(rows: Tensor, truncation: int, families: Sequence[int]) -> list[VinePart]:
    """Return a regular vine fitted to rows, as conditional distributions in an order of sampling.

    Args:
        rows: Numbers (N, D), of which only the ranks matter.
        truncation: Number of trees with pair copulas; those above are independent.
        families: Numbers of the families to compare.
    """
    size = rows.shape[1]
    u = [average_ranks(column) for column in rows.unbind(1)]
    nodes = [_Edge((i,), frozenset({i}), (), {i: value}) for i, value in enumerate(u)]
    trees = []
    for level in range(1, size):
        edges = []
        for i, j in _spanning_tree(nodes, fitted=level <= truncation):
            edge = _joined(nodes, i, j)
            a, b = edge.ends
            first, second = nodes[i].values[a], nodes[j].values[b]
            edge.values = {a: first, b: second}
            if level <= truncation:
                edge.pair = pair = fit_pair(first, second, families=families)
                free = torch.tensor(pair.free, dtype=torch.float64)
                back = pair.turned()
                edge.values = {
                    a: pair_h(back.family, back.rotation, free, back.grid, first, second),
                    b: pair_h(pair.family, pair.rotation, free, pair.grid, second, first),
                }
            edges.append(edge)
        trees.append(edges)
        nodes = edges
    return _in_order(trees, size)


def _joined(nodes: Sequence[_Edge], i: int, j: int) -> _Edge:
    """Return the edge that joins two nodes, without pseudo-observations."""
    (a,), (b,) = nodes[i].members - nodes[j].members, nodes[j].members - nodes[i].members
    return _Edge((a, b), nodes[i].members | nodes[j].members, (i, j), {})


def _spanning_tree(nodes: Sequence[_Edge], *, fitted: bool) -> list[tuple[int, int]]:
    """Return the edges of a maximum spanning tree on |tau|, by Prim's algorithm; without `fitted`, of any spanning tree."""

    def weight(i: int, j: int) -> float:
        if nodes[i].parents and not set(nodes[i].parents) & set(nodes[j].parents):
            return -1.0
        if not fitted:
            return 0.0
        (a,), (b,) = nodes[i].members - nodes[j].members, nodes[j].members - nodes[i].members
        return abs(kendall(nodes[i].values[a], nodes[j].values[b]))

    best = {j: (weight(0, j), 0) for j in range(1, len(nodes))}
    chosen = []
    while best:
        j = max(best, key=lambda other: best[other][0])
        chosen.append((best.pop(j)[1], j))
        for other, (known, _) in best.items():
            if (new := weight(j, other)) > known:
                best[other] = (new, j)
    return chosen


def _in_order(trees: Sequence[Sequence[_Edge]], size: int) -> list[VinePart]:
    """Return the vine as conditional distributions: the edge of the last tree has the last variable, and so on downwards.

    A conditioned variable of the one edge of the highest tree is in exactly one edge of each lower tree as a conditioned
    variable. Without these edges, the rest is a regular vine of the other variables.
    """
    left = [list(tree) for tree in trees]
    parts = []
    for level in range(size - 1, 0, -1):
        variable = left[level - 1][0].ends[1]
        partners, pairs = [], []
        for tree in left[:level]:
            edge = next(edge for edge in tree if variable in edge.ends)
            tree.remove(edge)
            a, b = edge.ends
            partners.append(a if b == variable else b)
            pairs.append(edge.pair if b == variable else edge.pair.turned())
        parts.append(VinePart(variable, tuple(partners), tuple(pairs)))
    (first,) = set(range(size)) - {part.variable for part in parts}
    return [VinePart(first, (), ()), *reversed(parts)]
