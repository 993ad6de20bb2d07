"""PixelCNN, gated PixelCNN and PixelCNN++: each pixel given those above it and to its left, by masked convolutions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from ..core import Flow
from ..errors import SpecError
from ..networks import CausalTransformer, PixelConvNet, PixelGatedNet
from .pixel_spec import PixelSpec


@dataclass(frozen=True, kw_only=True)
class PixelCNN(PixelSpec):
    """PixelCNN: p(x) = prod_i p(x_i | x_<i), row by row and channel by channel, from masked convolutions.

    With gated convolutions and `factor="logistic"`, a mixture of logistic distributions of whole pixels, this is the model of
    PixelCNN++ without its shortcuts between resolutions. Scoring is one pass, and drawing costs about one pass too.

    Args:
        network: Network of pixels: "gated" for gated convolutions in two stacks; "plain" for masked convolutions in residual
            blocks, which do not see all earlier pixels; "transformer" for causal attention over all earlier pixels.
        blocks: Number of blocks of the network.
        heads: Number of heads of the attention of the transformer.
    """

    name = "pixelcnn"
    paper = (
        "van den Oord, Kalchbrenner, Kavukcuoglu 2016, arXiv:1601.06759; van den Oord et al. 2016, arXiv:1606.05328; "
        "Salimans et al. 2017, arXiv:1701.05517"
    )
    presets = {
        "tiny": {"hidden": 8, "blocks": 1, "components": 3},
        "small": {"hidden": 32, "blocks": 4, "components": 5, "dropout": 0.2},
        "paper": {"hidden": 384, "blocks": 20, "kernel": 5},
    }

    network: Literal["gated", "plain", "transformer"] = "gated"
    blocks: int = 4
    heads: int = 4

    def validate(self) -> None:
        """Check the heads, besides the arguments of all autoregressive models of pictures."""
        super().validate()
        self._at_least("heads", 1)
        if self.network == "transformer" and self.hidden % self.heads:
            raise SpecError(f"expected pixelcnn.hidden to be a multiple of heads={self.heads}, got {self.hidden}")

    def build(self) -> Flow:
        """Return the model, which starts with one distribution for all pixels."""
        factor = self._levels()
        if self.network == "transformer":
            length = self._tokens * self.shape[1] * self.shape[2]
            net = CausalTransformer(
                factor.width,
                factor.n,
                length=length,
                hidden=self.hidden,
                blocks=self.blocks,
                heads=self.heads,
                context=self.given_vector,
                dropout=self.dropout,
            )
            return self.model(factor, net, vector=True)
        make = PixelGatedNet if self.network == "gated" else PixelConvNet
        return self.model(factor, make(**self.sized(factor), blocks=self.blocks))

    @classmethod
    def cases(cls) -> Iterator[PixelCNN]:
        """Yield specs of each network: bits, a label, colours with a picture, and whole pixels of two channels."""
        small: dict[str, Any] = {"hidden": 4, "blocks": 1, "first_kernel": 3}
        yield cls(shape=(1, 2, 2), levels=2, **small)
        yield cls(shape=(1, 2, 2), levels=3, classes=3, network="plain", **small)
        yield cls(shape=(2, 3, 2), levels=3, condition=(1, 2, 2), condition_channels=3, **small)
        yield cls(shape=(2, 2, 1), levels=4, factor="logistic", components=2, **small)
        yield cls(shape=(2, 1, 2), levels=2, network="plain", condition=(1, 2, 2), condition_channels=3, **small)
        yield cls(shape=(1, 2, 2), levels=3, network="transformer", heads=2, **small)
