"""Faults of `pushforward/distributions/mixture.py`."""

from ..mutant import Mutant

MUTANTS = [
    Mutant(
        "mixture: weights not normalised",
        "gaussian-mixture",
        [("GaussianMixture._log_prob", "self.logits.log_softmax(0)", "self.logits")],
    ),
    Mutant(
        "mixture: scale's log missing",
        "gaussian-mixture",
        [("GaussianMixture._log_prob", "math.log(2 * math.pi)) - self.log_scales", "math.log(2 * math.pi))")],
    ),
]
