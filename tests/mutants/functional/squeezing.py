"""Faults of `pushforward/functional/squeezing.py`."""

from ..mutant import Mutant

MUTANTS = [
    Mutant(
        "squeeze undone in another order",
        "^squeeze",
        [("unsqueeze", "blocks.permute(0, 1, 4, 2, 5, 3)", "blocks.permute(0, 1, 4, 3, 5, 2)")],
    ),
]
