"""zuko: calling a flow with a context gives a distribution, whose transform is data to latent."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Literal

import zuko.flows
from torch import Tensor, nn

from ..adapter import Adapter, Case, Library


class ZukoAdapter(Adapter):
    """`flow(c)` and its `transform`."""

    def log_prob(self, x: Tensor, c: Tensor | None) -> Tensor:
        """`flow(c).log_prob`."""
        return self.module(c).log_prob(x)

    def sample(self, n: int, c: Tensor | None) -> Tensor:
        """`flow(c).sample`."""
        return self.module(c).sample((n,))

    def forward(self, x: Tensor, c: Tensor | None) -> tuple[Tensor, Tensor]:
        """`flow(c).transform`."""
        return self.module(c).transform.call_and_ladj(x)

    def inverse(self, z: Tensor, c: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """`flow(c).transform.inv`."""
        return self.module(c).transform.inv.call_and_ladj(z)


def _make(flow: Callable[..., nn.Module], features: int, context: int, layers: int) -> nn.Module:
    return flow(features, context, transforms=layers, hidden_features=(32, 32))


def _case(flow: str, circle: Literal["none", "all"] = "none") -> Case:
    return Case("zuko", flow, ZukoAdapter, partial(_make, getattr(zuko.flows, flow)), circle=circle)


LIBRARY = Library(
    "zuko",
    "zuko",
    [_case(flow) for flow in ("NICE", "RealNVP", "MAF", "NSF", "NAF", "UNAF", "SOSPF", "BPF", "GF")]
    + [_case("NCSF", "all")],
)
