"""Faults of `pushforward/functional/normal_score.py`."""

from ..mutant import Mutant

MUTANTS = [
    Mutant(
        "normal score: log-slope without the tail of the other side",
        "^gaussianization-0$",
        [("_log_slope", "F.logsigmoid(logit.abs())", "0 * logit")],
    ),
    Mutant(
        "normal score: ratio of Mills without its constant",
        "^gaussianization-0$",
        [("_log_slope", "math.sqrt(math.pi / 2)", "math.sqrt(math.pi)")],
    ),
    Mutant(
        "normal score: logit of twice the tail",
        "^gaussianization-0$",
        [("normal_to_logit", "_log_ndtr(z) - _log_ndtr(-z)", "_log_ndtr(z) - 2 * _log_ndtr(-z)")],
    ),
]
