"""Faults of `pushforward/transforms/elementwise.py`."""

from ..mutant import Mutant

MUTANTS = [
    Mutant(
        "element-wise ignores its context",
        "elementwise-context",
        [("Elementwise._parameters_of", "self.net(context).reshape", "0 * self.net(context).reshape")],
    ),
    Mutant(
        "element-wise ignores its picture",
        "slice-given-a-label",
        [("Elementwise._parameters_of", "self.net(given).unflatten", "0 * self.net(given).unflatten")],
    ),
]
