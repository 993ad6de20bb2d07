"""Faults of `pushforward/distributions/conditional.py`."""

from ..mutant import Mutant

MUTANTS = [
    Mutant(
        "conditional normal: scale's log missing",
        "conditional-normal|vae",
        [
            (
                "_normal",
                "-0.5 * (u.square() + math.log(2 * math.pi)) - log_scale",
                "-0.5 * (u.square() + math.log(2 * math.pi))",
            )
        ],
    ),
    Mutant(
        "Bernoulli: sign of the logit",
        "conditional-bernoulli",
        [("ConditionalBernoulli._log_prob", "2 * x - 1", "1 - 2 * x")],
    ),
    Mutant(
        "conditional levels: softmax left out",
        "^conditional-levels$",
        [
            (
                "ConditionalCategorical._log_prob",
                "self._logits(context).log_softmax(-1).gather",
                "self._logits(context).gather",
            )
        ],
    ),
]
