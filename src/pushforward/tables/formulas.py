"""Escape of texts that a spreadsheet would run as formulas when it opens a CSV file."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from .written_numbers import reads_as_float

FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
"""Characters that begin a formula, or are skipped before one; the last four are wide forms, which some programs accept."""


def escape_formulas(columns: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return columns with a single quote before each name and text that a spreadsheet would read as a formula.

    Numbers are unchanged, also those that are stored as text, such as -1.5.

    Args:
        columns: Arrays of numbers, truth values or objects, by name.
    """
    return {_escaped(name): _escaped_column(values) for name, values in columns.items()}


def _escaped_column(values: np.ndarray) -> np.ndarray:
    if values.dtype.kind != "O":
        return values
    return np.array([_escaped(value) if isinstance(value, str) else value for value in values.tolist()], dtype=object)


def _escaped(text: str) -> str:
    # `float` ignores blanks around a number. A text that begins with a tab must be escaped, so such a text is no number here.
    number = reads_as_float(text) and text == text.strip()
    return f"'{text}" if text.startswith(FORMULA) and not number else text
