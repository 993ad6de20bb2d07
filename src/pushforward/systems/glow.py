"""Glow: steps of activation normalisation, a 1 x 1 convolution and a coupling, at several scales."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Literal

from ..core import Flow, Real, Space, Transform
from ..networks import ConvNet
from ..transforms import (
    LU,
    ActNorm,
    Additive,
    Coupling,
    Linear,
    Orthogonal,
    Permutation,
    Scalar,
    Sigmoidal,
    half_mask,
    random_order,
)
from .picture_spec import ImageSpec, law_cases

CouplingKind = Literal["affine", "additive"]
Mixing = Literal["full", "lu", "orthogonal", "shuffle", "reverse"]


@dataclass(frozen=True, kw_only=True)
class Glow(ImageSpec):
    """Glow, generative flow with invertible 1 x 1 convolutions.

    Each scale has a squeeze, then `steps` times (actnorm, mixing of the channels, coupling of channel halves). Between
    scales half of the channels are factored out, with a prior that depends on the other half. The last latent variables
    have a learned mean and scale.

    Args:
        scales: Number of scales; the picture is squeezed at each.
        steps: Number of steps at each scale.
        hidden: Number of hidden channels of the couplings' networks (3 x 3, 1 x 1 and 3 x 3 convolutions).
        coupling: Kind of coupling, "affine" or "additive"; samples at a temperature other than 1 are exact with "additive".
        mixing: Mixing of channels: a 1 x 1 convolution in "full", "lu" or "orthogonal" form, or a fixed "shuffle" or
            "reverse" for comparison.
    """

    name = "glow"
    family = "images"
    paper = "Kingma, Dhariwal 2018, arXiv:1807.03039"
    presets = {
        "tiny": {"scales": 2, "steps": 2, "hidden": 16},
        "small": {"scales": 2, "steps": 8, "hidden": 64},
        "paper": {"scales": 3, "steps": 32, "hidden": 512},
    }

    scales: int = 2
    steps: int = 8
    hidden: int = 64
    coupling: CouplingKind = "affine"
    mixing: Mixing = "full"

    def build(self) -> Flow:
        """Return the flow; couplings start as constant maps and the mixing as random rotations."""
        return self.multi_scale(self.scales, self.steps, self._step)

    def _step(self, space: Real, seed: int) -> list[Transform]:
        return glow_step(space, seed, self.hidden, self.coupling, self.mixing, self.given)

    @classmethod
    def cases(cls) -> Iterator[Glow]:
        """Yield specs with one scale, with a label, with two scales and a picture, and with additive couplings."""
        yield from law_cases(cls, scales=1, steps=1, hidden=6)
        yield cls(shape=(2, 4, 4), levels=3, alpha=0.0, scales=2, steps=1, hidden=6, classes=2)
        yield cls(shape=(1, 2, 2), levels=2, alpha=0.0, scales=1, steps=2, hidden=6, coupling="additive", mixing="lu")


def glow_step(
    space: Real, seed: int, hidden: int, coupling: CouplingKind, mixing: Mixing, context: Space | int = 0
) -> list[Transform]:
    """Return the layers of one step: activation normalisation, mixing of the channels, and coupling of channel halves."""
    scalar: Scalar = Sigmoidal() if coupling == "affine" else Additive()
    network = partial(ConvNet, hidden=hidden)
    return [
        ActNorm(space, channels=True),
        mixing_layer(space, mixing, seed),
        Coupling(scalar, space, half_mask(space.shape[0]), network, context=context),
    ]


def mixing_layer(space: Real, mixing: Mixing, seed: int) -> Transform:
    """Return the layer that mixes the channels before a coupling."""
    if mixing == "lu":
        return LU(space, rotation=True)
    if mixing == "full":
        return Linear(space)
    if mixing == "orthogonal":
        return Orthogonal(space, rotation=True)
    return Permutation(space, random_order(space.shape[0], seed) if mixing == "shuffle" else None)
