"""Faults of `pushforward/distributions/categorical.py`."""

from ..mutant import Mutant

MUTANTS = [
    Mutant(
        "categorical: last label free",
        "^categorical",
        [("Categorical._log_prob", ").sum(1)", ")[:, :-1].sum(1)")],
    ),
    Mutant(
        "categorical: drawn without its logits",
        "^categorical",
        [("Categorical._generate", "self.factor.normalised(self.logits)", "self.factor.normalised(0 * self.logits)")],
    ),
]
