"""Base classes of systems of pictures: space, dequantisation, preprocessing, conditions and multi-scale structure.

Most image models are flows on `Integers((C, H, W), 0, K - 1)`, K levels of brightness. Noise turns the levels into a density on
the unit box, a fixed map takes the box to the real line, and the system's layers follow. `log_prob` is therefore a lower
bound on the log-probability of whole pictures, with all constants included, and bits per dimension follow from it alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Self

import numpy as np
import torch
from torch import Tensor, nn

from ..core import Box, Chain, Distribution, Flow, Integers, Real, Space, Transform
from ..distributions import Normal
from ..errors import SpecError
from ..networks import ConvNet
from ..transforms import Affine, Centre, Dequantise, Elementwise, Logit, Slice, Squeeze
from .spec import Spec, label_classes

LARGEST = 2**26
"""Largest number of entries in a picture."""

Preprocess = Literal["logit", "logit-one-sided", "centre"]


@dataclass(frozen=True, kw_only=True)
class PictureSpec(Spec, register=False):
    """Base class with the arguments of every system of pictures.

    Args:
        shape: Channels, height and width of a picture.
        levels: Number K of levels of brightness; pixels are whole numbers from 0 to K - 1.
        classes: Number of classes of a label that is given one-hot as context; 0 for none.
        condition: Channels, height and width of a picture that is given as context, with values in [-1, 1]; empty for none.
        condition_channels: Number of channels that a small network computes from that picture for the layers.
    """

    sizes = ("shape", "levels", "classes", "condition")
    renamed: ClassVar[Mapping[str, str]] = {"features": "condition_channels"}

    shape: tuple[int, ...]
    levels: int = 256
    classes: int = 0
    condition: tuple[int, ...] = ()
    condition_channels: int = 32

    def validate(self) -> None:
        """Check the shapes, the levels and the condition."""
        super().validate()
        for name in ("shape", "condition"):
            size = getattr(self, name)
            if size or name == "shape":
                require_picture(f"{self.name}.{name}", size)
        self._at_least("levels", 2)
        self._at_least("classes", 0)
        self._at_least("condition_channels", 1)
        for name in ("scales", "steps", "blocks", "patch"):
            self._at_least(name, 1)
        if self.classes and self.condition:
            raise SpecError(f"expected {self.name}.classes or {self.name}.condition, got both; leave one of them out")

    @classmethod
    def from_data(cls, x: Any, context: Any = None, **fields: Any) -> Self:
        """Return the spec for a set of pictures.

        Args:
            x: Pictures (N, C, H, W) of whole numbers from 0, with 256 levels unless `levels` is given.
            context: Labels (N,) of whole numbers from 0, or pictures (N, C, H, W); None for no context.
            **fields: Other arguments of the system.

        Raises:
            SpecError: The data have another shape, or an argument is out of range.
        """
        shape = np.shape(x)
        if len(shape) != 4:
            raise SpecError(f"expected pictures of shape (N, C, H, W), got shape {shape}")
        if context is None:
            return cls(shape=shape[1:], **fields)
        given = torch.as_tensor(context)
        if given.dim() == 4:
            return cls(shape=shape[1:], condition=tuple(given.shape[1:]), **fields)
        classes = label_classes(given)
        if classes is None:
            raise SpecError(
                f"expected labels (N,) from 0 or pictures (N, C, H, W) as context, got {given.dtype} and {tuple(given.shape)}"
            )
        return cls(shape=shape[1:], classes=classes, **fields)

    def require_divisible(self, by: int, why: str) -> None:
        """Check that a factor divides the height and width of the pictures.

        Raises:
            SpecError: It does not; the message has the size and the factor.
        """
        require_divisible(self.shape, by, why)

    @property
    def space(self) -> Integers:
        """Space of the pictures."""
        return Integers(self.shape, 0, self.levels - 1)

    @property
    def given(self) -> Space | int:
        """Space or length of the context of the layers: the label's classes, the picture's features, or 0 for none."""
        if self.condition:
            return Real((self.condition_channels, *self.condition[1:]))
        return self.classes

    @property
    def given_vector(self) -> int:
        """Length of the context as a vector, for systems whose networks take no picture."""
        return self.condition_channels * self.condition[1] * self.condition[2] if self.condition else self.classes

    def features(self) -> nn.Module:
        """Return the network from a picture as context to the features that the layers see."""
        return ConvNet(self.condition[0], self.condition_channels, hidden=self.condition_channels, zero=False)

    def finish(self, chain: Transform, base: Distribution) -> Flow:
        """Return the model of a chain and a base, with the network for a picture as context if there is one."""
        if not self.condition:
            return _channels_last(Flow(chain, base))
        embed = self.features()
        if (base.context if chain.context is None else chain.context) == Real((self.given_vector,)):
            embed = nn.Sequential(embed, nn.Flatten())
        return _channels_last(Flow(chain, base, embed=embed, context=Real(self.condition)))


@dataclass(frozen=True, kw_only=True)
class ImageSpec(PictureSpec, register=False):
    """Base class of systems that dequantise pictures and model a density.

    Args:
        preprocess: Map from x in [0, 1] to the real line: "logit" for logit(a + (1 - 2 a) x), "logit-one-sided" for
            logit(a + (1 - a) x), "centre" for 2 x - 1.
        alpha: Constant a of the logit, in [0, 0.5).
    """

    symbol = ">="
    spread = 0.2  # with larger weights, the bounds of dequantised models are too loose to be averaged

    preprocess: Preprocess = "logit"
    alpha: float = 0.05

    def validate(self) -> None:
        """Check the constant `alpha`, besides the arguments of all systems of pictures."""
        super().validate()
        require_alpha(f"{self.name}.alpha", self.alpha)

    def front(self, noise: Distribution | None = None, *, context: int | Space = 0) -> list[Transform]:
        """Return the layers from pictures to the real line: dequantisation, uniform or by a flow, and the fixed map.

        Args:
            noise: Distribution of the noise; uniform by default.
            context: Context of the noise besides the pictures, 0 for none.
        """
        return dequantised(self.space, self.preprocess, self.alpha, noise, context=context)

    def flow(self, layers: Sequence[Transform], base: Distribution | None = None) -> Flow:
        """Return the model of layers and a base, by default a standard normal."""
        chain = Chain(*layers)
        return self.finish(chain, Normal(Real(chain.z_space.shape)) if base is None else base)

    def prior(self, space: Space) -> Transform:
        """Return the learned mean and scale of the last latent variables, as a layer before the standard normal base."""
        if isinstance(self.given, Space):
            return Elementwise(Affine(), space)
        return Elementwise(Affine(), space, context=self.given, hidden=(max(32, self.given),))

    def multi_scale(
        self,
        scales: int,
        steps: int,
        step: Callable[[Real, int], list[Transform]],
        front: Sequence[Transform] | None = None,
    ) -> Flow:
        """Return a model with the scales of Glow: a squeeze and some steps each; between scales half of the channels leave.

        The channels that leave have learned conditional priors.

        Args:
            scales: Number of scales; the picture is squeezed at each.
            steps: Number of steps at each scale.
            step: Function (space, number of the step over all scales) that returns the layers of one step.
            front: Layers from pictures to the real line; those of `front()` by default.
        """
        self.require_divisible(2**scales, f"{scales} scales")
        layers = list(self.front() if front is None else front)
        for scale in range(scales):
            layers.append(Squeeze(layers[-1].z_space))
            space = Real(layers[-1].z_space.shape)
            for i in range(steps):
                layers += step(space, scale * steps + i)
            if scale + 1 < scales:
                layers.append(factor_out(space, self.given, learned=True))
        return self.flow([*layers, self.prior(layers[-1].z_space)])


def require_picture(name: str, size: tuple[int, ...]) -> None:
    """Check that an argument is the shape of a picture.

    Raises:
        SpecError: It is not (channels, height, width), or too large.
    """
    if len(size) != 3 or min(size) < 1:
        raise SpecError(f"expected {name} to be (channels, height, width), got {size}")
    if math.prod(size) > LARGEST:
        raise SpecError(f"expected {name} of at most {LARGEST:,} numbers, got {size}")


def require_alpha(name: str, alpha: float) -> None:
    """Check the constant of the logit.

    Raises:
        SpecError: It is outside [0, 0.5).
    """
    if not 0 <= alpha < 0.5:
        raise SpecError(f"expected {name} in [0, 0.5), got {alpha}")


def require_divisible(shape: tuple[int, ...], by: int, why: str) -> None:
    """Check that a factor divides the height and width of pictures (C, H, W).

    Raises:
        SpecError: It does not; the message has the size and the factor.
    """
    _, h, w = shape
    if h % by or w % by:
        raise SpecError(
            f"expected a height and width that {by} divides ({why}), got {h} x {w}; resize or pad the images"
        )


def dequantised(
    space: Integers,
    preprocess: Preprocess,
    alpha: float,
    noise: Distribution | None = None,
    *,
    context: int | Space = 0,
) -> list[Transform]:
    """Return the layers from whole numbers with both bounds to the real line: dequantisation, and the fixed map."""
    dequantise, box = Dequantise(space, noise, context=context), Box(space.shape, 0.0, 1.0)
    if preprocess == "centre":
        return [dequantise, Centre(box)]
    return [dequantise, Logit(box, alpha, symmetric=preprocess == "logit")]


def _channels_last(model: Flow) -> Flow:
    """Return the model with kernels in channels-last layout, which makes convolutions of few channels about 20 % faster."""
    return model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def factor_out(space: Space, context: Space | int, *, learned: bool) -> Slice:
    """Return the layer that factors out half of the channels, to a standard normal or one that depends on the other half.

    The conditional prior is a flow with one element-wise affine map, whose parameters a 3 x 3 convolution computes (Kingma and
    Dhariwal 2018, arXiv:1807.03039, and their code). It starts as the standard normal.
    """
    channels, height, width = space.shape
    keep = channels - channels // 2
    rest = Real((channels - keep, height, width))
    if not learned:
        return Slice(space, keep, Normal(rest))
    own = context if isinstance(context, int) else context.shape[0]
    given = Real((keep + own, height, width))
    prior = Elementwise(Affine(), rest, context=given, network=one_convolution)
    return Slice(space, keep, Flow(prior, Normal(rest)), context=context)


def one_convolution(inputs: int, outputs: int) -> nn.Module:
    """Return a 3 x 3 convolution that starts at zero."""
    layer = nn.Conv2d(inputs, outputs, 3, padding=1)
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
    return layer


class Scaled(nn.Module):
    """Network of pictures given as levels x; its input is x / (K - 1) - 1/2.

    Args:
        network: Network from scaled pictures (B, C, H, W).
        levels: Number of levels K.
        channels: Number of channels of x; others follow x as they are. None if all channels are x.
    """

    def __init__(self, network: nn.Module, levels: int, channels: int | None = None) -> None:
        super().__init__()
        self.network, self.levels, self.channels = network, levels, channels

    def forward(self, x: Tensor) -> Tensor:
        """Return the network's result for levels (B, C, H, W)."""
        if self.channels is None or x.shape[1] == self.channels:
            return self.network(x / (self.levels - 1) - 0.5)
        levels, others = x[:, : self.channels], x[:, self.channels :]
        return self.network(torch.cat([levels / (self.levels - 1) - 0.5, others], 1))

    def undo(self, u: Tensor) -> Tensor:
        """Return the levels for scaled numbers u = x / (K - 1) - 1/2."""
        return ((u + 0.5) * (self.levels - 1)).round()


def law_cases(cls: type[Any], **fields: Any) -> list[Any]:
    """Return specs of tiny pictures for the laws, without a condition, with a label and with a picture; alpha is 0."""
    small: dict[str, Any] = {"levels": 2, "alpha": 0.0, **fields}
    return [
        cls(shape=(1, 2, 2), **small),
        cls(shape=(1, 2, 2), classes=3, **small),
        cls(shape=(2, 4, 4), condition=(1, 2, 2), condition_channels=3, **{**small, "levels": 3}),
    ]
