"""Faults of `pushforward/transforms/tailed_marginals.py`."""

from ..mutant import Mutant

MUTANTS = [
    Mutant(
        "tails: the scale does not continue the density",
        "^tails",
        [("TailMap.forward", "rate + F.logsigmoid(join)", "rate + F.logsigmoid(-join)")],
    ),
    Mutant(
        "tails: the log-slope leaves out log F",
        "^tails",
        [("TailMap.forward", "-log_scale - grown - log_cdf", "-log_scale - grown")],
    ),
    Mutant(
        "tails: the log-slope of the inverse leaves out the tail index",
        "^tails",
        [("TailMap.inverse", "log_scale - xi * fall", "log_scale - fall")],
    ),
    Mutant(
        "tails: the lower tail has the index of the upper one, forwards",
        "^tails",
        [("TailMap.forward", "(-1.0, below, low, p[..., 2])", "(-1.0, below, low, p[..., 3])")],
    ),
    Mutant(
        "tails: the slope of the body has another scale",
        "^tails",
        [("TailMap.forward", "(below + above).log() - width.log()", "(below + above).log() + width.log()")],
    ),
]
