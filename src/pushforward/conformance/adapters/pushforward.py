"""This library: a flow's chain is data to latent, and contexts are checked at the public doors."""

from __future__ import annotations

from functools import partial
from typing import Any

from torch import Tensor

from ...core import Flow
from ...systems.spec import build
from ..adapter import Adapter, Case, Library


class PushforwardAdapter(Adapter):
    """`Flow`: log_prob and sample are its own; forward and inverse are its chain's."""

    module: Flow

    def log_prob(self, x: Tensor, c: Tensor | None) -> Tensor:
        """`Flow.log_prob`."""
        return self.module.log_prob(x, c)

    def sample(self, n: int, c: Tensor | None) -> Tensor:
        """`Flow.sample`."""
        return self.module.sample(n, c)

    def forward(self, x: Tensor, c: Tensor | None) -> tuple[Tensor, Tensor]:
        """The chain."""
        return self.module.chain(x, c)

    def inverse(self, z: Tensor, c: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """The chain's inverse."""
        return self.module.chain.inverse(z, c)


def _case(label: str, system: str, **options: Any) -> Case:
    return Case("pushforward", label, PushforwardAdapter, partial(_make, system, options))


def _make(system: str, options: dict[str, Any], features: int, context: int, layers: int) -> Flow:
    flow = build(system, features=features, context=context, layers=layers, **options)
    if not isinstance(flow, Flow):
        raise TypeError(f"expected a Flow, got {type(flow).__name__}")
    return flow


LIBRARY = Library(
    "pushforward",
    "pushforward",
    [
        _case("NICE", "nice", hidden=(32, 32)),
        _case("RealNVP", "realnvp", hidden=(32, 32)),
        _case("MAF", "maf", hidden=(32, 32)),
        _case("IAF", "iaf", hidden=(32, 32)),
        _case("NSF coupling", "nsf", structure="coupling", hidden=32),
        _case("NSF autoregressive", "nsf", hidden=32),
    ],
)
