"""Faults of `pushforward/networks/pixel_gated.py`."""

from ..mutant import Mutant

MUTANTS = [
    Mutant(
        "gated pixels: the vertical stack is not moved down",
        "pixelcnn-0",
        [("PixelGatedNet.features", "layer.link(down(u))", "layer.link(u)")],
    ),
    Mutant(
        "gated pixels: the vertical stack of a walk keeps the wrong rows",
        "pixelcnn-2",
        [("PixelGatedNet.start_row", "window[:, :, 1:]", "window[:, :, :-1]")],
    ),
    Mutant(
        "gated pixels: the vertical stack of a walk has the condition of the next row",
        "pixelcnn-2",
        [("PixelGatedNet.start_row", "more[:, :, walk.i - 1:walk.i]", "more[:, :, walk.i:walk.i + 1]")],
    ),
    Mutant(
        "gated pixels: the vertical stack is gated once only in a walk",
        "pixelcnn-0",
        [("PixelGatedNet.start_row", "v = gate(u)", "v = u[:, ::2]")],
    ),
    Mutant(
        "gated pixels: the first horizontal layer sees its own token",
        "pixelcnn-0",
        [("_Layer.__init__", "'before' if first else 'here'", "'here'")],
    ),
]
