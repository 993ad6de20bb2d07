"""Faults of `pushforward/functional/splines/spline_kinds.py`."""

from ...mutant import Mutant

MUTANTS = [
    Mutant("linear spline: inverse by the slope", "^linear-spline$", [("_linear", "(v - y0) / s", "(v - y0) * s")]),
    Mutant(
        "quadratic spline: heights are not scaled",
        "^quadratic-spline$",
        [("_quadratic", "(areas * unit)", "areas")],
    ),
    Mutant(
        "quadratic spline: half of the curvature missing",
        "^quadratic-spline$",
        [("_quadratic", "(d1 - d0) * t / 2", "(d1 - d0) * t")],
    ),
    Mutant(
        "quadratic spline: root of another equation",
        "^quadratic-spline$",
        [("_quadratic", "2 * (d1 - d0) * c", "4 * (d1 - d0) * c")],
    ),
    Mutant(
        "cubic spline: slopes do not meet", "^cubic-spline$", [("_cubic", "3 * s - 2 * d0 - d1", "3 * s - d0 - 2 * d1")]
    ),
    Mutant("cubic spline: no gradient of the root", "^cubic-spline$", [("_cubic", "implicit_root(residual, t)", "t")]),
    Mutant("cubic spline: slope of the third power", "^cubic-spline$", [("_cubic", "t * 3 * three", "t * 2 * three")]),
    Mutant(
        "linear-rational spline: weight of the inner point",
        "^linear-rational-spline$",
        [("_linear_rational", "2 * lower.log()", "lower.log()")],
    ),
    Mutant(
        "linear-rational spline: inverse of the second branch",
        "^linear-rational-spline$",
        [("_linear_rational", "l * last * (h - second) + middle", "last * (h - second) + middle")],
    ),
    Mutant(
        "linear-rational spline: image of the second branch",
        "^linear-rational-spline$",
        [("_linear_rational", "h - middle * (h - rise)", "h - last * (h - rise)")],
    ),
]
