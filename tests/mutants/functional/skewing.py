"""Faults of `pushforward/functional/skewing.py`."""

from ..mutant import Mutant

MUTANTS = [
    Mutant(
        "skewed maps: rows start two columns later",
        "pixelrnn-0",
        [
            (
                "unskew",
                "(height, wide + 1))[..., :wide - height + 1]",
                "(height, wide + 1)).roll(-1, -1)[..., :wide - height + 1]",
            )
        ],
    ),
    Mutant(
        "skewed maps: rows are not moved",
        "pixelrnn-0",
        [("skew", "F.pad(x, (0, height)).flatten(-2)[..., :-height]", "F.pad(x, (0, height - 1)).flatten(-2)")],
    ),
]
