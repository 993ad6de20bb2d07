"""Faults of `pushforward/networks/pixel_masks.py`."""

from ..mutant import Mutant

MUTANTS = [
    Mutant(
        "pixels: mask A sees its own token",
        "pixelcnn-0|pixelrnn-0",
        [("MaskedConv2d.__init__", "group[:, None] > source", "group[:, None] >= source")],
    ),
    Mutant(
        "pixels: mask B sees later channels",
        "pixelcnn-4|pixelrnn-3",
        [("MaskedConv2d.__init__", "group[:, None] >= source", "group[:, None] <= source")],
    ),
    Mutant(
        "pixels: pixels on the right are not masked",
        "pixelcnn-1",
        [("MaskedConv2d.__init__", "mask[:, :, -1, self.side + 1:] = 0", "mask[:, :, -1, self.side + 1:] = 1")],
    ),
    Mutant(
        "pixels: weights are not masked",
        "pixelcnn-0|pixelcnn-1",
        [("MaskedConv2d.over", "self.weight * self.mask", "self.weight")],
    ),
    Mutant(
        "pixels: gates have the groups of one part only",
        "pixelrnn-3",
        [("MaskedConv2d.__init__", "groups_of(outputs // parts, tokens).repeat(parts)", "groups_of(outputs, tokens)")],
    ),
    Mutant(
        "pixels: weights of a column in another order",
        "pixelcnn-1",
        [("MaskedConv2d.matrix", "len(self.places)].mT.flatten(1)", "len(self.places)].flatten(1)")],
    ),
    Mutant(
        "pixels: the convolution looks one column too far to the right",
        "pixelcnn-0|pixelcnn-1",
        [
            (
                "MaskedConv2d.forward",
                "(self.side, self.right, self.up, 0)",
                "(self.side - 1, self.right + 1, self.up, 0)",
            )
        ],
    ),
    Mutant(
        "pixels: the convolution looks one row too far down",
        "pixelcnn-1",
        [("MaskedConv2d.forward", "self.up, 0)", "self.up - min(self.up, 1), min(self.up, 1))")],
    ),
]
