"""Faults of `pushforward/transforms/volume_preserving.py`."""

from ..mutant import Mutant

MUTANTS = [
    Mutant(
        "GIN: scale not undone", "^volume-preserving$", [("_Scaled.inverse", "(-p[..., 0]).exp()", "p[..., 0].exp()")]
    ),
    Mutant(
        "softplus scale without its floor in the inverse",
        "^all-in-one$",
        [("SoftplusAffine.inverse", "self.floor", "0.0")],
    ),
]
