"""PixelRNN: each pixel given those above it and to its left, by LSTMs along the rows or the diagonals of the picture."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from ..core import Flow
from ..networks import PixelLSTMNet
from .pixel_spec import PixelSpec


@dataclass(frozen=True, kw_only=True)
class PixelRNN(PixelSpec):
    """PixelRNN: p(x) = prod_i p(x_i | x_<i), row by row and channel by channel, from LSTMs in two dimensions.

    Scoring is one pass, and drawing costs about one pass too.

    Args:
        direction: Direction of the LSTMs: "row" for Row LSTMs, which go down the picture and see a triangle above each pixel;
            "diagonal" for Diagonal BiLSTMs, which see all earlier pixels.
        layers: Number of LSTM layers.
    """

    name = "pixelrnn"
    paper = "van den Oord, Kalchbrenner, Kavukcuoglu 2016, arXiv:1601.06759"
    presets = {
        "tiny": {"hidden": 8, "layers": 1, "components": 3},
        "small": {"hidden": 24, "layers": 2, "components": 5, "dropout": 0.2},
        "paper": {"hidden": 128, "layers": 12},
    }

    direction: Literal["diagonal", "row"] = "diagonal"
    layers: int = 2

    def build(self) -> Flow:
        """Return the model, which starts with one distribution for all pixels."""
        factor = self._levels()
        net = PixelLSTMNet(**self.sized(factor), layers=self.layers, diagonal=self.direction == "diagonal")
        return self.model(factor, net)

    @classmethod
    def cases(cls) -> Iterator[PixelRNN]:
        """Yield specs of both directions: bits, a label, colours, and colours with a picture as context."""
        small: dict[str, Any] = {"hidden": 4, "layers": 1, "first_kernel": 3}
        yield cls(shape=(1, 2, 2), levels=2, **small)
        yield cls(shape=(1, 2, 2), levels=3, classes=3, direction="row", **small)
        yield cls(shape=(2, 3, 2), levels=2, direction="row", condition=(1, 2, 2), condition_channels=3, **small)
        yield cls(shape=(2, 1, 2), levels=3, **small)
        yield cls(shape=(2, 3, 2), levels=4, condition=(1, 3, 2), condition_channels=3, **small)
