"""Faults of `pushforward/distributions/order_average.py`."""

from ..mutant import Mutant

MUTANTS = [
    Mutant(
        "average over masks: sum in place of the mean",
        "order-average",
        [("OrderAverage._log_prob", "- math.log(self.net.masks)", "")],
    ),
    Mutant(
        "average over masks: mean of logarithms",
        "order-average",
        [("OrderAverage._log_prob", "logp.logsumexp(0) - math.log(self.net.masks)", "logp.mean(0)")],
    ),
    Mutant(
        "average over masks: rows drawn under one mask only",
        "order-average",
        [("OrderAverage._sample", "self.net.member(s)", "self.net.member(0)")],
    ),
]
