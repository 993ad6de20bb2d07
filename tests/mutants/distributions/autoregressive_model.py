"""Faults of `pushforward/distributions/autoregressive_model.py`."""

from ..mutant import Mutant

MUTANTS = [
    Mutant(
        "autoregressive model: last entry free",
        "autoregressive-categorical|autoregressive-gaussians",
        [("AutoregressiveModel._log_prob", ").sum(1)", ")[:, :-1].sum(1)")],
    ),
    Mutant(
        "autoregressive model: channels of pictures apart when drawn",
        "autoregressive-colours",
        [("AutoregressiveModel.events", "height, width, channels).permute(0, 3, 1, 2)", "channels, height, width)")],
    ),
    Mutant(
        "autoregressive model: log-probability of draws counted twice",
        "autoregressive-gaussians",
        [("AutoregressiveModel._drawn", "total + logp", "total + 2 * logp")],
    ),
]
