"""Faults of `pushforward/functional/discrepancy.py`."""

from ..mutant import Mutant

MUTANTS = [
    Mutant(
        "discrepancy: mixed pairs counted once",
        "^inn-0$",
        [("discrepancy", "2 * multiquadric(x, y", "multiquadric(x, y")],
    ),
    Mutant("discrepancy: powers are not used", "^inn-0$", [("multiquadric", ".pow(-power)", ".pow(-1)")]),
    Mutant(
        "discrepancy: samples have different centres",
        "^inn-0$",
        [("multiquadric", "y - middle", "y - y.mean(0)")],
    ),
]
