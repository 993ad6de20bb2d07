"""Regular vine: a copula of any dimension, made of pair copulas on the edges of nested trees."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..core import Box, Distribution, Real
from ..errors import DataError, SpecError
from ..functional.bounds import sum_events
from ..functional.kernel_copula import NODES, kernel_h_inverse
from ..functional.pair_copulas import FAMILIES, KERNEL, NAMES, inside, rotated
from ..functional.vine_fit import MOST_FITTED, Pair, VinePart, fit_vine, pair_h, pair_log_density

FEWEST_ROWS = 10
"""Smallest number of rows from which a vine is fitted."""
Key = tuple[int, frozenset[int]]
"""Variable, and the variables that its conditional distribution function is given."""


class VineCopula(Distribution):
    """Regular vine copula on the unit cube, or on logistic scores.

        c(u) = prod_k prod_t c_kt(F(m_t | m_1 ... m_(t-1)), F(k | m_1 ... m_(t-1)))

    The variables k have an order, and every variable has partners m_1, m_2, ... among those before it. The distribution
    functions F are h-functions of pair copulas, so densities have a closed form, and inverse h-functions draw one variable
    after the other. A fresh vine is a chain of Gaussian copulas with correlation zero. `initialise` chooses the trees by
    Dissmann's algorithm, and the families by Akaike's criterion. Further training changes the parameters only. The
    computation is in float64.

    Args:
        space: The unit cube; or a space of real vectors, on which every variable has the standard logistic distribution.
        truncation: Number of trees with pair copulas; None for all.
        families: Names of the families to compare.

    Raises:
        SpecError: The space or the truncation is out of range, or a family is unknown.

    References:
        Aas, Czado, Frigessi and Bakken 2009; Dissmann, Brechmann, Czado and Kurowicka 2013, arXiv:1202.2002.
    """

    start_rows = MOST_FITTED
    order: Tensor
    partners: Tensor
    family: Tensor
    rotation: Tensor
    grids: Tensor
    fitted: Tensor

    def __init__(self, space: Box | Real, truncation: int | None = None, families: Sequence[str] = NAMES) -> None:
        super().__init__()
        cube = type(space) is Box and space.interval == (0.0, 1.0)
        if len(space.shape) != 1 or not space.size or not (cube or type(space) is Real):
            raise SpecError(f"expected the unit cube or real vectors as the space of a vine, got {space}")
        if truncation is not None and truncation < 0:
            raise SpecError(f"expected a truncation >= 0, got {truncation}")
        unknown = sorted(set(families) - set(NAMES))
        if unknown:
            raise SpecError(f"expected families among {', '.join(NAMES)}, got {', '.join(unknown)}")
        size = space.shape[0]
        trees = size - 1 if truncation is None else min(truncation, size - 1)
        self.space, self.scores, self.families = space, not cube, tuple(NAMES.index(name) for name in families)
        # Entries of a variable with fewer than `trees` variables before it are not used.
        self.free = nn.Parameter(torch.zeros(size, trees, 2))
        self.register_buffer("order", torch.arange(size))
        self.register_buffer("partners", torch.zeros(size, trees, dtype=torch.long))
        self.register_buffer("family", torch.zeros(size, trees, dtype=torch.long))
        self.register_buffer("rotation", torch.zeros(size, trees, dtype=torch.long))
        nodes = NODES if KERNEL in self.families else 0
        self.register_buffer("grids", torch.ones(size, trees, nodes, nodes))
        self.register_buffer("fitted", torch.zeros(1, dtype=torch.bool))
        gaussian = Pair(NAMES.index("gaussian"))
        chain = [(i, tuple(range(i))[::-1]) for i in range(size)]
        self.set_parts([VinePart(i, before, (gaussian,) * min(1, i) + (Pair(),) * (i - 1)) for i, before in chain])

    def set_parts(self, parts: Sequence[VinePart]) -> None:
        """Set the structure and the pair copulas from conditional distributions, in the order of sampling."""
        trees = self.free.shape[1]
        with torch.no_grad():
            for k, part in enumerate(parts):
                self.order[k] = part.variable
                for t in range(min(k, trees)):
                    pair = part.pairs[t]
                    self.partners[k, t], self.family[k, t] = part.partners[t], pair.family
                    self.rotation[k, t] = pair.rotation
                    self.free[k, t] = torch.tensor(pair.free, dtype=torch.float64).to(self.free)
                    if pair.grid is not None:
                        self.grids[k, t] = pair.grid
        self.read_parts()

    def _load_from_state_dict(self, *args: Any, **options: Any) -> None:
        super()._load_from_state_dict(*args, **options)
        self.read_parts()

    def read_parts(self) -> None:
        """Read the structure from the buffers into plain numbers, which compiled and exported code treats as constants."""
        self.steps: list[tuple[int, list[tuple[Key, int, int]]]] = []
        self.needed: set[Key] = set()
        partners, family, rotation = self.partners.tolist(), self.family.tolist(), self.rotation.tolist()
        for k, variable in enumerate(self.order.tolist()):
            pairs: list[tuple[Key, int, int]] = []
            for t in range(min(k, self.free.shape[1])):
                key = (partners[k][t], frozenset(partners[k][:t]))
                self.needed.add(key)
                pairs.append((key, family[k][t], rotation[k][t]))
            self.steps.append((variable, pairs))

    def init_from(self, x: Tensor, context: Tensor | None = None) -> None:
        """Fit the trees, the families and their parameters to a batch, unless already fitted.

        Raises:
            DataError: A column is constant.
        """
        if bool(self.fitted) or len(x) < FEWEST_ROWS:
            return
        constant = [i + 1 for i, column in enumerate(x.unbind(1)) if bool((column == column[0]).all())]
        if constant:
            raise DataError(
                f"expected columns that vary in a vine, got the same number in every row of column {constant[0]}; leave it out"
            )
        with torch.no_grad():
            self.set_parts(fit_vine(x.double(), self.free.shape[1], self.families))
            self.fitted.fill_(value=True)

    def pairs(self) -> list[dict[str, Any]]:
        """Return every pair copula: the variables, those given, the family, the rotation and the parameters."""
        found = []
        for k, (variable, pairs) in enumerate(self.steps):
            for t, ((partner, given), family, rotation) in enumerate(pairs):
                known = FAMILIES[family] if family < KERNEL else None
                parameters = [] if known is None else [float(p) for p in known.parameters(self.free[k, t].detach())]
                found.append(
                    {
                        "variables": (partner, variable),
                        "given": tuple(sorted(given)),
                        "family": NAMES[family],
                        "rotation": rotation,
                        "parameters": parameters,
                    }
                )
        return found

    def at_bounds(self, names: Sequence[str] = ()) -> list[str]:
        """Return a sentence for each parameter that lies within 0.1 % of an end of its range.

        Args:
            names: Names of the columns; by default 1, 2, ...
        """
        found = []
        for pair in self.pairs():
            ranges = FAMILIES[NAMES.index(pair["family"])].ranges if pair["family"] != "kernel" else ()
            for value, (low, high) in zip(pair["parameters"], ranges, strict=True):
                if min(value - low, high - value) < 1e-3 * (high - low):
                    a, b = (names[i] if names else i + 1 for i in pair["variables"])
                    found.append(
                        f"The {pair['family']} copula of columns {a} and {b} has the parameter {value:.4g}, "
                        f"at the end of its range {low:g} to {high:g}."
                    )
        return found

    def _pair(self, k: int, t: int) -> tuple[Tensor, Tensor | None]:
        """Return the free parameters and the grid of a pair copula, in float64."""
        return self.free[k, t].double(), self.grids[k, t].double() if self.grids.shape[-1] else None

    def _others(self, values: dict[Key, Tensor], k: int, before: list[Tensor]) -> None:
        """Store what later variables need: F(k | m_1 ... m_t), and F(m_t | k, m_1 ... m_(t-1)).

        Args:
            values: Distribution functions so far, by variable and given variables.
            k: Position of the variable in the order.
            before: F(k | m_1 ... m_t) for t = 0, 1, ...
        """
        variable, pairs = self.steps[k]
        given: frozenset[int] = frozenset()
        for t, (key, family, rotation) in enumerate(pairs):
            partner, already = key
            other = (partner, already | {variable})
            if other in self.needed and other not in values:
                free, grid = self._pair(k, t)
                turn = {90: 270, 270: 90}.get(rotation, rotation)
                values[other] = pair_h(family, turn, free, None if grid is None else grid.mT, values[key], before[t])
            given = already | {partner}
            values[variable, given] = before[t + 1]

    def _log_prob(self, x: Tensor, context: Tensor | None) -> Tensor:
        u = inside(x.double().sigmoid() if self.scores else x.double())
        # A vine of kernel copulas alone has nothing to learn; its log-density still depends on `free`, so training can run.
        total = torch.zeros_like(u[:, 0]) + 0 * self.free.double().sum()
        values: dict[Key, Tensor] = {}
        for k, (variable, pairs) in enumerate(self.steps):
            value = values[variable, frozenset()] = u[:, variable]
            before = [value]
            for t, (key, family, rotation) in enumerate(pairs):
                made = family, rotation, *self._pair(k, t)
                total = total + pair_log_density(*made, values[key], value)
                value = pair_h(*made, value, values[key])
                before.append(value)
            self._others(values, k, before)
        total = total.to(x.dtype)
        return total + sum_events(F.logsigmoid(x) + F.logsigmoid(-x)) if self.scores else total

    def _sample(self, n: int, context: Tensor | None) -> tuple[Tensor, Tensor]:
        size = self.space.size
        noise = inside(torch.rand(n, size, dtype=torch.float64, device=self.device))
        values: dict[Key, Tensor] = {}
        for k, (variable, pairs) in enumerate(self.steps):
            before = [noise[:, k]]
            for t in reversed(range(len(pairs))):
                key, family, rotation = pairs[t]
                before.append(self._inverse(family, rotation, *self._pair(k, t), before[-1], values[key]))
            values[variable, frozenset()] = before[-1]
            self._others(values, k, before[::-1])
        u = torch.stack([values[i, frozenset()] for i in range(size)], 1)
        x = (torch.logit(u) if self.scores else u).to(self.dtype)
        return x, self._log_prob(x, None)

    @staticmethod
    def _inverse(family: int, rotation: int, free: Tensor, grid: Tensor | None, w: Tensor, u: Tensor) -> Tensor:
        """Return the v with h(v | u) = w."""
        if family == KERNEL:
            assert grid is not None  # noqa: S101
            return inside(kernel_h_inverse(grid, w, u))
        turn = rotation in (180, 270)
        seen, asked, _ = rotated(rotation, u, w)
        chosen = FAMILIES[family]
        value = chosen.h_inverse(asked, seen, *chosen.parameters(free))
        return inside(1 - value if turn else value)
