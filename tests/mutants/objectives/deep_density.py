"""Faults of `pushforward/objectives/deep_density.py`."""

from ..mutant import Mutant

MUTANTS = [
    Mutant(
        "deep density: largest over second singular value",
        "^rippel-adams-0$",
        [("DeepDensity.terms", "s[0] / s[-1]", "s[0] / s.sum()")],
    ),
    Mutant(
        "deep density: cross-entropy with the other sign of the data",
        "^rippel-adams-0$",
        [("DeepDensity.terms", "- x.sigmoid() * again", "+ x.sigmoid() * again")],
    ),
    Mutant(
        "deep density: marginals without weights",
        "^rippel-adams-0$",
        [("DeepDensity.terms", "beta_of_moments(code.sigmoid(), weights)", "beta_of_moments(code.sigmoid())")],
    ),
]
