"""Texts that a spreadsheet would run as formulas when it opens a CSV file."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
"""Characters that begin a formula, or are skipped before one; the last four are wide forms that some programs take, too."""


def escape_formulas(columns: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return columns whose names and texts begin with a single quote where a spreadsheet would take them for formulas.

    Numbers, also those that are stored as text, such as -1.5, stay as they are.

    Args:
        columns: arrays of numbers, truth values or objects by name.
    """
    return {_escaped(name): _escaped_column(values) for name, values in columns.items()}


def _escaped_column(values: np.ndarray) -> np.ndarray:
    if values.dtype.kind != "O":
        return values
    return np.array([_escaped(value) if isinstance(value, str) else value for value in values.tolist()], dtype=object)


def _escaped(text: str) -> str:
    return f"'{text}" if text.startswith(FORMULA) and not _is_number(text) else text


def _is_number(text: str) -> bool:
    # Blanks around a number are skipped by float, and a tab is what is to be escaped.
    try:
        float(text)
    except ValueError:
        return False
    return text == text.strip()
