"""Faults of `pushforward/networks/pixel_walk.py`."""

from ..mutant import Mutant

MUTANTS = [
    Mutant(
        "pixels: a walk forgets the row above too early",
        "pixelcnn-1",
        [("Strip.add", "(i - self.reach - 1, j)", "(i - self.reach, j)")],
    ),
    Mutant(
        "pixels: a walk adds what belongs to another position",
        "pixelcnn-0|pixelrnn-0",
        [
            (
                "Walk.local",
                "min(self.i, height - 1), min(self.j, width - 1)",
                "min(self.j, height - 1), min(self.i, width - 1)",
            )
        ],
    ),
    Mutant(
        "pixels: a walk takes the channels of the first group",
        "pixelrnn-3",
        [
            (
                "Walk.own",
                "group_slice(column.shape[0], self.channels, self.g)",
                "group_slice(column.shape[0], self.channels, 0)",
            )
        ],
    ),
    Mutant(
        "pixels: a walk goes down the columns",
        "pixelcnn-2",
        [("Walk.go_to", "divmod(pixel, self.width)", "divmod(pixel, self.height)")],
    ),
]
