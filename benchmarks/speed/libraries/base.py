"""What a library has to offer here, and the plain network that it is given where it takes one."""

from __future__ import annotations

import abc
import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn

from ..work import HIDDEN, Work


class Absent(Exception):
    """A library has not got something, or has not got it yet; the message says what."""


class Model(nn.Module, abc.ABC):
    """One flow of one library behind one face. All of it goes through the library's public functions."""

    notes: tuple[str, ...] = ()
    """What a reader has to know about how it was built."""

    @abc.abstractmethod
    def log_prob(self, x: Tensor) -> Tensor:
        """(B, *shape) -> (B,), nats."""

    @abc.abstractmethod
    def sample(self, n: int) -> Tensor:
        """N draws."""

    @abc.abstractmethod
    def sample_and_log_prob(self, n: int) -> tuple[Tensor, Tensor]:
        """N draws and their log-probabilities, with gradients where they are enabled."""

    def forward(self, x: Tensor) -> Tensor:
        """`log_prob`."""
        return self.log_prob(x)


Spline = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
"""From x (B, M) and parameters (B, M, 3 K - 1) to z and its log-derivatives, which may be summed over the coordinates."""


@dataclass(frozen=True)
class Library:
    """One library.

    Args:
        name: as it is known.
        package: what is imported.
        distribution: what is installed, for the version.
        build: makes the flow of some work, or raises `Absent`.
        spline: makes the rational-quadratic map of parameters in two layouts ("coupling", "autoregressive"), or raises
            `Absent`.
        first: a program that makes a small flow and its first density; it runs in a process of its own.
    """

    name: str
    package: str
    distribution: str
    build: Callable[[Work], Model]
    spline: Callable[[Work], Spline]
    first: str


class Plain(nn.Sequential):
    """Linear layers with ReLU between them; a context is ignored."""

    def __init__(self, inputs: int, outputs: int, width: int) -> None:
        widths = [inputs, *[width] * HIDDEN]
        layers: list[nn.Module] = []
        for before, after in pairwise(widths):
            layers += [nn.Linear(before, after), nn.ReLU()]
        super().__init__(*layers, nn.Linear(width, outputs))

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """(B, inputs) -> (B, outputs)."""
        return super().forward(x)


class PlainConvolutions(nn.Sequential):
    """Convolutions of 3 x 3, 1 x 1 and 3 x 3 with ReLU between them, as in Glow."""

    def __init__(self, inputs: int, outputs: int, width: int) -> None:
        super().__init__(
            nn.Conv2d(inputs, width, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(width, width, 1),
            nn.ReLU(),
            nn.Conv2d(width, outputs, 3, padding=1),
        )

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """(B, inputs, H, W) -> (B, outputs, H, W)."""
        return super().forward(x)


def standard_normal(z: Tensor) -> Tensor:
    """Log-density of independent standard normals: (B, *shape) -> (B,)."""
    z = z.flatten(1)
    return -0.5 * (z.square().sum(1) + z.shape[1] * math.log(2 * math.pi))


def randomise(module: nn.Module, seed: int = 0) -> None:
    """Weights of the same spread for every library: matrices N(0, 0.25 / inputs), vectors N(0, 0.01)."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in module.parameters():
            if not p.requires_grad or not p.numel():
                continue
            spread = 0.1 if p.dim() < 2 else 0.5 / math.sqrt(p[0].numel())
            p.copy_(spread * torch.randn(p.shape, generator=generator))


def trainable(module: nn.Module) -> list[nn.Parameter]:
    """The parameters that training changes."""
    return [p for p in module.parameters() if p.requires_grad and p.numel()]
