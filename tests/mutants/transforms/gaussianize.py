"""Faults of `pushforward/transforms/gaussianize.py`."""

from ..mutant import Mutant

MUTANTS = [
    Mutant(
        "normal score of a mixture: log-slope of one part only",
        "^gaussianization-0$",
        [("NormalScore._score", "inner + outer", "inner")],
    ),
    Mutant(
        "normal score of a mixture: inverse skips the normal distribution",
        "^gaussianization-0$",
        [("NormalScore.inverse", "super().inverse(logit, p)", "super().inverse(z, p)")],
    ),
    Mutant(
        "step to the normal score: log-slope without the part that stays",
        "^normal-score-step$",
        [("NormalScore.forward", "(rest + self.step * log_slope.exp()).log()", "(self.step * log_slope.exp()).log()")],
    ),
    Mutant(
        "step to the normal score: inverse of the whole step",
        "^normal-score-step$",
        [("NormalScore.inverse", "self.step == 1", "self.step > 0")],
    ),
]
