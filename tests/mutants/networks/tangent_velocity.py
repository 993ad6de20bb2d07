"""Faults of `pushforward/networks/tangent_velocity.py`."""

from ..mutant import Mutant

MUTANTS = [
    Mutant(
        "tangent velocity: divergence without the curvature",
        "^sphere-cnf-0$",
        [("TangentVelocity.along", "tangential(changes, unit) - radial * tangents", "tangential(changes, unit)")],
    ),
    Mutant(
        "tangent velocity: derivatives along normal directions, too",
        "^sphere-cnf-0$",
        [("TangentVelocity.along", "tangential(directions, unit)", "directions")],
    ),
    Mutant(
        "tangent velocity: projection with the wrong sign",
        "^sphere-cnf-0$",
        [("tangential", "v - (v * unit)", "v + (v * unit)")],
    ),
]
