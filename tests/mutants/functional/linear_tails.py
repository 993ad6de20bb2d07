"""Faults of `pushforward/functional/linear_tails.py`."""

from ..mutant import Mutant

MUTANTS = [
    Mutant(
        "tails: slope one", "^bernstein-polynomial$", [("linear_tails", "log_slope.exp() * (v - edge)", "v - edge")]
    ),
    Mutant("tails: none", "^bernstein-polynomial$", [("linear_tails", "v.clamp(-bound, bound)", "v")]),
]
