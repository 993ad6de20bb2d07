"""Faults of `pushforward/functional/probes.py`."""

from ..mutant import Mutant

MUTANTS = [
    Mutant(
        "continuous: probes of the wrong size",
        "continuous-estimated",
        [("signs", "mul_(2).sub_(1)", "mul_(2).sub_(0.5)")],
    ),
]
