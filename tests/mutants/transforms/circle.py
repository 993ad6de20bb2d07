"""Faults of `pushforward/transforms/circle.py`."""

from ..mutant import Mutant

MUTANTS = [
    Mutant(
        "circle map: phase with the wrong sign in the inverse",
        "^circular-spline$",
        [("CircleMap.inverse", "z - p[..., -1]", "z + p[..., -1]")],
    ),
    Mutant(
        "circular spline: another slope at 2 pi than at 0",
        "^circular-spline-cut$",
        [("CircularSpline._closed", "2 * self.bins:2 * self.bins + 1", "2 * self.bins + 1:2 * self.bins + 2")],
    ),
    Mutant(
        "projection alone: inverse without the shift",
        "^projection-alone$",
        [("Projection.fixed_inverse", "-shift * (-log_scale).exp()", "0 * shift")],
    ),
    Mutant(
        "projection alone: inverse shift not scaled",
        "^projection-alone$",
        [("Projection.fixed_inverse", "-shift * (-log_scale).exp()", "-shift")],
    ),
]
