"""Faults of `pushforward/transforms/normalise.py`."""

from ..mutant import Mutant

MUTANTS = [
    Mutant(
        "actnorm of channels counted once",
        "actnorm-channels",
        [("ActNorm._volume", "(self.positions * self.log_scale.sum())", "self.log_scale.sum()")],
    ),
    Mutant(
        "actnorm log-determinant sign, both ways", "actnorm", [("ActNorm._volume", "self.positions", "-self.positions")]
    ),
    Mutant(
        "actnorm starts with the variance instead of the deviation",
        "actnorm",
        [("ActNorm._start", "(variance + EPSILON).log() / 2", "(variance + EPSILON).log()")],
    ),
    Mutant(
        "batch norm: stale running averages",
        "batch-norm|realnvp-2",
        [("BatchNorm.forward", "self.mean.copy_(mean.detach())", "pass")],
    ),
    Mutant(
        "batch norm: half the log-determinant is missing, both ways",
        "batch-norm|realnvp-2",
        [
            ("BatchNorm.forward", "(x.shape[0])", "(x.shape[0]) / 2"),
            ("BatchNorm.inverse", "(z.shape[0])", "(z.shape[0]) / 2"),
        ],
    ),
    Mutant(
        "batch norm of channels counted once, both ways",
        "batch-norm-channels",
        [
            ("BatchNorm.forward", "(self.positions * log_scale.sum()).expand", "log_scale.sum().expand"),
            ("BatchNorm.inverse", "(self.positions * log_scale.sum()).expand", "log_scale.sum().expand"),
        ],
    ),
    Mutant(
        "batch norm: uses batch statistics in evaluation",
        "batch-norm|realnvp-2",
        [("BatchNorm.forward", "self._measured(x) if self.training else None", "self._measured(x)")],
    ),
    Mutant(
        "standardise multiplies",
        "standardise",
        [("Standardise.forward", "(x - self.loc) / self.scale", "(x - self.loc) * self.scale")],
    ),
]
