"""Faults of `pushforward/functional/von_mises_fisher.py`."""

from ..mutant import Mutant

MUTANTS = [
    Mutant(
        "von Mises-Fisher: area of the wrong sphere",
        "^von-mises-fisher$",
        [("height_rule", "math.lgamma((n - 1) / 2)", "math.lgamma(n / 2)")],
    ),
    Mutant(
        "von Mises-Fisher: power of the heights",
        "^von-mises-fisher-4$",
        [("height_rule", "(n - 1) / 2 * sides", "(n - 2) / 2 * sides")],
    ),
    Mutant(
        "von Mises-Fisher: step left out of the weights",
        "^von-mises-fisher-circle$",
        [("height_rule", "math.log(step) + area", "area")],
    ),
    Mutant(
        "von Mises-Fisher: distances not scaled",
        "^von-mises-fisher$",
        [("height_rule", "2 * y.sigmoid()", "y.sigmoid()")],
    ),
    Mutant(
        "von Mises-Fisher: closed form of the wrong concentration",
        "^von-mises-fisher$",
        [("draw_angles", "u * torch.expm1(-2 * tiny)", "u * torch.expm1(-tiny)")],
    ),
    Mutant(
        "von Mises-Fisher: every proposal is accepted",
        "^von-mises-fisher-(circle|4)$",
        [("_rejected", "torch.rand_like(k).log()", "-torch.inf")],
    ),
    Mutant(
        "von Mises-Fisher: envelope without its power",
        "^von-mises-fisher-4$",
        [("_rejected", "(n - 1) * ratio.log()", "ratio.log()")],
    ),
]
