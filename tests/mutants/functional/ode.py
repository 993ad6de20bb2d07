"""Faults of `pushforward/functional/ode.py`."""

from ..mutant import Mutant

MUTANTS = [
    Mutant("solver: a stage at the wrong weight", "otflow-0|^continuous$", [("TABLEAUS", "32 / 9", "31 / 9")]),
]
