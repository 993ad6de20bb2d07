"""Faults of `pushforward/transforms/sigmoid_decoder.py`."""

from ..mutant import Mutant

MUTANTS = [
    Mutant(
        "extended logit: slope of the logit outside of the margin",
        "^extended-logit$",
        [("ExtendedLogit.forward", "-log_x - log_rest", "-x.abs().log() - torch.log1p(-inner)")],
    ),
    Mutant(
        "extended logit: flat ends of the inverse",
        "^extended-logit$",
        [("ExtendedLogit.inverse", "inner.sigmoid() + (z - inner) / self._slope", "inner.sigmoid()")],
    ),
    Mutant(
        "extended logit: ends with another slope",
        "^extended-logit$",
        [("ExtendedLogit._slope", "self.margin * (1 - self.margin)", "self.margin")],
    ),
]
