"""Faults of `pushforward/transforms/experts.py`."""

from ..mutant import Mutant

MUTANTS = [
    Mutant(
        "experts: log-scale left out of the joint",
        "^lwta-0$|^competing-coupling$",
        [
            (
                "Experts.log_joint",
                "- sum_events(self.of_winners(scales, winners))",
                "- 0 * sum_events(self.of_winners(scales, winners))",
            )
        ],
    ),
    Mutant(
        "experts: probability of the winner left out of the joint",
        "^lwta-0$|^competing-coupling$",
        [
            (
                "Experts.log_joint",
                "sum_events(label_log_prob(logits, winners))",
                "0 * sum_events(label_log_prob(logits, winners))",
            )
        ],
    ),
    Mutant(
        "experts: shift added in the inverse of the wrong sign",
        "^lwta-0$",
        [("Experts.generated", "+ shift", "- shift")],
    ),
    Mutant("experts: responses without the scale", "^lwta-0$", [("Experts.responses", "* (-scales).exp()", "")]),
    Mutant(
        "experts: the networks do not see the context",
        "^lwta-1$",
        [("Experts.parameters_at", "self.net(seen, context)", "self.net(seen, 0 * context)")],
    ),
]
