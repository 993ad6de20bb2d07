"""Faults of `pushforward/transforms/peer_maps.py`."""

from ..mutant import Mutant

MUTANTS = [
    Mutant(
        "scale rules: the inverse multiplies",
        "^scale-",
        [("ScaleRule.inverse", "(-log_scale).exp()", "log_scale.exp()")],
    ),
    Mutant(
        "saturating spline: heights and widths exchanged in one direction",
        "^saturating-spline$",
        [("SaturatingSpline.inverse", "inverse=True", "inverse=False")],
    ),
    Mutant(
        "saturating spline: slopes at the ends are not one",
        "^saturating-spline$",
        [("SaturatingSpline._map", "value=1.0", "value=2.0")],
    ),
]
