"""Faults of `pushforward/transforms/householder.py`."""

from ..mutant import Mutant

MUTANTS = [
    Mutant(
        "Sylvester: diagonals not multiplied",
        "^sylvester$",
        [
            (
                "_log_slopes",
                "r.diagonal(dim1=-2, dim2=-1) * s.diagonal(dim1=-2, dim2=-1)",
                "r.diagonal(dim1=-2, dim2=-1)",
            )
        ],
    ),
    Mutant(
        "Sylvester: Q not orthonormal",
        "^sylvester$",
        [("_orthonormal", "q * r.diagonal(dim1=-2, dim2=-1).sign().unsqueeze(-2)", "free")],
    ),
    Mutant(
        "Sylvester: inverse forgets later entries",
        "sylvester-triangular",
        [("Sylvester.inverse", "v[:, i] - torch.linalg.vecdot(r[:, i, i + 1:], bent)", "v[:, i]")],
    ),
]
