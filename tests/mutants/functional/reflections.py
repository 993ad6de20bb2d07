"""Faults of `pushforward/functional/reflections.py`."""

from ..mutant import Mutant

MUTANTS = [
    Mutant(
        "reflections by half",
        "sylvester-householder|^svd$",
        [("reflected", "q = q - 2 * torch.matmul", "q = q - torch.matmul")],
    ),
]
