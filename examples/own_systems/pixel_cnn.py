"""PixelCNN: each pixel given those above it and to its left (van den Oord et al. 2016, arXiv:1601.06759, section 3.4)."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pushforward.core import Distribution, Flow, Identity, Integers, Symbols
from pushforward.distributions import Chance
from pushforward.systems.picture_spec import PictureSpec


class MaskedConv(nn.Conv2d):
    """Convolution that sees the pixels before the one in the middle, and that one itself if `here`."""

    def __init__(self, inputs: int, outputs: int, size: int, *, here: bool) -> None:
        super().__init__(inputs, outputs, size, padding=size // 2)
        mask = (torch.arange(size * size) < size * size // 2 + here).reshape(1, 1, size, size).float()
        self.register_buffer("mask", mask, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return the masked convolution of pictures."""
        return self._conv_forward(x, self.weight * self.mask, self.bias)


class Pixels(Distribution):
    """Softmax for each pixel of one channel: log p(x) = sum_i log p(x_i | x_<i), in reading order.

    Args:
        space: Pictures (1, H, W).
        hidden: Number of channels of the network.
        layers: Number of masked convolutions behind the first.
    """

    differentiable_draws = False

    def __init__(self, space: Integers, hidden: int, layers: int) -> None:
        super().__init__()
        self.space, self.levels = space, int(space.interval[1]) + 1
        body = [MaskedConv(1, hidden, 7, here=False)]
        for _ in range(layers):
            body += [nn.ReLU(), MaskedConv(hidden, hidden, 3, here=True)]
        self.net = nn.Sequential(*body, nn.ReLU(), MaskedConv(hidden, self.levels, 1, here=True))

    def _logits(self, x: Tensor) -> Tensor:
        return self.net(2 * x / (self.levels - 1) - 1).movedim(1, -1).flatten(1, 2)

    def _log_prob(self, x: Tensor, context: Tensor | None) -> Tensor:
        return self._logits(x).log_softmax(-1).gather(2, x.flatten(1)[..., None].long()).sum((1, 2))

    def _generate(self, symbols: Symbols, n: int, context: Tensor | None) -> Tensor:
        x = torch.zeros(n, *self.space.shape, dtype=self.dtype, device=self.device)
        for i in range(self.space.size):
            x.flatten(1)[:, i] = symbols.labels(self._logits(x)[:, i], at=i).to(x)
        return x

    def _sample(self, n: int, context: Tensor | None) -> tuple[Tensor, Tensor]:
        chance = Chance()
        with torch.no_grad():
            return self._generate(chance, n, context), torch.as_tensor(chance.logp)


@dataclass(frozen=True, kw_only=True)
class PixelCNN(PictureSpec):
    """Masked convolutions; scoring is one pass, drawing one pass a pixel."""

    name, family, paper = "pixel-cnn", "autoregressive", "van den Oord et al. 2016, arXiv:1601.06759"
    hidden: int = 32
    layers: int = 5

    def build(self) -> Flow:
        """Return the model: no layers, and the pixels as the base."""
        return Flow(Identity(self.space), Pixels(self.space, self.hidden, self.layers))

    @classmethod
    def cases(cls) -> Iterator["PixelCNN"]:
        """Yield two small pictures."""
        yield cls(shape=(1, 2, 3), levels=3, hidden=4, layers=1)
