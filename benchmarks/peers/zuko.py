"""Zuko: calling a flow with a context gives a distribution, whose transform goes from data to latent."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from ..speed.work import BINS, BOUND, Work
from .case import Case
from .library import Absent, Library, Model, Spline

FIRST = """
import torch, zuko
flow = zuko.flows.MAF(8, transforms=5, hidden_features=(64, 64))
flow().log_prob(torch.randn(256, 8))
"""


class Zuko(Model):
    """A lazy flow."""

    notes: tuple[str, ...] = ("the log-probabilities of its draws come from a second pass, back from the draws",)

    def log_prob(self, x: Tensor, c: Tensor | None = None) -> Tensor:
        """Return `flow(c).log_prob`."""
        return self.module(c).log_prob(x)

    def sample(self, n: int, c: Tensor | None = None) -> Tensor:
        """Return `flow(c).sample`."""
        return self.module(c).sample((n,))

    def sample_and_log_prob(self, n: int) -> tuple[Tensor, Tensor]:
        """Return `flow().rsample_and_log_prob`, which draws and then goes back for the density."""
        return self.module().rsample_and_log_prob((n,))

    def to_latent(self, x: Tensor, c: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Apply `flow(c).transform`."""
        return self.module(c).transform.call_and_ladj(x)

    def to_data(self, z: Tensor, c: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        """Apply `flow(c).transform.inv`."""
        return self.module(c).transform.inv.call_and_ladj(z)


def build(work: Work) -> Zuko:
    """Return the library's own flow. Couplings are its general ones, so that their networks have the size of a half."""
    from zuko.distributions import DiagNormal
    from zuko.flows import MAF, NSF, Flow, GeneralCouplingTransform, MaskedAutoregressiveTransform
    from zuko.lazy import UnconditionalDistribution
    from zuko.transforms import MonotonicRQSTransform

    system, size = work.system, work.size
    if system.structure == "image":
        raise Absent("vectors only")
    network: dict[str, Any] = {"hidden_features": (size.width, size.width)}
    if system.structure == "autoregressive" and not system.inverted:
        if system.spline:
            return Zuko(NSF(size.features, transforms=system.layers, bins=BINS, **network), size.shape)
        return Zuko(MAF(size.features, transforms=system.layers, **network), size.shape)
    base = UnconditionalDistribution(
        DiagNormal, loc=torch.zeros(size.features), scale=torch.ones(size.features), buffer=True
    )
    if system.inverted:
        orders = [torch.arange(size.features), torch.arange(size.features).flip(0)]
        steps = [
            MaskedAutoregressiveTransform(size.features, order=orders[i % 2], **network).inv
            for i in range(system.layers)
        ]
        return Zuko(Flow(steps, base), size.shape)
    if system.spline:
        univariate = partial(MonotonicRQSTransform, bound=BOUND)
        network |= {"univariate": univariate, "shapes": [(BINS,), (BINS,), (BINS - 1,)]}
    steps = [
        GeneralCouplingTransform(size.features, mask=torch.tensor(work.mask(i)), **network)
        for i in range(system.layers)
    ]
    return Zuko(Flow(steps, base), size.shape)


def spline(work: Work) -> Spline:
    """Return the library's transform, which is made from the parameters at every call, as in a flow."""
    from zuko.transforms import MonotonicRQSTransform

    def run(x: Tensor, p: Tensor) -> tuple[Tensor, Tensor]:
        return MonotonicRQSTransform(*p.split((BINS, BINS, BINS - 1), -1), bound=BOUND).call_and_ladj(x)

    return run


def _make(flow: str, features: int, context: int, layers: int) -> nn.Module:
    import zuko.flows

    return getattr(zuko.flows, flow)(features, context, transforms=layers, hidden_features=(32, 32))


CASES = [
    Case("zuko", flow, Zuko, partial(_make, flow))
    for flow in ("NICE", "RealNVP", "MAF", "NSF", "NAF", "UNAF", "SOSPF", "BPF", "GF")
]
CASES.append(Case("zuko", "NCSF", Zuko, partial(_make, "NCSF"), circle="all"))

LIBRARY = Library("zuko", "zuko", "zuko", build, spline, FIRST, CASES)
