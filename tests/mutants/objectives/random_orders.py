"""Faults of `pushforward/objectives/random_orders.py`."""

from ..mutant import Mutant

MUTANTS = [
    Mutant(
        "orderless loss: weight of the cut forgotten",
        "^any-order-2$",
        [("OrderlessLikelihood._losses", "-weight * terms", "-1.0 * terms")],
    ),
    Mutant(
        "orderless loss: an entry fewer is observed than counted",
        "^any-order-2$",
        [("OrderlessLikelihood._losses", "(count - cut).clamp_min(1)", "(count - cut + 1)")],
    ),
]
