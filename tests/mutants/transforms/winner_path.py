"""Faults of `pushforward/transforms/winner_path.py`."""

from ..mutant import Mutant

MUTANTS = [
    Mutant(
        "path: the density of the step left out in training", "^lwta-5$", [("WinnerPath.forward_aux", " - log_k", "")]
    ),
]
