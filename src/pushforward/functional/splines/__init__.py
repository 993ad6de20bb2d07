"""Monotone rational-quadratic splines: the plain formula, and fast forms for eager code, compilers and GPUs."""

from .dispatch import rational_quadratic_box, rational_quadratic_tails
from .plain import rational_quadratic
from .terms import MIN_SIZE, MIN_SLOPE

__all__ = ["MIN_SIZE", "MIN_SLOPE", "rational_quadratic", "rational_quadratic_box", "rational_quadratic_tails"]
