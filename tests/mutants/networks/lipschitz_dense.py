"""Faults of `pushforward/networks/lipschitz_dense.py`."""

from ..mutant import Mutant

MUTANTS = [
    Mutant(
        "dense contraction: shares that add up to one in no norm",
        "residual-dense",
        [
            (
                "LipschitzDenseNet.linearised",
                "F.normalize(F.softplus(self.shares), dim=1)",
                "2 * F.softplus(self.shares)",
            )
        ],
    ),
    Mutant(
        "dense contraction: sign of the second half",
        "residual-dense$",
        [("LipschitzDenseNet.linearised", "-b / BOTH_SIGNS * slope_down", "b / BOTH_SIGNS * slope_down")],
    ),
    Mutant(
        "dense contraction: earlier units not pulled",
        "residual-dense$",
        [("LipschitzDenseNet.linearised", "shares[i, 0] * rest", "rest")],
    ),
]
