"""Faults of `pushforward/distributions/vine_copula.py`."""

from ..mutant import Mutant

MUTANTS = [
    Mutant(
        "vine: densities of logistic scores left out",
        "^vine-0$",
        [("VineCopula._log_prob", "F.logsigmoid(x) + F.logsigmoid(-x)", "0 * x")],
    ),
    Mutant(
        "vine: a turned v is not turned back",
        "^vine-of-gumbel-270$",
        [("VineCopula._inverse", "1 - value if turn else value", "value")],
    ),
]
