"""Faults of `pushforward/networks/velocity.py`."""

from ..mutant import Mutant

MUTANTS = [
    Mutant(
        "velocity: slope of the last activation only",
        "ffjord-0|flow-matching-1",
        [("VelocityMLP.along", "linear(directions) * slope(raw, x)", "linear(directions)")],
    ),
    Mutant(
        "velocity: gate missing in the linear part",
        "ffjord-0|^continuous$",
        [("Squash.forward", "directions @ self.inner.weight.mT * gate", "directions @ self.inner.weight.mT")],
    ),
    Mutant("velocity: slope of silu", "flow-matching-0", [("_silu_slope", "value * (1 - gate)", "value * gate")]),
]
