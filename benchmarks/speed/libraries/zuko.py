"""Zuko: lazy flows that make a distribution when they are called."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor

from ..work import BINS, BOUND, Work
from .base import Absent, Library, Model, Spline

FIRST = """
import torch, zuko
flow = zuko.flows.MAF(8, transforms=5, hidden_features=(64, 64))
flow().log_prob(torch.randn(256, 8))
"""


class Zuko(Model):
    """A lazy flow without context."""

    notes: tuple[str, ...] = ("the log-probabilities of its draws come from a second pass, back from the draws",)

    def __init__(self, flow: Any) -> None:
        super().__init__()
        self.flow = flow

    def log_prob(self, x: Tensor) -> Tensor:
        """As the library's."""
        return self.flow().log_prob(x)

    def sample(self, n: int) -> Tensor:
        """As the library's."""
        return self.flow().sample((n,))

    def sample_and_log_prob(self, n: int) -> tuple[Tensor, Tensor]:
        """As the library's, which draws and then goes back for the density."""
        return self.flow().rsample_and_log_prob((n,))


def build(work: Work) -> Zuko:
    """The library's own flows; couplings from its general one, so that their networks have the size of a half."""
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
            return Zuko(NSF(size.features, transforms=system.layers, bins=BINS, **network))
        return Zuko(MAF(size.features, transforms=system.layers, **network))
    base = UnconditionalDistribution(
        DiagNormal, loc=torch.zeros(size.features), scale=torch.ones(size.features), buffer=True
    )
    if system.inverted:
        orders = [torch.arange(size.features), torch.arange(size.features).flip(0)]
        steps = [
            MaskedAutoregressiveTransform(size.features, order=orders[i % 2], **network).inv
            for i in range(system.layers)
        ]
        return Zuko(Flow(steps, base))
    if system.spline:
        univariate = partial(MonotonicRQSTransform, bound=BOUND)
        network |= {"univariate": univariate, "shapes": [(BINS,), (BINS,), (BINS - 1,)]}
    steps = [
        GeneralCouplingTransform(size.features, mask=torch.tensor(work.mask(i)), **network)
        for i in range(system.layers)
    ]
    return Zuko(Flow(steps, base))


def spline(work: Work) -> Spline:
    """Its transform, made anew from the parameters as in a flow."""
    from zuko.transforms import MonotonicRQSTransform

    def run(x: Tensor, p: Tensor) -> tuple[Tensor, Tensor]:
        return MonotonicRQSTransform(*p.split((BINS, BINS, BINS - 1), -1), bound=BOUND).call_and_ladj(x)

    return run


LIBRARY = Library("zuko", "zuko", "zuko", build, spline, FIRST)
