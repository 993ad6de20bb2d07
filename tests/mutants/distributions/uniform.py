"""Faults of `pushforward/distributions/uniform.py`."""

from ..mutant import Mutant

MUTANTS = [
    Mutant(
        "density on a sphere multiplied by e^0.5",
        "^uniform-sphere$",
        [("_Even._log_prob", "self.log_volume", "self.log_volume + 0.5")],
    ),
]
