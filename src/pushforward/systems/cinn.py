"""Conditional invertible neural network: two-way couplings, Haar wavelets, and features of the condition at all scales."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from torch import nn

from ..core import Flow, Real, Space, Transform
from ..errors import SpecError
from ..networks import MLP, ConvNet, FeaturePyramid, pooled
from ..transforms import ActNorm, Affine, Coupling, Haar, Orthogonal, Permutation, Reshape, half_mask, random_order
from .picture_spec import ImageSpec, factor_out, law_cases


@dataclass(frozen=True, kw_only=True)
class CINN(ImageSpec):
    """Conditional invertible neural network (cINN) of pictures, given a label or a picture of any size.

    Each resolution has a Haar transform and `steps` two-way couplings of channels; a two-way coupling maps one half given the
    other, then the other half given the result. Half of the channels leave between resolutions. The rest becomes one vector
    with `dense` more two-way couplings, whose networks are fully connected. All networks see the condition: a label, or
    features of a picture at several resolutions, which a network learns together with the flow.

    Args:
        resolutions: Number of resolutions with convolutional couplings; 0 for fully connected networks only.
        steps: Number of two-way couplings at each resolution.
        hidden: Number of hidden channels of the convolutional networks.
        dense: Number of two-way couplings of the vector.
        width: Number of hidden units of the fully connected networks.
        clamp: Upper bound of the logarithm of a coupling's scale.
        dropout: Probability of dropping a hidden unit of the fully connected networks in training.
    """

    name = "cinn"
    family = "images"
    paper = "Ardizzone, Lueth, Kruse, Rother, Koethe 2019, arXiv:1907.02392"
    presets = {
        "tiny": {"resolutions": 1, "steps": 2, "hidden": 16, "dense": 2, "width": 32},
        "small": {"resolutions": 2, "steps": 4, "hidden": 32, "dense": 4, "width": 128, "condition_channels": 16},
        "paper": {"resolutions": 0, "dense": 20, "width": 512, "clamp": 1.0},
    }

    resolutions: int = 2
    steps: int = 4
    hidden: int = 64
    dense: int = 4
    width: int = 256
    clamp: float = 2.0
    dropout: float = 0.0

    def validate(self) -> None:
        """Check the numbers of couplings and the bound of their scales."""
        super().validate()
        for name in ("resolutions", "dense"):
            self._at_least(name, 0)
        if self.resolutions + self.dense == 0:
            raise SpecError(f"expected a coupling in {self.name}.resolutions or {self.name}.dense, got none")
        if self.clamp <= 0:
            raise SpecError(f"expected {self.name}.clamp > 0, got {self.clamp}")

    @property
    def _levels(self) -> int:
        """Number of resolutions of the features: one for each flow resolution, and one for the vector."""
        return self.resolutions + 1

    @property
    def given(self) -> Space | int:
        """Space or length of the context of the layers: the label's classes, the picture's features, or 0 for none."""
        if self.condition:
            return Real((self.condition_channels * self._levels, *self.condition[1:]))
        return self.classes

    def features(self) -> nn.Module:
        """Return the network from the condition to its features at several resolutions."""
        return FeaturePyramid(self.condition[0], self.condition_channels, self._levels)

    def build(self) -> Flow:
        """Return the flow; couplings start as the identity, and the mixing of channels as random rotations."""
        self.require_divisible(2**self.resolutions, f"{self.resolutions} resolutions")
        layers = self.front()
        convolutions = partial(ConvNet, hidden=self.hidden)
        perceptrons = pooled(partial(MLP, hidden=(self.width,), dropout=self.dropout))
        for i in range(self.resolutions):
            layers.append(Haar(Real(layers[-1].z_space.shape)))
            space = Real(layers[-1].z_space.shape)
            for _ in range(self.steps):
                mixing = Orthogonal(space, rotation=True)
                layers += [ActNorm(space, channels=True), mixing, *self._two_way(space, convolutions)]
            if i + 1 < self.resolutions:
                layers.append(factor_out(space, self.given, learned=False))
        space = Real((layers[-1].z_space.size,))
        layers.append(Reshape(Real(layers[-1].z_space.shape), space.shape))
        for i in range(self.dense):
            layers += [
                ActNorm(space),
                Permutation(space, random_order(space.size, i)),
                *self._two_way(space, perceptrons),
            ]
        return self.flow(layers)

    def _two_way(self, space: Real, network: Callable[..., nn.Module]) -> list[Transform]:
        """Return the couplings of one half given the other, and of the other given the result."""
        return [
            Coupling(Affine(self.clamp), space, half_mask(space.shape[0], flip=flip), network, context=self.given)
            for flip in (False, True)
        ]

    @classmethod
    def cases(cls) -> Iterator[CINN]:
        """Yield specs without a condition, with a label, with a picture, and with two resolutions and no dense couplings."""
        small: dict[str, Any] = {"resolutions": 1, "steps": 1, "hidden": 4, "dense": 1, "width": 6}
        yield from law_cases(cls, **small)
        yield cls(shape=(1, 4, 4), levels=3, alpha=0.0, classes=2, **{**small, "resolutions": 2, "dense": 0})
