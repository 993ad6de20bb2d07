"""Faults of `pushforward/distributions/class_gaussians.py`."""

from ..mutant import Mutant

MUTANTS = [
    Mutant(
        "class density with the weight of the class",
        "^class-gaussians$",
        [("ClassGaussians._log_prob", "joint - self.logits.log_softmax(0)", "joint")],
    ),
    Mutant(
        "unknown class: weights not normalised",
        "^class-gaussians$",
        [("ClassGaussians.log_joint", "self.logits.log_softmax(0)", "self.logits")],
    ),
    Mutant(
        "draws around a mean of another class",
        "^class-gaussians$",
        [("ClassGaussians._sample", "self.means[label]", "self.means[label - 1]")],
    ),
]
