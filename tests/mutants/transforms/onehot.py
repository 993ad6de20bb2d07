"""Faults of `pushforward/transforms/onehot.py`."""

from ..mutant import Mutant

MUTANTS = [
    Mutant("one-hot codes shifted by one", "discrete-0", [("ToOneHot.inverse", "+ self.low", "- 1 + self.low")]),
]
