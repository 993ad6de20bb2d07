"""Integer discrete flows: couplings that add whole numbers to whole numbers, for lossless compression."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from ..core import Chain, Flow, Integers, Real, Space, Transform
from ..distributions import DiscretisedLogistic
from ..networks import DenseNet
from ..transforms import Coupling, Permutation, RoundedShift, Slice, Squeeze, random_order
from .picture_spec import PictureSpec


@dataclass(frozen=True, kw_only=True)
class IDF(PictureSpec):
    """Integer discrete flow: z_b = x_b + round(t(x_a)), p(x) = p(z).

    Each scale has a squeeze, then `steps` times (a fixed permutation of the channels, and a coupling that shifts the
    last quarter of them by a function of the others, from a dense network). Between scales half of the channels are
    factored out, with a discretised logistic distribution whose mean and scale depend on the other half. The last latent
    variables have a mixture of discretised logistics for each channel and position.

    The space is all whole numbers: the probabilities of pictures sum to less than one, because arrays with values that are not
    levels also have some probability.

    Args:
        scales: Number of scales; the picture is squeezed at each.
        steps: Number of couplings at each scale.
        hidden: Number of hidden channels of the networks.
        depth: Number of layers of the networks.
        components: Number of components in the mixtures of the last latent variables.
        prior_components: Number of components in the mixtures of latent variables that are factored out; the paper has 1.
    """

    name = "idf"
    family = "integers"
    paper = "Hoogeboom, Peters, van den Berg, Welling 2019, arXiv:1905.07376"
    presets = {
        "tiny": {"scales": 1, "steps": 4, "hidden": 24, "depth": 2},
        "small": {"scales": 2, "steps": 4, "hidden": 48, "depth": 2},
        "paper": {"scales": 3, "steps": 8, "hidden": 512, "depth": 12},
    }

    scales: int = 2
    steps: int = 4
    hidden: int = 48
    depth: int = 2
    components: int = 5
    prior_components: int = 1

    @property
    def space(self) -> Integers:
        """All whole numbers, in the shape of a picture."""
        return Integers(self.shape)

    @property
    def unit(self) -> float:
        """Unit of shifts, means and scales: an eighth of the range of the levels."""
        return self.levels / 8

    def build(self) -> Flow:
        """Return the flow; couplings start as the identity."""
        self.require_divisible(2**self.scales, f"{self.scales} scales")
        layers: list[Transform] = []
        space: Space = self.space
        for scale in range(self.scales):
            layers.append(Squeeze(space))
            space = layers[-1].z_space
            for i in range(self.steps):
                layers += self._step(space, scale * self.steps + i)
            if scale + 1 < self.scales:
                layers.append(self._factor_out(space))
                space = layers[-1].z_space
        return self.finish(Chain(*layers), DiscretisedLogistic(space.shape, components=self.components, unit=self.unit))

    def _network(self, inputs: int, outputs: int, *, context: int = 0, beside: int = 0) -> nn.Module:
        net = DenseNet(inputs, outputs, hidden=self.hidden, depth=self.depth, context=context)
        return Centred(net, self.levels / 2, self.unit, beside)

    def _step(self, space: Space, seed: int) -> list[Transform]:
        channels = space.shape[0]
        mask = [i < channels - max(1, channels // 4) for i in range(channels)]
        shift = RoundedShift(unit=self.unit)
        return [
            Permutation(space, random_order(channels, seed)),
            Coupling(shift, space, mask, self._network, context=self.given),
        ]

    def _factor_out(self, space: Space) -> Slice:
        channels, height, width = space.shape
        keep = channels - channels // 2
        own = self.given if isinstance(self.given, int) else self.given.shape[0]
        given = Real((keep + own, height, width))
        network = partial(self._network, beside=own)
        prior = DiscretisedLogistic(
            (channels - keep, height, width),
            components=self.prior_components,
            unit=self.unit,
            context=given,
            network=network,
        )
        return Slice(space, keep, prior, context=self.given)

    @classmethod
    def cases(cls) -> Iterator[IDF]:
        """Yield specs with one scale, and with two scales, two channels and a label."""
        yield cls(shape=(1, 2, 2), levels=3, scales=1, steps=2, hidden=4, depth=2, components=2)
        yield cls(shape=(2, 4, 4), levels=64, scales=2, steps=1, hidden=4, depth=2, classes=2)


class Centred(nn.Module):
    """Network whose input is (x - centre) / unit for levels x.

    Args:
        network: The network.
        centre: Number that is subtracted from the levels.
        unit: Number by which they are then divided.
        beside: Number of last channels that are a condition and are not scaled.
    """

    def __init__(self, network: nn.Module, centre: float, unit: float, beside: int = 0) -> None:
        super().__init__()
        self.network, self.centre, self.unit, self.beside = network, centre, unit, beside

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """Return the network's result for the scaled input."""
        levels, rest = x.tensor_split((x.shape[1] - self.beside,), 1)
        return self.network(torch.cat([(levels - self.centre) / self.unit, rest], 1), context)
