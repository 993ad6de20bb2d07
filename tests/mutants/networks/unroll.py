"""Faults of `pushforward/networks/unroll.py`."""

from ..mutant import Mutant

MUTANTS = [
    Mutant(
        "unrolling forgets what came before a block",
        "maf-2|nsf-4",
        [("Staircase._cut", "_Piece(layer, lo, hi, weight, 0, seen)", "_Piece(layer, lo, hi, None, 0, seen)")],
    ),
]
