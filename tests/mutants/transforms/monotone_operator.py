"""Faults of `pushforward/transforms/monotone_operator.py`."""

from ..mutant import Mutant

MUTANTS = [
    Mutant(
        "monotone operator: only one of the two determinants",
        "^residual-3$",
        [
            (
                "MonotoneOperator._whole_log_det",
                "torch.linalg.slogdet(minus)[1] - torch.linalg.slogdet(plus)[1]",
                "-torch.linalg.slogdet(plus)[1]",
            )
        ],
    ),
    Mutant(
        "monotone operator: the even powers are kept",
        "^monotone-operator-roulette$",
        [("MonotoneOperator._coefficient", "(-1) ** k - 1", "-2")],
    ),
    Mutant(
        "monotone operator: half of the series",
        "^monotone-operator-roulette$",
        [("MonotoneOperator._coefficient", "((-1) ** k - 1) / k", "((-1) ** k - 1) / (2 * k)")],
    ),
    Mutant(
        "monotone operator: the inverse solves the equation of the forward map",
        "^residual-3$",
        [("MonotoneOperator.inverse", "self._turned()._solved", "self._solved")],
    ),
    Mutant(
        "monotone operator: the sign of a product with the negative Jacobian",
        "^residual-3$",
        [("Negative.linearised", "lambda v: -pull(v)", "pull")],
    ),
]
