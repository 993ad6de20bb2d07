"""Faults of `pushforward/transforms/masks.py`."""

from ..mutant import Mutant

MUTANTS = [
    Mutant(
        "coupling joins in the wrong order",
        "coupling-random|realnvp-3|alternating",
        [
            (
                "Halves.join",
                "torch.cat([passed, mapped], 1).index_select(1, self.back)",
                "torch.cat([passed, mapped], 1)",
            )
        ],
    ),
    Mutant(
        "second half is never mapped",
        "realnvp-1|nsf-3",
        [("half_mask", "[not keep for keep in mask] if flip and features > 1 else mask", "mask")],
    ),
    Mutant(
        "positions: the network sees what is mapped",
        "coupling-checkerboard",
        [("Positions.split", "v * self.seen", "v")],
    ),
    Mutant(
        "positions: joined in the wrong order",
        "coupling-checkerboard",
        [
            (
                "Positions.join",
                "torch.cat([passed, mapped], 2).index_select(2, self.back).view",
                "torch.cat([passed, mapped], 2).view",
            )
        ],
    ),
]
