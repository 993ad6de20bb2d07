"""What the systems of images share: the space of pictures, dequantisation and preprocessing, conditions, factoring out.

Most image models are flows on `Integers((C, H, W), 0, K - 1)`, K levels of brightness: noise makes the levels a density on the
unit box, a fixed map brings that to the line, and the system's layers do the rest. So `log_prob` is a lower bound of a
log-probability of whole pictures, with every constant inside, and bits per dimension follow from it alone.
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
"""Numbers in a picture, at most."""

Preprocess = Literal["logit", "logit-one-sided", "centre"]


@dataclass(frozen=True, kw_only=True)
class PictureSpec(Spec, register=False):
    """Arguments that every system of pictures takes.

    Args:
        shape: Channels, height and width of a picture.
        levels: Number K of levels of brightness; pixels are 0 ... K - 1.
        classes: Number of classes of a label that is given one-hot as context; 0 for none.
        condition: Channels, height and width of a picture that is given as context, with values in [-1, 1]; empty for none.
        condition_channels: Number of channels that a small network makes of that picture for the layers.
    """

    sizes = ("shape", "levels", "classes", "condition")
    renamed: ClassVar[Mapping[str, str]] = {"features": "condition_channels"}

    shape: tuple[int, ...]
    levels: int = 256
    classes: int = 0
    condition: tuple[int, ...] = ()
    condition_channels: int = 32

    def validate(self) -> None:
        """Refuse what is no picture, too few levels, a label and a picture at once."""
        super().validate()
        for name in ("shape", "condition"):
            size = getattr(self, name)
            if (size or name == "shape") and (len(size) != 3 or min(size) < 1):
                raise SpecError(f"expected {self.name}.{name} to be (channels, height, width), got {size}")
            if math.prod(size) > LARGEST:
                raise SpecError(f"expected {self.name}.{name} of at most {LARGEST:,} numbers, got {size}")
        self._at_least("levels", 2)
        self._at_least("classes", 0)
        self._at_least("condition_channels", 1)
        for name in ("scales", "steps", "blocks", "patch"):
            self._at_least(name, 1)
        if self.classes and self.condition:
            raise SpecError(f"expected {self.name}.classes or {self.name}.condition, got both; leave one of them out")

    @classmethod
    def from_data(cls, x: Any, context: Any = None, **fields: Any) -> Self:
        """Return the spec for pictures.

        Args:
            x: Pictures (N, C, H, W) of whole numbers from 0; 256 levels unless `levels` is given.
            context: Labels (N,) of whole numbers from 0, or pictures (N, C, H, W); None for none.
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
        """Refuse pictures whose height or width a factor does not divide.

        Raises:
            SpecError: Naming the size and the factor.
        """
        _, h, w = self.shape
        if h % by or w % by:
            raise SpecError(
                f"expected a height and width that {by} divides ({why}), got {h} x {w}; resize or pad the images"
            )

    @property
    def space(self) -> Integers:
        """Of the pictures."""
        return Integers(self.shape, 0, self.levels - 1)

    @property
    def given(self) -> Space | int:
        """The context that the layers see: the label, what the network makes of the picture, or none."""
        if self.condition:
            return Real((self.condition_channels, *self.condition[1:]))
        return self.classes

    @property
    def given_vector(self) -> int:
        """The same as the length of a vector, for systems whose networks take no picture."""
        return self.condition_channels * self.condition[1] * self.condition[2] if self.condition else self.classes

    def finish(self, chain: Chain, base: Distribution) -> Flow:
        """Return the model made of a chain and a base, with the network of a picture as context where there is one."""
        if not self.condition:
            return _channels_last(Flow(chain, base))
        embed: nn.Module = ConvNet(
            self.condition[0], self.condition_channels, hidden=self.condition_channels, zero=False
        )
        if chain.context == Real((self.given_vector,)):
            embed = nn.Sequential(embed, nn.Flatten())
        return _channels_last(Flow(chain, base, embed=embed, context=Real(self.condition)))


@dataclass(frozen=True, kw_only=True)
class ImageSpec(PictureSpec, register=False):
    """The arguments of systems that dequantise pictures and model the densities of what comes out.

    Args:
        preprocess: "logit" for logit(a + (1 - 2 a) x), "logit-one-sided" for logit(a + (1 - a) x), x in [0, 1];
            "centre" for 2 x - 1.
        alpha: The constant a.
    """

    symbol = ">="
    spread = 0.2  # farther from their start, the bounds of dequantised models are too wide to be averaged

    preprocess: Preprocess = "logit"
    alpha: float = 0.05

    def validate(self) -> None:
        """Refuse what is no picture, and a constant out of range."""
        super().validate()
        if not 0 <= self.alpha < 0.5:
            raise SpecError(f"expected {self.name}.alpha in [0, 0.5), got {self.alpha}")

    def front(self, noise: Distribution | None = None) -> list[Transform]:
        """From pictures to the line: dequantisation, uniform or by a conditional flow, and the fixed map."""
        dequantise = Dequantise(self.space, noise)
        box = Box(self.shape, 0.0, 1.0)
        if self.preprocess == "centre":
            return [dequantise, Centre(box)]
        return [dequantise, Logit(box, self.alpha, symmetric=self.preprocess == "logit")]

    def flow(self, layers: Sequence[Transform], base: Distribution | None = None) -> Flow:
        """Return the model made of layers and a base, standard normal by default."""
        chain = Chain(*layers)
        return self.finish(chain, Normal(Real(chain.z_space.shape)) if base is None else base)

    def multi_scale(self, scales: int, steps: int, step: Callable[[Real, int], list[Transform]]) -> Flow:
        """Glow's frame: per scale a squeeze and some steps; between scales half of the channels leave, with learned priors.

        Args:
            scales: Number of scales; the picture is squeezed at each.
            steps: Number of steps of each scale.
            step: The layers of one, from their space and the step's number over all scales.
        """
        self.require_divisible(2**scales, f"{scales} scales")
        layers = self.front()
        for scale in range(scales):
            layers.append(Squeeze(layers[-1].z_space))
            space = Real(layers[-1].z_space.shape)
            for i in range(steps):
                layers += step(space, scale * steps + i)
            if scale + 1 < scales:
                layers.append(factor_out(space, self.given, learned=True))
        return self.flow([*layers, top_prior(layers[-1].z_space, self.given)])


def _channels_last(model: Flow) -> Flow:
    """Return the model with its kernels laid out so that convolutions of few channels take about a fifth less time."""
    return model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def factor_out(space: Space, context: Space | int, *, learned: bool) -> Slice:
    """Half of the channels leave the chain: to a standard normal, or to one whose mean and scale the other half gives.

    The conditional prior is itself a flow, of one element-wise affine map whose parameters a 3 x 3 convolution makes (Kingma
    and Dhariwal 2018, arXiv:1807.03039, and their code); it starts as the standard normal.
    """
    channels, height, width = space.shape
    keep = channels - channels // 2
    rest = Real((channels - keep, height, width))
    if not learned:
        return Slice(space, keep, Normal(rest))
    own = context if isinstance(context, int) else context.shape[0]
    given = Real((keep + own, height, width))
    prior = Elementwise(Affine(), rest, context=given, network=_one_convolution)
    return Slice(space, keep, Flow(prior, Normal(rest)), context=context)


def top_prior(space: Space, context: Space | int) -> Elementwise:
    """Return the learned mean and scale of the last latent variables, as a layer before the standard normal base."""
    if isinstance(context, Space):
        return Elementwise(Affine(), space)
    return Elementwise(Affine(), space, context=context, hidden=(max(32, context),))


def _one_convolution(inputs: int, outputs: int) -> nn.Module:
    layer = nn.Conv2d(inputs, outputs, 3, padding=1)
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
    return layer


class Scaled(nn.Module):
    """A network of pictures that are given by their levels: x / (K - 1) - 1/2 goes in.

    Args:
        network: From (B, C, H, W).
        levels: K.
    """

    def __init__(self, network: nn.Module, levels: int) -> None:
        super().__init__()
        self.network, self.levels = network, levels

    def forward(self, x: Tensor) -> Tensor:
        """Levels (B, C, H, W) -> what the network makes of them."""
        return self.network(x / (self.levels - 1) - 0.5)

    def undo(self, u: Tensor) -> Tensor:
        """Return the levels of numbers x / (K - 1) - 1/2."""
        return ((u + 0.5) * (self.levels - 1)).round()


def law_cases(cls: type[Any], **fields: Any) -> list[Any]:
    """Tiny pictures for the laws, without a condition, with a label and with a picture; nothing of the line is lost."""
    small: dict[str, Any] = {"levels": 2, "alpha": 0.0, **fields}
    return [
        cls(shape=(1, 2, 2), **small),
        cls(shape=(1, 2, 2), classes=3, **small),
        cls(shape=(2, 4, 4), condition=(1, 2, 2), condition_channels=3, **{**small, "levels": 3}),
    ]
