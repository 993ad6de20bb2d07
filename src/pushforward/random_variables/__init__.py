"""Exact distributions of functions of random variables: monotone, piecewise, linear, and sums."""

from .push_forward import (
    Branch,
    DiscreteTable,
    GridSum,
    Integral,
    LinearCombination,
    MixedSum,
    PushForward,
    branches,
    discrete,
    expectation,
    linear,
    monotone,
    sum_of,
    tabulate,
)

__all__ = [
    "Branch",
    "Integral",
    "GridSum",
    "LinearCombination",
    "MixedSum",
    "PushForward",
    "DiscreteTable",
    "branches",
    "discrete",
    "expectation",
    "linear",
    "monotone",
    "sum_of",
    "tabulate",
]
