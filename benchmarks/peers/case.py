"""Flows with a context as users build them, for checks of correctness."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from pushforward.laws import Adapter

LOW, HIGH = -math.pi, math.pi
"""Ends of the circle that circular coordinates live on."""


@dataclass(frozen=True)
class Case:
    """One flow of one library.

    Args:
        library: Name of the package that is imported.
        flow: Name of the flow in that library.
        adapter: Class that wraps what `make` returns.
        make: Function of the numbers of features, of context entries and of layers that returns the library's object.
        circle: Coordinates that live on the circle [LOW, HIGH) and not on the line.
        excused: Reasons by the names of checks that do not apply. "context" excuses every check that needs a context.
    """

    library: str
    flow: str
    adapter: Callable[[nn.Module, tuple[int, ...], int], Adapter]
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
        """Return the flow in evaluation mode, with normal noise of deviation noise / sqrt(fan-in) on every parameter.

        Args:
            features: Number of features D.
            context: Length of the context, 0 for none.
            layers: Number of layers.
            dtype: Type of the parameters. None is float64, or float32 if the library raises an error in float64, so that this
                error does not make every other check fail.
            noise: Size of the noise; 0 leaves the parameters at their start.
            seed: Seed of the library's random start and of the noise.
            draws: Whether samples have to work in float64 too, and not only `log_prob`, for float64 to be taken.
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
        return self.adapter(module.to(dtype).eval(), (features,), context).eval()

    def on_circle(self, features: int) -> list[bool]:
        """Return which coordinates live on the circle."""
        return [self.circle == "all" or (self.circle == "first" and i == 0) for i in range(features)]

    def draw(self, n: int, features: int = 2, *, scale: float = 1.5, dtype: torch.dtype = torch.float64) -> Tensor:
        """Return points of the data space: normal on the line, uniform on the circle."""
        x = scale * torch.randn(n, features, dtype=dtype)
        circle = torch.tensor(self.on_circle(features))
        return torch.where(circle, LOW + (HIGH - LOW) * (0.01 + 0.98 * torch.rand_like(x)), x)


@contextlib.contextmanager
def _numpy_seed(seed: int) -> Iterator[None]:
    """Seed numpy's global generator, from which some libraries draw permutations, and restore it afterwards."""
    before = np.random.get_state()
    np.random.seed(seed)
    try:
        yield
    finally:
        np.random.set_state(before)
