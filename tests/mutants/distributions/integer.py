"""Faults of `pushforward/distributions/integer.py`."""

from ..mutant import Mutant

MUTANTS = [
    Mutant(
        "discretised mixture: weights not normalised",
        "discretised-logistic-mixture|idf",
        [("DiscretisedLogistic._parameters_for", "weights.log_softmax(-1)", "weights")],
    ),
    Mutant(
        "discretised logistic: scale in the wrong unit",
        "discretised-logistic-mixture",
        [
            (
                "DiscretisedLogistic._parameters_for",
                "soft_clip(scales, self.bound) + math.log(self.unit)",
                "soft_clip(scales, self.bound)",
            ),
            (
                "DiscretisedLogistic._sample",
                "self._generate(chance, n, context)",
                "self.unit * (self._generate(chance, n, context) / self.unit).round()",
            ),
        ],
    ),
    Mutant(
        "discretised logistic ignores its context",
        "discretised-logistic-given",
        [("DiscretisedLogistic._parameters_for", "self.net(context)", "0 * self.net(context)")],
    ),
]
