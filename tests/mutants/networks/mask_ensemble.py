"""Faults of `pushforward/networks/mask_ensemble.py`."""

from ..mutant import Mutant

MUTANTS = [
    Mutant(
        "mask ensemble: output mask not strict",
        "order-average",
        [
            (
                "MaskEnsemble.compute",
                "_masked(net.out, ranks > before[None], h)",
                "_masked(net.out, ranks >= before[None], h)",
            )
        ],
    ),
    Mutant(
        "mask ensemble: direct connections from the feature itself",
        "order-average-direct",
        [("MaskEnsemble.compute", "ranks > rank.repeat_interleave", "ranks >= rank.repeat_interleave")],
    ),
    Mutant(
        "mask ensemble: second layer of a member in the order of the shared weights",
        "order-average-direct",
        [("MaskEnsemble.member", "columns = units", "columns = columns")],
    ),
    Mutant(
        "mask ensemble: members without the context",
        "made-4",
        [("MaskEnsemble.member", "shared.embed.weight[units]", "-9 * shared.embed.weight[units]")],
    ),
]
