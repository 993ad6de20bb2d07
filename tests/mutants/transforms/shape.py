"""Faults of `pushforward/transforms/shape.py`."""

from ..mutant import Mutant

MUTANTS = [
    Mutant(
        "checkerboard: colours swapped on the way back",
        "^checkerboard",
        [
            (
                "Checkerboard.inverse",
                "torch.where(odd, uneven, even), torch.where(odd, even, uneven)",
                "torch.where(odd, even, uneven), torch.where(odd, uneven, even)",
            )
        ],
    ),
    Mutant("tokens not transposed on the way back", "^tokens", [("Tokens.inverse", "z.mT.reshape", "z.reshape")]),
]
