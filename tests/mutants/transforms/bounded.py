"""Faults of `pushforward/transforms/bounded.py`."""

from ..mutant import Mutant

MUTANTS = [
    Mutant(
        "logit log-determinant sign, both ways",
        "logit$|dequantise$",
        [
            ("Logit.forward", "-sum_events(log_u + log_rest)", "sum_events(log_u + log_rest)"),
            (
                "Logit.inverse",
                "sum_events(F.logsigmoid(z) + F.logsigmoid(-z))",
                "-sum_events(F.logsigmoid(z) + F.logsigmoid(-z))",
            ),
        ],
    ),
    Mutant(
        "logit: width of the box missing, both ways",
        "logit$",
        [("Logit.__init__", "(math.log(space.high - space.low) - math.log(self.slope))", "-math.log(self.slope)")],
    ),
    Mutant(
        "logit: slope of the constant missing, both ways",
        "logit-constant",
        [
            (
                "Logit.__init__",
                "space.size * (math.log(space.high - space.low) - math.log(self.slope))",
                "space.size * math.log(space.high - space.low)",
            )
        ],
    ),
    Mutant(
        "logit: one-sided constant undone as a symmetric one",
        "logit-constant",
        [("Logit.inverse", "self.slope", "(1 - 2 * self.alpha)")],
    ),
    Mutant(
        "centre: volume missing, both ways",
        "centre",
        [("Centre._volume", " - self.x_space.size * math.log(self.radius)", "")],
    ),
    Mutant(
        "half-line: inverse off by the sign",
        "logit-below",
        [("Logit.inverse", "high - F.softplus(-z)", "high + F.softplus(-z)")],
    ),
    Mutant(
        "log: volume turned round, both ways",
        "^log$",
        [
            ("Log.forward", "-sum_events(log_y)", "sum_events(log_y)"),
            ("Log.inverse", "sum_events", "-sum_events"),
        ],
    ),
    Mutant(
        "log-ratio: last share left out of the volume, both ways",
        "^log-ratio$",
        [
            ("LogRatio.forward", "sum_events(logs)", "sum_events(logs[..., :-1])"),
            ("LogRatio.inverse", "sum_events(logs)", "sum_events(logs[..., :-1])"),
        ],
    ),
]
