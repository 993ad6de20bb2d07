"""Faults of `pushforward/tables/curved_layers.py`."""

from ..mutant import Mutant

MUTANTS = [
    Mutant(
        "angles: period left out of the slope",
        "^curved-columns$",
        [("CurveColumns.forward", "(TURN / width).log() + 0 * turns", "(1 / width).log() + 0 * turns")],
    ),
    Mutant(
        "latitudes: cosine left out of the slope, both ways",
        "^curved-columns$",
        [
            ("CurveColumns.forward", "latitude.cos().log() + ", ""),
            ("CurveColumns.inverse", "latitude.cos().log() + ", ""),
        ],
    ),
    Mutant(
        "latitudes: the sine of twice the angle",
        "^curved-columns$",
        [("CurveColumns.forward", "latitude.sin()", "(2 * latitude).sin()")],
    ),
    Mutant(
        "latitudes: units of the slope left out, both ways",
        "^table-of-places$",
        [
            ("CurveColumns.forward", "latitude.cos().log() + (math.pi / width).log()", "latitude.cos().log()"),
            ("CurveColumns.inverse", "latitude.cos().log() + (math.pi / width).log()", "latitude.cos().log()"),
        ],
    ),
]
