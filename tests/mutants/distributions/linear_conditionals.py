"""Faults of `pushforward/distributions/linear_conditionals.py`."""

from ..mutant import Mutant

MUTANTS = [
    Mutant(
        "linear prediction: entries that are not observed count",
        "^any-order-1$",
        [
            (
                "LinearConditionals.forward",
                "inverse = torch.linalg.inv(covariance * pairs + torch.diag_embed(1 - seen)) * pairs",
                "inverse = torch.linalg.inv(covariance + 0 * pairs)",
            ),
            ("LinearConditionals.forward", "observed & valued", "valued & valued"),
        ],
    ),
]
