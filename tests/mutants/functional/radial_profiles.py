"""Faults of `pushforward/functional/radial_profiles.py`."""

from ..mutant import Mutant

MUTANTS = [
    Mutant(
        "local maps: slope along the radius is that across it",
        "^tabak-turner-0$",
        [("profile", "h.square()", "h")],
    ),
    Mutant(
        "local maps: wrong root of the rational profile",
        "^(radial|tabak-turner-0)$",
        [("rational_root", "target - 1 - strength", "target - 1 + strength")],
    ),
]
