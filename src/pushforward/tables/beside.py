"""Columns that are not modelled: columns left out, identifiers, and columns that are computed from other columns."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from ..errors import DataError, brief
from .column_json import column_from, column_to
from .row_space import Column

Role = Literal["left out", "identifier", "computed"]


@dataclass(frozen=True, kw_only=True)
class Equation:
    """Exact equation that gives a column from others: constant + sum of factor * column, or factor * first * second.

    Args:
        factors: Names of the columns with their factors.
        constant: Constant term of a sum.
        product: Whether the columns are multiplied instead of added; then there are two columns with the same factor.
        tolerance: Largest difference between the two sides in the table.
    """

    factors: tuple[tuple[str, float], ...]
    constant: float = 0.0
    product: bool = False
    tolerance: float = 0.0

    def values(self, columns: Mapping[str, np.ndarray]) -> np.ndarray:
        """Return the column (N,) that the equation gives, from other columns (N,) by name."""
        if self.product:
            (first, factor), (second, _) = self.factors
            return factor * columns[first] * columns[second]
        terms = [factor * columns[name] for name, factor in self.factors]
        return self.constant + np.sum(terms, axis=0)

    @property
    def text(self) -> str:
        """Right-hand side of the equation as text."""
        if self.product:
            (first, factor), (second, _) = self.factors
            return f"{'' if factor == 1 else f'{factor:.6g} * '}{first} * {second}"
        parts: list[str] = []
        for name, factor in self.factors:
            sign = "-" if factor < 0 else "+"
            size = "" if abs(factor) == 1 else f"{abs(factor):.6g} * "
            parts.append(f"{sign} {size}{name}")
        if self.constant:
            parts.append(f"{'-' if self.constant < 0 else '+'} {abs(self.constant):.6g}")
        text = " ".join(parts)
        return text[2:] if text.startswith("+ ") else f"-{text[2:]}"


@dataclass(frozen=True, kw_only=True)
class Beside:
    """Column of a table that is not modelled.

    Args:
        column: Name, storage and grid of the column.
        role: Treatment of the column in samples: "left out", "identifier" or "computed".
        why: Reason why the column is not modelled, as text.
        identity: Equation of a computed column.
        prefix: Text before the number of an identifier.
        width: Number of digits of an identifier, with zeros; 0 for no zeros.
        first: Number of the first new identifier.
    """

    column: Column
    role: Role
    why: str
    identity: Equation | None = None
    prefix: str = ""
    width: int = 0
    first: int = 1

    @property
    def name(self) -> str:
        """Name of the column."""
        return self.column.name

    def draw(self, rows: int) -> np.ndarray | None:
        """Return new identifiers that continue the numbers of the table; None for a column with another role."""
        if self.role != "identifier":
            return None
        numbers = range(self.first, self.first + rows)
        if self.column.storage == "int64":
            return np.array(numbers, dtype=np.int64)
        return np.array([f"{self.prefix}{number:0{self.width}d}" for number in numbers], dtype=object)


def identifier(name: str, values: np.ndarray, why: str) -> Beside:
    """Return the description of a column of identifiers, from which new identifiers can be made.

    Args:
        name: Name of the column.
        values: Identifiers of the table (N,), whole numbers or texts. If all texts are a common prefix and a number, so are the
            new ones.
        why: Reason why the column holds identifiers.
    """
    if values.dtype.kind == "i":
        column = Column(name=name, kind="constant", storage="int64")
        return Beside(column=column, role="identifier", why=why, first=int(values.max()) + 1)
    column = Column(name=name, kind="constant", storage="str", categories=("",))
    present = [text for text in values.tolist() if text is not None]
    parts = [re.fullmatch(r"(\D*)(\d{1,18})", str(text)) for text in present]
    if all(parts) and len({part[1] for part in parts if part}) == 1:
        numbers = [part[2] for part in parts if part]
        width = len(numbers[0]) if len({len(number) for number in numbers}) == 1 else 0
        first = max(map(int, numbers)) + 1
        return Beside(column=column, role="identifier", why=why, prefix=parts[0][1], width=width, first=first)  # type: ignore[index]
    return Beside(column=column, role="identifier", why=why, prefix=f"{name}-")


def beside_to(beside: Beside) -> dict[str, Any]:
    """Return the description as plain values for JSON."""
    values: dict[str, Any] = {"column": column_to(beside.column), "role": beside.role, "why": beside.why}
    if beside.role == "identifier":
        values |= {"prefix": beside.prefix, "width": beside.width, "first": beside.first}
    if beside.identity is not None:
        found = beside.identity
        values["identity"] = {
            "factors": [list(pair) for pair in found.factors],
            "constant": found.constant,
            "product": found.product,
            "tolerance": found.tolerance,
        }
    return values


def beside_from(values: object) -> Beside:
    """Return the column that `beside_to` described.

    Raises:
        DataError: The values are not such a description.
    """
    try:
        if not isinstance(values, Mapping) or values["role"] not in ("left out", "identifier", "computed"):
            raise TypeError
        found = values.get("identity")
        identity = None
        if values["role"] == "computed":
            factors = tuple((str(name), float(factor)) for name, factor in found["factors"])  # type: ignore[index]
            identity = Equation(
                factors=factors,
                constant=float(found["constant"]),  # type: ignore[index]
                product=bool(found["product"]),  # type: ignore[index]
                tolerance=float(found["tolerance"]),  # type: ignore[index]
            )
            if (
                not factors
                or (identity.product and len(factors) != 2)
                or not np.isfinite([f for _, f in factors]).all()
            ):
                raise ValueError
        width, first = int(values.get("width", 0)), int(values.get("first", 1))
        if not (0 <= width <= 18 and abs(first) < 2**62):
            raise ValueError
        return Beside(
            column=column_from(values["column"]),
            role=values["role"],
            why=str(values["why"]),
            identity=identity,
            prefix=str(values.get("prefix", "")),
            width=width,
            first=first,
        )
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"expected the description of a column beside a model, got {brief(values)}") from None
