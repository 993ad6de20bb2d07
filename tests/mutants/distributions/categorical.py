"""Faults of `pushforward/distributions/categorical.py`."""

from ..mutant import Mutant

MUTANTS = [
    Mutant(
        "categorical: last label free",
        "autoregressive-categorical",
        [
            (
                "Labels._chosen",
                "(self._normalised(logits).masked_fill(~self.allowed, 0.0) * codes).flatten",
                "(self._normalised(logits).masked_fill(~self.allowed, 0.0) * codes)[:, :-1].flatten",
            )
        ],
    ),
    Mutant(
        "categorical: labels that a column lacks get mass",
        "categorical",
        [("Labels._normalised", "logits.masked_fill(~self.allowed, -torch.inf).log_softmax", "logits.log_softmax")],
    ),
]
