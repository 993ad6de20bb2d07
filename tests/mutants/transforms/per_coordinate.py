"""Faults of `pushforward/transforms/per_coordinate.py`."""

from ..mutant import Mutant

MUTANTS = [
    Mutant(
        "coordinates are not put back in order", "^coupling-of-kinds$", [("PerCoordinate._apply", ".argsort()", "")]
    ),
    Mutant(
        "parts of the wrong coordinates",
        "^autoregressive-kinds$",
        [("PerCoordinate.part", "self.maps[i]", "self.maps[-1 - i]")],
    ),
]
