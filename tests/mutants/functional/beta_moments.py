"""Faults of `pushforward/functional/beta_moments.py`."""

from ..mutant import Mutant

MUTANTS = [
    Mutant(
        "moments of Beta: without the minus one",
        "^rippel-adams-0$",
        [("beta_of_moments", "(1 - ROOM) * limit) - 1", "(1 - ROOM) * limit)")],
    ),
    Mutant(
        "moments of Beta: plain instead of weighted variance",
        "^rippel-adams-0$",
        [("beta_of_moments", "(share * (z - mean).square()).sum(0)", "(z - mean).square().mean(0)")],
    ),
    Mutant(
        "divergence of Beta: without the last term",
        "^rippel-adams-0$",
        [("beta_divergence", " + (to_a - a + to_b - b) * psi", "")],
    ),
    Mutant(
        "logarithm of the Beta function: sign of the last term",
        "^logit-beta$",
        [("log_beta", "- math.lgamma(a + b)", "+ math.lgamma(a + b)")],
    ),
]
