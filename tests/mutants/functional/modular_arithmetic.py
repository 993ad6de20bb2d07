"""Faults of `pushforward/functional/modular_arithmetic.py`."""

from ..mutant import Mutant

MUTANTS = [
    Mutant(
        "inverse modulo: coefficient of the wrong number",
        "discrete-0|modular-autoregressive|modular-coupling",
        [("inverse_modulo", "old_t, new_t = (0, 1)", "old_t, new_t = (1, 0)")],
    ),
]
