"""Faults of `pushforward/functional/sigmoidal.py`."""

from ..mutant import Mutant

MUTANTS = [
    Mutant(
        "deep sigmoidal: the rate is missing in the slope",
        "^deep-sigmoidal",
        [
            (
                "sigmoidal",
                "(log_rates + log_slope).unsqueeze(-2)",
                "log_slope.unsqueeze(-2).expand(u.unsqueeze(-2).shape)",
            )
        ],
    ),
    Mutant(
        "deep sigmoidal: the slope of the earlier layers is missing",
        "^deep-sigmoidal",
        [("sigmoidal", "(log_rates + log_slope).unsqueeze(-2)", "log_rates.unsqueeze(-2)")],
    ),
    Mutant(
        "deep sigmoidal: the weights of the inputs are missing in the slope",
        "^deep-sigmoidal-dense",
        [("sigmoidal", "(log_inputs + log_slope.unsqueeze(-2))", "(0 * log_inputs + log_slope.unsqueeze(-2))")],
    ),
    Mutant(
        "deep sigmoidal: x itself is missing in the slope",
        "^deep-sigmoidal",
        [("sigmoidal", "torch.full_like(x, leak)", "torch.full_like(x, 2 * leak)")],
    ),
    Mutant(
        "deep sigmoidal: weights are not normalised",
        "^deep-sigmoidal-dense",
        [("sigmoid_layers", "weights.log_softmax(-1)", "weights")],
    ),
]
