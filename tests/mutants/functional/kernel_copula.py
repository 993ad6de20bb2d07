"""Faults of `pushforward/functional/kernel_copula.py`."""

from ..mutant import Mutant

MUTANTS = [
    Mutant(
        "kernel copula: density along v not normalised",
        "^vine-of-kernel-0$",
        [("_column", "values / total", "2 * values / total")],
    ),
    Mutant(
        "kernel copula: half of the root",
        "^vine-of-kernel-0$",
        [("kernel_h_inverse", "2 * mass / (first + root)", "mass / (first + root)")],
    ),
]
