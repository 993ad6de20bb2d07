"""Faults of `pushforward/functional/splines/plain.py`."""

from ...mutant import Mutant

MUTANTS = [
    Mutant(
        "spline: the plain formula has another slope",
        "nsf-0|spline$",
        [("between_knots", "2 * denominator.log()", "denominator.log()")],
    ),
    Mutant(
        "spline: the plain formula has another value",
        "nsf-0|spline$",
        [("between_knots", "d0 * mixed", "d1 * mixed")],
    ),
]
