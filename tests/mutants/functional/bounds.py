"""Faults of `pushforward/functional/bounds.py`."""

from ..mutant import Mutant

MUTANTS = [
    Mutant(
        "straight-through rounding without its gradient",
        "rounded-shift",
        [("round_through", "t.round().detach() + (t - t.detach())", "t.round().detach()")],
    ),
    Mutant(
        "element-wise: contributions averaged instead of summed",
        "affine$|realnvp-3",
        [("sum_events", "t.flatten(1).sum", "t.flatten(1).mean")],
    ),
]
