"""What the checks know of a flow: an `Adapter`, four methods around a module; a `Case`, how to make one."""

from __future__ import annotations

import abc
import contextlib
import importlib.metadata
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

LOW, HIGH = -math.pi, math.pi
"""Ends of the circle that circular coordinates live on."""


class Adapter(abc.ABC):
    """A flow of some library, seen from the data side: forward is data to latent, whatever the library calls it.

    An adapter passes on what it is given and checks, converts and repairs nothing, so that the checks see the library.

    Args:
        module: the library's own object.
        features: D.
        context: length of the context, 0 for none.
    """

    def __init__(self, module: nn.Module, features: int, context: int) -> None:
        self.module, self.features, self.context = module, features, context

    @property
    def dtype(self) -> torch.dtype:
        """Of the parameters."""
        return next(self.module.parameters()).dtype

    @abc.abstractmethod
    def log_prob(self, x: Tensor, c: Tensor | None) -> Tensor:
        """(*batch, D), (*batch, C) or None -> (*batch,) nats."""

    @abc.abstractmethod
    def sample(self, n: int, c: Tensor | None) -> Tensor:
        """N draws for one context (C,) or None -> (n, D)."""

    @abc.abstractmethod
    def forward(self, x: Tensor, c: Tensor | None) -> tuple[Tensor, Tensor]:
        """(B, D), (B, C) or None -> z (B, D), log |det dz/dx| (B,)."""

    @abc.abstractmethod
    def inverse(self, z: Tensor, c: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """(B, D), (B, C) or None -> x (B, D), log |det dx/dz| (B,), or None where the library gives none."""


def standard_normal(z: Tensor) -> Tensor:
    """Log-density of the standard normal: (*batch, D) -> (*batch,); for libraries whose flows have no base."""
    return -0.5 * (z.square() + math.log(2 * math.pi)).sum(-1)


class Density(nn.Module):
    """`log_prob` without context as a module's forward, for compilation and export."""

    def __init__(self, adapter: Adapter) -> None:
        super().__init__()
        self.module, self.adapter = adapter.module, adapter

    def forward(self, x: Tensor) -> Tensor:
        """(B, D) -> (B,)."""
        return self.adapter.log_prob(x, None)


@dataclass(frozen=True)
class Case:
    """One flow of one library.

    Args:
        library: whose it is; the name that is imported.
        flow: its name there.
        adapter: wraps what `make` returns.
        make: called with features, context and number of layers; returns the library's object.
        circle: coordinates that live on the circle (LOW, HIGH) rather than on the line: "none", "first" or "all".
        excused: name of a check -> why it says nothing here. "context" excuses every check that needs one.
    """

    library: str
    flow: str
    adapter: Callable[[nn.Module, int, int], Adapter]
    make: Callable[[int, int, int], nn.Module]
    circle: Literal["none", "first", "all"] = "none"
    excused: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Library and flow."""
        return f"{self.library} {self.flow}"

    def build(
        self,
        features: int = 2,
        context: int = 0,
        *,
        layers: int = 3,
        dtype: torch.dtype | None = None,
        noise: float = 0.5,
        seed: int = 0,
        draws: bool = False,
    ) -> Adapter:
        """The flow in evaluation mode, with normal noise of deviation noise / sqrt(fan-in) added to every parameter.

        Args:
            features: D.
            context: length of the context, 0 for none.
            layers: how many.
            dtype: None is float64, or float32 if the library raises an error in float64: one fault is not to fail all.
            noise: 0 leaves the parameters at their start.
            seed: of the library's random start and of the noise.
            draws: whether float64 has to work for samples too, and not only for log_prob, to be taken.
        """
        if dtype is None:
            flow = self.build(features, context, layers=layers, dtype=torch.float64, noise=noise, seed=seed)
            c = torch.zeros(2, context, dtype=torch.float64) if context else None
            try:
                with torch.random.fork_rng(devices=[]), torch.no_grad():
                    flow.log_prob(self.draw(2, features), c)
                    if draws:
                        flow.sample(2, c if c is None else c[0])
                    return flow
            except Exception:
                return self.build(features, context, layers=layers, dtype=torch.float32, noise=noise, seed=seed)
        with torch.random.fork_rng(devices=[]), _numpy_seed(seed):
            torch.manual_seed(seed)
            module = self.make(features, context, layers)
            for p in module.parameters():
                if p.requires_grad and noise:
                    scale = noise / math.sqrt(max(p.shape[-1], 4)) if p.dim() else noise / 2
                    p.data.add_(scale * torch.randn_like(p))
        return self.adapter(module.to(dtype).eval(), features, context)

    def on_circle(self, features: int) -> list[bool]:
        """Which coordinates live on the circle."""
        return [self.circle == "all" or (self.circle == "first" and i == 0) for i in range(features)]

    def draw(self, n: int, features: int = 2, *, scale: float = 1.5, dtype: torch.dtype = torch.float64) -> Tensor:
        """Points of the data space: normal on the line, uniform on the circle."""
        x = scale * torch.randn(n, features, dtype=dtype)
        circle = torch.tensor(self.on_circle(features))
        return torch.where(circle, LOW + (HIGH - LOW) * (0.01 + 0.98 * torch.rand_like(x)), x)


@contextlib.contextmanager
def _numpy_seed(seed: int) -> Iterator[None]:
    """Some libraries draw permutations with numpy's global generator."""
    before = np.random.get_state()  # noqa: NPY002
    np.random.seed(seed)  # noqa: NPY002
    try:
        yield
    finally:
        np.random.set_state(before)  # noqa: NPY002


@dataclass(frozen=True)
class Library:
    """A library and its cases.

    Args:
        name: what is imported.
        distribution: its name on the package index.
        cases: its flows.
    """

    name: str
    distribution: str
    cases: Sequence[Case]

    @property
    def version(self) -> str:
        """The version that is installed."""
        return importlib.metadata.version(self.distribution)
