"""Faults of `pushforward/transforms/observed.py`."""

from ..mutant import Mutant

MUTANTS = [
    Mutant(
        "observed output: the context is added",
        "^observed-output$|^inn-0$",
        [("ObservedOutput.forward", "outputs - self._shifted", "outputs + self._shifted")],
    ),
    Mutant(
        "observed output: density without the scales, both ways",
        "^inn-0$",
        [
            ("ObservedOutput.forward", " - self.scale.log().sum()", ""),
            ("ObservedOutput.inverse", " + self.scale.log().sum()", ""),
        ],
    ),
    Mutant(
        "observed output: density without that of the padding, both ways",
        "^inn-1$",
        [
            ("ObservedOutput.forward", "first + second", "second"),
            ("ObservedOutput.inverse", "first + second", "first"),
        ],
    ),
]
