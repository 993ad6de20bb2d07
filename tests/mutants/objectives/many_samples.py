"""Faults of `pushforward/objectives/many_samples.py`."""

from ..mutant import Mutant

MUTANTS = [
    Mutant(
        "many samples: average without the number of samples",
        "^cif-1$",
        [("ManySamples.forward", " - math.log(k)", "")],
    ),
]
