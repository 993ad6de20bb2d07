"""Faults of `pushforward/functional/roots.py`."""

from ..mutant import Mutant

MUTANTS = [
    Mutant(
        "root finder stops after three steps",
        "logistic-mixture-apart",
        [("newton_bisect", "range(iterations)", "range(3)")],
    ),
    Mutant(
        "numeric inverse: no gradient of the root",
        "^deep-sigmoidal$",
        [("implicit_root", "2 * torch.is_grad_enabled()", "0")],
    ),
    Mutant(
        "numeric inverse: log-slope of the map itself",
        "^deep-sigmoidal$",
        [("monotone_inverse", "-f(x)[1]", "f(x)[1]")],
    ),
    Mutant(
        "numeric inverse: the interval is not made wider",
        "^deep-sigmoidal-dense$",
        [("_enclosing", "low - width", "low")],
    ),
    Mutant("tanh root: two Newton steps only", "^planar-steep$", [("tanh_root", "range(10)", "range(0)")]),
    Mutant(
        "tanh root: no gradient", "^planar$", [("tanh_root", "_newton(_newton(s, slope, value), slope, value)", "s")]
    ),
]
