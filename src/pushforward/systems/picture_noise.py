"""Variational dequantisation of pictures: the noise has a conditional flow, which is trained together with the model."""

from __future__ import annotations

from functools import partial

from ..core import Chain, Flow, Integers, Inverse, Real, Transform
from ..distributions import Normal
from ..networks import GatedAttention
from ..transforms import Affine, Checkerboard, Coupling, half_mask
from ..transforms.shape import image_shape
from .picture_spec import Scaled


def picture_noise(
    space: Integers, to_line: Transform, *, hidden: int, couplings: int, blocks: int, heads: int, given: int = 0
) -> Flow:
    """Return q(u | x): affine couplings of colours from the normal distribution to the noise, with features of x as context.

    Ho et al. 2019, arXiv:1902.00275, section 3.1 and their published code.

    Args:
        space: Space of the pictures x.
        to_line: Layer from the space of the noise to the real line.
        hidden: Number of hidden channels of the networks.
        couplings: Number of couplings.
        blocks: Number of blocks of each network.
        heads: Number of heads of the attention.
        given: Number of channels of a condition that follows x in the context, at every position.
    """
    line = Real(space.shape)
    channels, height, width = image_shape(line)
    seen = Real((hidden // 2, height, width))
    board = Checkerboard(line)
    halves = Real(board.z_space.shape)
    network = partial(GatedAttention, size=image_shape(halves)[1:], hidden=hidden, blocks=blocks, heads=heads)
    layers: list[Transform] = [to_line, board]
    for i in range(couplings):
        mask = half_mask(halves.shape[0], flip=i % 2 == 1)
        # An inverse coupling samples with its fast direction: q(u | x) is mostly sampled, from the normal to the noise.
        layers.append(Inverse(Coupling(Affine(bound=2.0), halves, mask, network, context=seen)))
    features = GatedAttention(
        channels + given,
        seen.shape[0],
        size=(height, width),
        hidden=seen.shape[0],
        blocks=3,
        attention=False,
        zero=False,
    )
    chain = Chain(*layers, Inverse(Checkerboard(line)))
    context = Real((channels + given, height, width)) if given else space
    return Flow(chain, Normal(line), embed=Scaled(features, int(space.interval[1]) + 1, channels), context=context)
