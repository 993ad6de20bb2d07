"""Faults of `pushforward/transforms/gaussianize.py`."""

from ..mutant import Mutant

MUTANTS = [
    Mutant(
        "normal score of a mixture: log-slope of one part only",
        "^gaussianization-0$",
        [("NormalScore.forward", "inner + outer", "inner")],
    ),
    Mutant(
        "normal score of a mixture: inverse skips the normal distribution",
        "^gaussianization-0$",
        [("NormalScore.inverse", "super().inverse(logit, p)", "super().inverse(z, p)")],
    ),
]
