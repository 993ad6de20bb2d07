"""Jet: couplings of image patches whose parameters a vision transformer computes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from ..core import Flow, Real
from ..networks import ViT
from ..transforms import Coupling, Sigmoidal, Squeeze, checkerboard_mask, random_mask
from ..transforms.masks import Mask
from .picture_spec import ImageSpec, law_cases


@dataclass(frozen=True, kw_only=True)
class Jet(ImageSpec):
    """Jet: patches become channels once, then couplings z_b = (x_b + t) 2 sigmoid(s) follow, with s and t from a transformer.

    After four couplings of a random half of the channels comes one of a checkerboard of positions, whose colours are
    exchanged each time. There are no normalisation, mixing or factoring-out layers.

    Args:
        patch: Height and width of the patches.
        layers: Number of couplings.
        hidden: Length of the transformers' tokens.
        blocks: Number of blocks of each transformer.
        heads: Number of heads of the attention.
        dropout: Probability of dropping a hidden value of the transformers in training.
    """

    name = "jet"
    family = "images"
    paper = "Kolesnikov, Pinto, Tschannen 2024, arXiv:2412.15129"
    presets = {
        "tiny": {"patch": 2, "layers": 5, "hidden": 16, "blocks": 1, "heads": 2},
        "small": {"patch": 2, "layers": 10, "hidden": 64, "blocks": 1},
        "paper": {"patch": 4, "layers": 32, "hidden": 512, "blocks": 2, "heads": 8, "preprocess": "centre"},
    }

    patch: int = 2
    layers: int = 10
    hidden: int = 64
    blocks: int = 1
    heads: int = 4
    dropout: float = 0.0

    def build(self) -> Flow:
        """Return the flow, which starts as the identity."""
        self.require_divisible(self.patch, f"patches of {self.patch} x {self.patch}")
        layers = self.front()
        layers.append(Squeeze(layers[-1].z_space, self.patch))
        space = Real(layers[-1].z_space.shape)
        channels, height, width = space.shape
        network = partial(
            ViT, size=(height, width), hidden=self.hidden, blocks=self.blocks, heads=self.heads, dropout=self.dropout
        )
        for i in range(self.layers):
            mask: Mask = random_mask(channels, seed=i)
            if i % 5 == 4:
                mask = checkerboard_mask(height, width, flip=i // 5 % 2 == 1)
            layers.append(Coupling(Sigmoidal(gain=2.0, shift=0.0), space, mask, network, context=self.given))
        return self.flow(layers)

    @classmethod
    def cases(cls) -> Iterator[Jet]:
        """Yield specs without a condition, with a label, with a picture, and with a coupling of positions."""
        small: dict[str, Any] = {"hidden": 4, "blocks": 1, "heads": 2}
        yield from law_cases(cls, layers=2, **small)
        yield cls(shape=(1, 4, 4), levels=3, alpha=0.0, layers=6, **small)
