"""Faults of `pushforward/functional/kernel_copula.py`."""

from ..mutant import Mutant

MUTANTS = [
    Mutant(
        "kernel copula: density along v not normalised",
        "^vine-of-kernel-0$",
        [("_column", "values / total", "2 * values / total")],
    ),
    Mutant(
        "kernel copula: inverse h of a linear function",
        "^vine-of-kernel-0$",
        [("kernel_h_inverse", "2 * slope * mass", "0 * slope * mass")],
    ),
]
