"""Faults of `pushforward/functional/student_t.py`."""

from ..mutant import Mutant

MUTANTS = [
    Mutant(
        "t distribution: another power in the tail",
        "^vine-of-student-0$",
        [("_log_tail", "df * log_angle", "(df - 1) * log_angle")],
    ),
    Mutant(
        "t distribution: quantiles with the wrong sign",
        "^vine-of-student-0$",
        [("student_quantile", "torch.where(u > 0.5, x, -x)", "torch.where(u > 0.5, -x, x)")],
    ),
]
