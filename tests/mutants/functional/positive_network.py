"""Faults of `pushforward/functional/positive_network.py`."""

from ..mutant import Mutant

MUTANTS = [
    Mutant(
        "integral of a network: weights of all nodes alike",
        "^integrated-network$",
        [
            (
                "clenshaw_curtis",
                "torch.where(ends, weights / 2, weights)",
                "torch.full_like(weights, 1 / (intervals + 1))",
            )
        ],
    ),
    Mutant(
        "integral of a network: last cosine counted twice",
        "^integrated-network$",
        [("clenshaw_curtis", "torch.where(2 * k == intervals, 1.0, 2.0)", "torch.where(k == 3, 1.0, 2.0)")],
    ),
    Mutant(
        "integral of a network: log-slope at the wrong node",
        "^integrated-network$",
        [("integrated_network", "log_g[..., 0]", "log_g[..., -1]")],
    ),
    Mutant(
        "integral of a network: length of the interval",
        "^integrated-network$",
        [("integrated_network", "x * (log_g.exp() * weights)", "(log_g.exp() * weights)")],
    ),
]
