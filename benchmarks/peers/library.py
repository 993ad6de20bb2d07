"""The entry of a library, the base class of the adapters, and the plain networks that every library is given."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from pushforward.laws import Adapter

from ..speed.work import HIDDEN, Work
from .case import Case

NOT_INSTALLED = "not installed"
"""Reason for a library that cannot be imported; earlier measurements of it are kept."""


class Absent(Exception):
    """A library is not installed, or does not have what is measured; the message says which."""


class Model(Adapter):
    """One flow of one library. Everything goes through the library's public functions."""

    notes: tuple[str, ...] = ()
    """Remarks for the report on how the flow was built."""

    def sample_and_log_prob(self, n: int) -> tuple[Tensor, Tensor]:
        """Return n draws and their log-probabilities, with gradients where they are enabled."""
        x = self.sample(n)
        return x, self.log_prob(x)


Spline = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
"""From x (B, M) and parameters (B, M, 3 K - 1) to z and its log-derivatives, which may be summed over the coordinates."""


@dataclass(frozen=True)
class Library:
    """One library.

    Args:
        name: Name in the report of speed.
        package: Name of the package that is imported.
        distribution: Name on the package index, for the version.
        build: Function that makes the flow of some work, or raises `Absent`.
        spline: Function that makes the rational-quadratic map of parameters in two layouts ("coupling", "autoregressive"), or
            raises `Absent`.
        first: Program that makes a small flow and its first density; it runs in a process of its own.
        cases: Flows that are checked for correctness.
    """

    name: str
    package: str
    distribution: str
    build: Callable[[Work], Model]
    spline: Callable[[Work], Spline]
    first: str
    cases: Sequence[Case] = ()


def lacking(reason: str) -> Callable[[Work], Any]:
    """Return a function that raises `Absent` with a reason, for `Library.build` and `Library.spline`."""

    def refuse(work: Work) -> Any:
        raise Absent(reason)

    return refuse


class Plain(nn.Sequential):
    """Linear layers with ReLU between them. A context is ignored."""

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


def standard_normal(z: Tensor, dims: int = 1) -> Tensor:
    """Return the log-density of independent standard normals: (*batch, *shape) -> (*batch,).

    Args:
        z: Latent points.
        dims: Number of dimensions of one event.
    """
    z = z.flatten(-dims)
    return -0.5 * (z.square().sum(-1) + z.shape[-1] * math.log(2 * math.pi))


def randomise(module: nn.Module, seed: int = 0) -> None:
    """Draw weights of the same spread for every library: matrices N(0, 0.25 / inputs), vectors N(0, 0.01)."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in module.parameters():
            if not p.requires_grad or not p.numel():
                continue
            spread = 0.1 if p.dim() < 2 else 0.5 / math.sqrt(p[0].numel())
            p.copy_(spread * torch.randn(p.shape, generator=generator))


def trainable(module: nn.Module) -> list[nn.Parameter]:
    """Return the parameters that training changes."""
    return [p for p in module.parameters() if p.requires_grad and p.numel()]
