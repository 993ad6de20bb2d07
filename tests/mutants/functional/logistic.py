"""Faults of `pushforward/functional/logistic.py`."""

from ..mutant import Mutant

MUTANTS = [
    Mutant(
        "logistic mixture: survival term dropped",
        "logistic-mixture",
        [
            (
                "_Mixture.evaluate",
                "log_slope = log_density - log_cdf - log_survival",
                "log_slope = log_density - log_cdf",
            )
        ],
    ),
    Mutant(
        "logistic mixture: scale missing in the density",
        "logistic-mixture",
        [("_Mixture.evaluate", "(cdf + above).sub_(log_scales)", "cdf + above")],
    ),
    Mutant(
        "logistic mixture: inverse contribution sign",
        "logistic-mixture",
        [("_Mixture.evaluate", "-log_slope.view(v.shape)", "log_slope.view(v.shape)")],
    ),
    Mutant(
        "logistic mixture gradient: means", "logistic-mixture", [("_Mixture.gradient", "(g_u * rate).neg_", "g_u.neg")]
    ),
    Mutant(
        "logistic mixture gradient: the softmax's mean",
        "logistic-mixture",
        [("_Mixture.gradient", "c - a - b + weights", "c - a - b")],
    ),
    Mutant(
        "logistic mixture gradient: implicit rule without the log-slope",
        "logistic-mixture",
        [("_Mixture.gradient", "torch.addcmul(-g, g_log, bend)", "(-g)")],
    ),
    Mutant(
        "discretised logistic not normalised",
        "discretised-logistic|rounded-shift",
        [("discretised_logistic", "centred - rate / 2, centred + rate / 2", "centred - rate / 3, centred + rate / 3")],
    ),
    Mutant(
        "discretised logistic: middle factor missing",
        "discretised-logistic",
        [("discretised_logistic", " + torch.log(-torch.expm1(-rate))", "")],
    ),
    Mutant(
        "levels of a logistic: edges without tails",
        "^conditional-logistic$|autoregressive-colours",
        [("logistic_levels", "torch.where(x == 0, F.logsigmoid((x + 0.5 - means) * rate), inner)", "inner")],
    ),
]
