"""Faults of `pushforward/objectives/enumeration.py`."""

from ..mutant import Mutant

MUTANTS = [
    Mutant(
        "enumeration: the base scored twice",
        "^lwta-0$",
        [("enumerated_log_prob", "total + model.base", "total + 0.5 + model.base")],
    ),
    Mutant(
        "enumeration: the largest term only", "^lwta-0$", [("enumerated_log_prob", ".logsumexp(0)", ".amax(0) + 1")]
    ),
]
