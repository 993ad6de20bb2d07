"""Faults of `pushforward/networks/attention.py`."""

from ..mutant import Mutant

MUTANTS = [
    Mutant(
        "causal attention looks one place ahead, after a cache",
        "token-blocks",
        [("_up_to_itself", "known - new", "known - new + 1")],
    ),
    Mutant(
        "causal attention forgets the cache",
        "autoregressive-token",
        [
            (
                "attend",
                "torch.cat([past[0], key], 2), torch.cat([past[1], value], 2)",
                "torch.cat([0 * past[0], key], 2), torch.cat([0 * past[1], value], 2)",
            )
        ],
    ),
]
