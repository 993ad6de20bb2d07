"""Faults of `pushforward/distributions/mixture_of.py`."""

from ..mutant import Mutant

MUTANTS = [
    Mutant(
        "mixture: weights do not sum to one", "^mixture-of-two$", [("MixtureOf.log_weights", ".log_softmax(-1)", "")]
    ),
    Mutant(
        "mixture: draws from equal weights",
        "^mixture-of-two$",
        [("MixtureOf._sample", "self.log_weights(context, n).exp()", "torch.ones_like(self.log_weights(context, n))")],
    ),
    Mutant(
        "mixture: densities averaged in logarithms",
        "^mixture-of-two$",
        [("MixtureOf._log_prob", ".logsumexp(1)", ".mean(1)")],
    ),
    Mutant(
        "mixture: the gate is not used",
        "^mixture-of-flows-1$",
        [("MixtureOf.log_weights", "logits + self.gate(context)", "logits")],
    ),
]
