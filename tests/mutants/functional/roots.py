"""Faults of `pushforward/functional/roots.py`."""

from ..mutant import Mutant

MUTANTS = [
    Mutant(
        "root finder stops after three steps",
        "logistic-mixture-apart",
        [("newton_bisect", "range(iterations)", "range(3)")],
    ),
    Mutant("tanh root: two Newton steps only", "^planar-steep$", [("tanh_root", "range(10)", "range(0)")]),
    Mutant(
        "tanh root: no gradient", "^planar$", [("tanh_root", "_newton(_newton(s, slope, value), slope, value)", "s")]
    ),
]
