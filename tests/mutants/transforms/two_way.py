"""Faults of `pushforward/transforms/two_way.py`."""

from ..mutant import Mutant

MUTANTS = [
    Mutant(
        "two-way coupling: the context does not reach the networks",
        "^inn-2$",
        [("two_way", "context=context", "context=0")],
    ),
]
