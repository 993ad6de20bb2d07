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
    Mutant(
        "inverse softplus: slope turned round",
        "^survae-1$|^lwta-3$",
        [("softplus_inverse", "(y + log_rest, -log_rest)", "(y + log_rest, log_rest)")],
    ),
    Mutant(
        "inverse softplus: linear term forgotten",
        "^survae-1$|^lwta-3$",
        [("softplus_inverse", "(y + log_rest, -log_rest)", "(log_rest, -log_rest)")],
    ),
]
