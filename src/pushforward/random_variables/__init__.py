"""Exact distributions of functions of random variables: monotone maps, piecewise monotone maps, linear maps and sums."""

from ..moved import old_names
from .expectations import Integral
from .piecewise import Branch, PushForward, expectation
from .push_forward import LinearCombination, branches, discrete, linear, monotone
from .sums import GridSum, MixedSum, sum_of
from .tabulated import DiscreteTable, tabulate

__all__ = [
    "Branch",
    "DiscreteTable",
    "GridSum",
    "Integral",
    "LinearCombination",
    "MixedSum",
    "PushForward",
    "branches",
    "discrete",
    "expectation",
    "linear",
    "monotone",
    "sum_of",
    "tabulate",
]

__getattr__ = old_names("random_variables")
