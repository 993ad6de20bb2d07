"""Faults of `pushforward/networks/conv.py`."""

from ..mutant import Mutant

MUTANTS = [
    Mutant(
        "condition does not reach the convolutions",
        "coupling-given-a-picture|glow-1",
        [("ConvNet.compute", "self.condition(context, x.shape[2:])", "0 * self.condition(context, x.shape[2:])")],
    ),
]
