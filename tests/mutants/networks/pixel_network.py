"""Faults of `pushforward/networks/pixel_network.py`."""

from ..mutant import Mutant

MUTANTS = [
    Mutant(
        "pixels: outputs in the order of the columns",
        "pixelcnn-0|pixelrnn-0",
        [("PixelNetwork.compute", "made.permute(0, 2, 3, 1)", "made.permute(0, 3, 2, 1)")],
    ),
    Mutant(
        "pixels: a walk forgets to finish the first row",
        "pixelcnn-0|pixelrnn-0",
        [("PixelNetwork._next", "if walk.i and", "if walk.i > 1 and")],
    ),
    Mutant(
        "pixels: the condition is lost in a walk",
        "pixelcnn-1",
        [("PixelNetwork.begin", "self._added(context)", "(None,) * self.places")],
    ),
    Mutant(
        "pixels: features move up, not down",
        "pixelcnn-0",
        [("down", "F.pad(h, (0, 0, 1, 0))[..., :-1, :]", "F.pad(h, (0, 0, 0, 1))[..., 1:, :]")],
    ),
]
