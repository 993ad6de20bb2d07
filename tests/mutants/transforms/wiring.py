"""Faults of `pushforward/transforms/wiring.py`."""

from ..mutant import Mutant

MUTANTS = [
    Mutant(
        "wiring: log-determinants are not added forward",
        "^wired$",
        [("Wired.forward", "total = total + dlogp", "total = dlogp")],
    ),
    Mutant(
        "wiring: log-determinants are not added backward",
        "^wired$",
        [("Wired.inverse", "total = total + dlogp", "total = dlogp")],
    ),
    Mutant(
        "wiring: parts concatenated in another order",
        "^wired$",
        [("Wired.inverse", "for value in made]", "for value in made[::-1]]")],
    ),
    Mutant(
        "wiring: the context is left out",
        "^wired$",
        [("Wired._start", "values[CONTEXT] = context", "values[CONTEXT] = 0 * context")],
    ),
]
