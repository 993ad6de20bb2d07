"""Faults of `pushforward/core/curved_space.py`."""

from ..mutant import Mutant

MUTANTS = [
    Mutant(
        "area of a sphere: half",
        "^uniform-sphere$",
        [("Sphere.area", "2 * math.pi ** (self.size / 2)", "math.pi ** (self.size / 2)")],
    ),
]
