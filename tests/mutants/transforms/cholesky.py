"""Faults of `pushforward/transforms/cholesky.py`."""

from ..mutant import Mutant

MUTANTS = [
    Mutant(
        "Cholesky: diagonal and not its logarithm, both ways",
        "^cholesky$",
        [
            ("Cholesky.forward", "logs.sum(-1)", "logs.exp().sum(-1)"),
            ("Cholesky.inverse", "logs.sum(-1)", "logs.exp().sum(-1)"),
        ],
    ),
]
