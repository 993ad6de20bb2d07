"""Faults of `pushforward/distributions/chance.py`."""

from ..mutant import Mutant

MUTANTS = [
    Mutant(
        "random labels: log-probability of another label",
        "categorical",
        [("Chance.labels", "x.unsqueeze", "0 * x.unsqueeze")],
    ),
    Mutant(
        "random whole numbers: always the first component",
        "discretised-logistic-mixture",
        [("Chance.integers", "argmax(-1, keepdim=True)", "argmax(-1, keepdim=True) * 0")],
    ),
    Mutant(
        "random whole numbers: drawn without rounding half-way",
        "discretised-logistic",
        [("Chance.integers", "round()", "floor()")],
    ),
]
