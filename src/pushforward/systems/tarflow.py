"""TarFlow: autoregressive layers over image patches, in alternating directions, with causal transformers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ..core import Flow, Real
from ..networks import CausalTransformer
from ..transforms import Affine, Autoregressive, Permutation, Squeeze, Tokens
from .picture_spec import ImageSpec, law_cases


@dataclass(frozen=True, kw_only=True)
class TarFlow(ImageSpec):
    """Transformer autoregressive flow: z_i = (x_i - m(x_<i)) exp(-a(x_<i)) for patches in an order that alternates.

    The first layer takes the patches in reading order. The density needs one pass. Sampling generates one token after
    the other with stored keys and values, or blocks of tokens, each by a Jacobi iteration.

    Args:
        patch: Height and width of the patches.
        layers: Number of autoregressive layers.
        hidden: Length of the transformers' tokens.
        blocks: Number of blocks of each transformer.
        heads: Number of heads of the attention.
        dropout: Probability of dropping a hidden value of the transformers in training.
        together: Number of tokens for which sampling solves at once; 1 is strictly sequential.
    """

    name = "tarflow"
    family = "images"
    paper = "Zhai, Zhang, Nakkiran et al. 2024, arXiv:2412.06329"
    presets = {
        "tiny": {"patch": 2, "layers": 2, "hidden": 16, "blocks": 1, "heads": 2},
        "small": {"patch": 2, "layers": 4, "hidden": 64, "blocks": 2},
        "paper": {"patch": 2, "layers": 8, "hidden": 768, "blocks": 8, "heads": 12, "preprocess": "centre"},
    }

    patch: int = 2
    layers: int = 4
    hidden: int = 64
    blocks: int = 2
    heads: int = 4
    dropout: float = 0.0
    together: int = 1

    def validate(self) -> None:
        """Check the number of tokens in a block."""
        super().validate()
        self._at_least("together", 1)

    def build(self) -> Flow:
        """Return the flow, which starts as the identity."""
        self.require_divisible(self.patch, f"patches of {self.patch} x {self.patch}")
        layers = self.front()
        layers.append(Squeeze(layers[-1].z_space, self.patch))
        layers.append(Tokens(layers[-1].z_space))
        space, scalar = Real(layers[-1].z_space.shape), Affine()
        length, width = space.shape
        for i in range(self.layers):
            network = CausalTransformer(
                width,
                scalar.n * width,
                length=length,
                hidden=self.hidden,
                blocks=self.blocks,
                heads=self.heads,
                context=self.given_vector,
                dropout=self.dropout,
            )
            layers.append(Autoregressive(scalar, space, network, context=self.given_vector, block=self.together))
            if i + 1 < self.layers:
                layers.append(Permutation(space))
        return self.flow(layers)

    @classmethod
    def cases(cls) -> Iterator[TarFlow]:
        """Yield specs without a condition, with a label, with a picture, and with sampling in blocks."""
        small: dict[str, Any] = {"layers": 2, "hidden": 4, "blocks": 1, "heads": 2}
        yield from law_cases(cls, **small, patch=1)
        yield cls(shape=(1, 4, 4), levels=3, alpha=0.0, together=3, **small)
