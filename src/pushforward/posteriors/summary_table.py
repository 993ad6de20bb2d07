"""Table of draws: mean, deviation, error of the mean and quantiles of every parameter."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
"""Quantiles of the table."""


class Summary(Mapping[str, dict[str, float]]):
    """Table with a row of numbers for each scalar parameter: `summary["theta[0]"]["mean"]`; print it to see the table.

    Each row has "mean", "sd" (standard deviation), "mcse" (standard error of the mean: sd over the root of the effective number
    of draws) and the quantiles "5%", "25%", "50%", "75%", "95%", all in the units of the parameter.

    Args:
        draws: Arrays (chains, draws, *shape) by name.
        effective: Effective number of draws.
    """

    def __init__(self, draws: Mapping[str, Any], effective: float) -> None:
        self.effective = effective
        self.rows: dict[str, dict[str, float]] = {}
        for name, values in draws.items():
            for index in np.ndindex(*values.shape[2:]):
                entry = values[(slice(None), slice(None), *index)].reshape(-1).astype(np.float64)
                label = f"{name}[{', '.join(map(str, index))}]" if index else name
                self.rows[label] = self._row(entry)

    def _row(self, values: np.ndarray) -> dict[str, float]:
        deviation = float(values.std(ddof=1))
        row = {"mean": float(values.mean()), "sd": deviation, "mcse": deviation / math.sqrt(self.effective)}
        return row | {f"{q:.0%}": float(v) for q, v in zip(QUANTILES, np.quantile(values, QUANTILES), strict=True)}

    def __getitem__(self, name: str) -> dict[str, float]:
        """Return the row of a parameter."""
        return self.rows[name]

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names of the parameters."""
        return iter(self.rows)

    def __len__(self) -> int:
        """Return the number of scalar parameters."""
        return len(self.rows)

    def __str__(self) -> str:
        """Return the table as text."""
        heads = list(next(iter(self.rows.values())))
        cells = [["", *heads]]
        cells += [[name, *(f"{row[head]:.4g}" for head in heads)] for name, row in self.rows.items()]
        widths = [max(len(line[i]) for line in cells) for i in range(len(cells[0]))]
        lines = []
        for name, *numbers in cells:
            padded = (number.rjust(width) for number, width in zip(numbers, widths[1:], strict=True))
            lines.append("  ".join([name.ljust(widths[0]), *padded]))
        return "\n".join(lines)

    __repr__ = __str__
