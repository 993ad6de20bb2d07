"""Monotone splines: rational-quadratic in a plain and in fast forms for eager code, compilers and GPUs, and other kinds."""

from .dispatch import rational_quadratic_box, rational_quadratic_tails
from .plain import rational_quadratic
from .spline_kinds import Kind, piecewise_spline, spline_parameters
from .terms import MIN_SIZE, MIN_SLOPE

__all__ = [
    "MIN_SIZE",
    "MIN_SLOPE",
    "Kind",
    "piecewise_spline",
    "rational_quadratic",
    "rational_quadratic_box",
    "rational_quadratic_tails",
    "spline_parameters",
]
