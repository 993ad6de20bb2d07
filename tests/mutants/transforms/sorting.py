"""Faults of `pushforward/transforms/sorting.py`."""

from ..mutant import Mutant

MUTANTS = [
    Mutant(
        "sort: log-determinant left out, both ways",
        "^sort$",
        [
            ("Sort.split", "sum_events(slopes)", "0 * sum_events(slopes)"),
            ("Sort.merge", "-sum_events", "-0 * sum_events"),
        ],
    ),
    Mutant(
        "sort: entries put in the order, and not at their places",
        "^survae-1$",
        [("Sort.split", "order.argsort(1)", "order")],
    ),
    Mutant("sort: gaps not summed", "^sort$|^survae-1$", [("Sort.merge", ".cumsum(1)", "")]),
    Mutant("rounding: to the nearest number", "^rounding$", [("Rounding.split", "x.floor()", "x.round()")]),
    Mutant("rounding: fractions subtracted", "^rounding$", [("Rounding.merge", "z + lost", "z - lost")]),
]
