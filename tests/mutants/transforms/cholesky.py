"""Faults of `pushforward/transforms/cholesky.py`."""

from ..mutant import Mutant

MUTANTS = [
    Mutant(
        "Cholesky: diagonal and not its logarithm, both ways",
        "^cholesky$",
        [
            ("_Triangular.forward", "logs.sum(-1)", "logs.exp().sum(-1)"),
            ("_Triangular.inverse", "logs.sum(-1)", "logs.exp().sum(-1)"),
        ],
    ),
    Mutant(
        "correlation: rows keep their length",
        "^correlation$",
        [("Correlation._made", "logs.exp().unsqueeze(-1)", "1.0")],
    ),
]
