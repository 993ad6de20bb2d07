"""Faults of `pushforward/core/node.py`."""

from ..mutant import Mutant

MUTANTS = [
    Mutant(
        "exactness stops at plain containers",
        "dequantise$|vae",
        [("Node.parts", "yield from below(child)", "yield from ()")],
    ),
]
