"""Base class of systems of clips: the space of a few frames, clips of other lengths, and frames that are only given."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor, nn

from ..core import Chain, Distribution, Flow, Integers, Real, Transform, layers_of
from ..distributions import Normal
from ..errors import SpecError
from ..objectives import NegativeLogLikelihood
from ..transforms import ChannelsFirst
from .picture_spec import Preprocess, dequantised, require_alpha, require_divisible, require_picture
from .spec import Spec

MOST_FRAMES = 10_000
"""Largest number of frames of a clip."""


@dataclass(frozen=True, kw_only=True)
class ClipSpec(Spec, register=False):
    """Base class with the arguments of every system of clips, which are pictures of one size in the order of time.

    What a model says about a frame does not depend on the frames after it, and its weights do not depend on the number of
    frames: `of_length` gives the model of longer or shorter clips.

    Args:
        frames: Number T of frames of a clip.
        shape: Channels, height and width of a frame.
        levels: Number K of levels of brightness; pixels are whole numbers from 0 to K - 1.
        given: Number of first frames that are only given: training scores the frames after them.
        preprocess: Map from x in [0, 1] to the real line: "logit" for logit(a + (1 - 2 a) x), "logit-one-sided" for
            logit(a + (1 - a) x), "centre" for 2 x - 1.
        alpha: Constant a of the logit, in [0, 0.5).
    """

    sizes = ("frames", "shape", "levels")
    symbol = ">="
    spread = 0.2  # with larger weights, the bounds of dequantised models are too loose to be averaged

    frames: int
    shape: tuple[int, ...]
    levels: int = 256
    given: int = 0
    preprocess: Preprocess = "logit"
    alpha: float = 0.05

    def validate(self) -> None:
        """Check the numbers of frames, the shape and the levels."""
        super().validate()
        require_picture(f"{self.name}.shape", self.shape)
        require_alpha(f"{self.name}.alpha", self.alpha)
        if not 1 <= self.frames <= MOST_FRAMES:
            raise SpecError(f"expected {self.name}.frames from 1 to {MOST_FRAMES:,}, got {self.frames}")
        if not 0 <= self.given < self.frames:
            raise SpecError(
                f"expected {self.name}.given from 0 to {self.frames - 1} of {self.frames} frames, got {self.given}"
            )
        self._at_least("levels", 2)
        for name in ("scales", "steps", "blocks", "hidden"):
            self._at_least(name, 1)

    @classmethod
    def from_data(cls, x: Any, context: Any = None, **fields: Any) -> Self:
        """Return the spec for a set of clips.

        Args:
            x: Clips (N, T, C, H, W) of whole numbers from 0, with 256 levels unless `levels` is given.
            context: None; clips have no context.
            **fields: Other arguments of the system.

        Raises:
            SpecError: The data have another shape, or an argument is out of range.
        """
        shape = np.shape(x)
        if len(shape) != 5 or context is not None:
            raise SpecError(f"expected clips of shape (N, T, C, H, W) without a context, got shape {shape}")
        return cls(frames=shape[1], shape=shape[2:], **fields)

    @property
    def space(self) -> Integers:
        """Space of the clips, (T, C, H, W)."""
        return Integers((self.frames, *self.shape), 0, self.levels - 1)

    def require_divisible(self, by: int, why: str) -> None:
        """Check that a factor divides the height and width of the frames.

        Raises:
            SpecError: It does not; the message has the size and the factor.
        """
        require_divisible(self.shape, by, why)

    def front(self) -> list[Transform]:
        """Return the layers from clips to the real line, with the channels first: (T, C, H, W) -> (C, T, H, W)."""
        layers = dequantised(self.space, self.preprocess, self.alpha)
        return [*layers, ChannelsFirst(layers[-1].z_space)]

    def flow(self, layers: Sequence[Transform]) -> Flow:
        """Return the model of layers before a standard normal base."""
        chain = Chain(*layers)
        return Flow(chain, Normal(Real(chain.z_space.shape)))

    def loss(self, model: Distribution) -> nn.Module | None:
        """Return the negative log-likelihood of the frames after the given ones; None if no frame is only given."""
        return NegativeLogLikelihood(LaterFrames(model, self.given)) if self.given else None


def of_length(model: Distribution, frames: int) -> Flow:
    """Return the model of clips of another length, which shares all weights with the model.

    Args:
        model: Model of a system of clips.
        frames: Number of frames, at least 1.

    Raises:
        SpecError: The model is another one, or there is no frame.
    """
    spec = model.spec
    if not isinstance(spec, ClipSpec):
        raise SpecError("expected a model of clips, such as one of the system videoflow, got another one")
    with torch.random.fork_rng(devices=[]):
        new = replace(spec, frames=frames, given=min(spec.given, frames - 1)).build()
    new.load_state_dict(model.state_dict(keep_vars=True), assign=True)
    new.to(model.device, model.dtype).train(model.training)
    return new  # type: ignore[return-value]


class LaterFrames(nn.Module):
    """Log-likelihood of the frames of a clip after the first g: log p(x_(g+1), ..., x_T | x_1, ..., x_g).

    It is the difference of the log-likelihoods of T and of g frames, because frames do not depend on later ones. The noise of
    dequantisation is the same in both.

    Args:
        model: Model of a system of clips, of T frames.
        given: Number g of first frames, from 0 to T - 1.

    Raises:
        SpecError: The model is another one, or the number is out of range.
    """

    def __init__(self, model: Distribution, given: int) -> None:
        super().__init__()
        spec = model.spec
        if not isinstance(spec, ClipSpec) or not isinstance(model, Flow) or not 0 <= given < spec.frames:
            raise SpecError(f"expected a model of clips of more than {given} frames, got another one")
        self.model, self.given = model, given
        self.noise = next(layers_of(model.chain))
        parts = (model, of_length(model, given)) if given else ()
        self.rests = nn.ModuleList(_without_noise(part) for part in parts)
        later = spec.space.size // spec.frames * (spec.frames - given)
        self.volume = later * math.log(spec.levels)

    def forward(self, x: Tensor) -> Tensor:
        """Return log-likelihoods in nats, (B,), of clips (B, T, C, H, W)."""
        if not self.given:
            return self.model(x)
        y = self.noise(x)[0]
        whole, first = (part(v) for part, v in zip(self.rests, (y, y[:, : self.given]), strict=True))
        return whole - first - self.volume


def _without_noise(model: Flow) -> Flow:
    """Return the density of dequantised clips, which shares all weights with the model."""
    _, *rest = layers_of(model.chain)
    return Flow(Chain(*rest), model.base)
