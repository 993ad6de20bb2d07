"""Faults of `pushforward/functional/fixed_point.py`."""

from ..mutant import Mutant

MUTANTS = [
    Mutant(
        "Jacobi iteration stops one sweep early",
        "autoregressive-jacobi",
        [("jacobi", "range(depth)", "range(depth - 1)")],
    ),
]
