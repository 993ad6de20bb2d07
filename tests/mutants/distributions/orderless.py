"""Faults of `pushforward/distributions/orderless.py`."""

from ..mutant import Mutant

MUTANTS = [
    Mutant(
        "orderless: an entry is among those that it is given",
        "^any-order-2$",
        [
            (
                "Orderless.order_log_probs",
                "self.ranks[order] < self.ranks[order, at]",
                "self.ranks[order] <= self.ranks[order, at]",
            )
        ],
    ),
    Mutant(
        "orderless: mean of log-probabilities over orders",
        "^any-order-2$",
        [("Orderless.given_log_prob", "logp.logsumexp(0) - math.log(logp.shape[0])", "logp.mean(0)")],
    ),
    Mutant(
        "orderless: number of orders forgotten",
        "^any-order-2$",
        [("Orderless.given_log_prob", "logp.logsumexp(0) - math.log(logp.shape[0])", "logp.logsumexp(0)")],
    ),
    Mutant(
        "orderless: entries that are not observed reach the network",
        "^any-order-2$",
        [
            (
                "Orderless._units",
                "torch.where(observed.index_select(-1, owner), codes, 0.0)",
                "codes.expand(*observed.shape[:-1], -1)",
            )
        ],
    ),
    Mutant(
        "orderless: drawn entries are not given to the later ones",
        "^any-order-2$",
        [("Orderless.complete", "known[active[at], i] = True", "known[active[at], i] = False")],
    ),
]
