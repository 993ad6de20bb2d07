"""Faults of `pushforward/functional/splines/eager.py`."""

from ...mutant import Mutant

MUTANTS = [
    Mutant(
        "spline bins found on the wrong side",
        "nsf-0|spline$",
        [("EagerSpline.evaluate", "1 if shape.inverse else 0", "0")],
    ),
    Mutant(
        "spline tails vanish: outside goes to zero",
        "nsf-0|spline$",
        [("EagerSpline.evaluate", "image.mul_(inside).addcmul_(given, 1 - inside)", "image.mul_(inside)")],
    ),
    Mutant(
        "spline tails carry the spline's slope",
        "spline$|nsf-0",
        [("EagerSpline.evaluate", "log_slope.mul_(inside)", "log_slope.add_(0.5 * (1 - inside))")],
    ),
    Mutant(
        "spline boundary slope is not one", "nsf-0|spline$", [("EagerSpline._rows", "rows.new_zeros", "rows.new_ones")]
    ),
    Mutant(
        "spline gradient: the softmax's mean",
        "nsf-0|spline$",
        [("EagerSpline.gradient", "g_parts.sub_(mean[:, None]).scatter_add_", "g_parts.scatter_add_")],
    ),
    Mutant("spline gradient: bins after v count too", "nsf-0|spline$", [("_after", ".clamp_(0, 1)", ".clamp_(-1, 1)")]),
]
