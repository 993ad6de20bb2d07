"""Faults of `pushforward/core/distribution.py`."""

from ..mutant import Mutant

MUTANTS = [
    Mutant(
        "outside the support a finite density",
        "^uniform$|spline-on-a-box|dequantise$",
        [("Distribution.forward", "torch.where(inside, logp, -math.inf)", "logp")],
    ),
    Mutant(
        "non-finite values pass",
        "realnvp-0",
        [("Distribution.log_prob", "_require_finite('x', x, self.space)", "pass")],
    ),
    Mutant(
        "missing context passes", "realnvp-1", [("Distribution._checked_context", "self.context is not None", "False")]
    ),
    Mutant(
        "context batch shape not checked",
        "maf-1",
        [("Distribution._flatten", "tuple(rows.shape[:rows.dim() - len(self.context.shape)])", "batch")],
    ),
]
