"""Texts of numbers, values and times."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from ..evaluation import Estimate
from .plots import shorten


def number(value: float, digits: int, *, sign: bool = False) -> str:
    """Return a number with a fixed number of decimals and a typographic minus sign; NaN becomes a dash."""
    if math.isnan(value):
        return "–"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    if abs(value) >= 1e6:
        return (f"{value:+.3g}" if sign else f"{value:.3g}").replace("-", "−")
    return fixed(value, digits, sign=sign)


def fixed(value: float, digits: int, *, sign: bool = False) -> str:
    """Return a finite number with a fixed number of decimals and commas between thousands; zero has no sign."""
    text = f"{value:+,.{digits}f}" if sign else f"{value:,.{digits}f}"
    text = text if text.strip("+-0.,") else text.lstrip("+-")
    return text.replace("-", "−")


def estimate(value: Estimate, *, sign: bool = False) -> str:
    """Return "mean ± standard error", with two digits of the error."""
    error = value.standard_error
    if math.isnan(error):
        return number(value.mean, 2, sign=sign)
    digits = 2 if error == 0 else int(np.clip(1 - math.floor(math.log10(error)), 0, 4))
    return between(number(value.mean, digits, sign=sign), number(error, digits))


def between(value: str, error: str) -> str:
    """Return "value ± error" with spaces at which no line is broken."""
    return f"{value}\u00a0±\u00a0{error}"


def p_value(p: float) -> str:
    """Return a p-value as text; one below 0.0001 is written as "< 0.0001"."""
    return "<\u00a00.0001" if p < 1e-4 else f"{p:.2g}" if p < 0.01 else f"{p:.2f}"


def cell(value: Any) -> str:
    """Return a value of a table as text."""
    if value is None or value != value:
        return "–"
    if isinstance(value, bool | np.bool_) or not isinstance(value, int | float | np.integer | np.floating):
        return shorten(str(value), 40)
    size = float(value)
    text = f"{size:.0f}" if size.is_integer() and abs(size) < 1e9 else f"{size:.5g}"
    return text.replace("-", "−")


def duration(seconds: float) -> str:
    """Return a number of seconds as text, in seconds, minutes or hours."""
    if seconds < 60:
        return f"{seconds:.1f} seconds"
    if seconds < 3600:
        return f"{seconds / 60:.1f} minutes"
    return f"{seconds / 3600:.1f} hours"


def plain(value: Any) -> str:
    """Return a setting as text: numbers with six digits, lists and mappings on one line."""
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, (list, tuple)):
        return ", ".join(plain(v) for v in value) or "–"
    if isinstance(value, Mapping):
        return ", ".join(f"{k}: {plain(v)}" for k, v in value.items()) or "–"
    return "–" if value is None or value == "" else str(value)
