"""Faults of `pushforward/transforms/peer_maps.py`."""

from ..mutant import Mutant

MUTANTS = [
    Mutant(
        "saturating spline: heights and widths exchanged in one direction",
        "^saturating-spline$",
        [("SaturatingSpline.inverse", "inverse=True", "inverse=False")],
    ),
    Mutant(
        "saturating spline: a slope outside of it",
        "^saturating-spline$",
        [("SaturatingSpline._map", "log_slope, 0.0", "log_slope, 0.3")],
    ),
]
