"""nflows: transforms with context, a flow of them and a distribution."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..work import BINS, BOUND, Work
from .base import Library, Model, Plain, PlainConvolutions, Spline

FIRST = """
import torch
from nflows.distributions import StandardNormal
from nflows.flows import Flow
from nflows.transforms import CompositeTransform, MaskedAffineAutoregressiveTransform, ReversePermutation
layers = []
for i in range(5):
    layers += [MaskedAffineAutoregressiveTransform(8, 64, num_blocks=1, use_residual_blocks=False), ReversePermutation(8)]
Flow(CompositeTransform(layers), StandardNormal([8])).log_prob(torch.randn(256, 8))
"""


class Nflows(Model):
    """An nflows flow."""

    def __init__(self, flow: Any) -> None:
        super().__init__()
        self.flow = flow

    def log_prob(self, x: Tensor) -> Tensor:
        """As the library's."""
        return self.flow.log_prob(x)

    def sample(self, n: int) -> Tensor:
        """As the library's."""
        return self.flow.sample(n)

    def sample_and_log_prob(self, n: int) -> tuple[Tensor, Tensor]:
        """As the library's."""
        return self.flow.sample_and_log_prob(n)


def build(work: Work) -> Nflows:
    """Its transforms in a composite."""
    from nflows import transforms as nt
    from nflows.distributions import StandardNormal
    from nflows.flows import Flow

    system, size = work.system, work.size
    layers: list[Any] = []
    for i in range(system.layers):
        mapped = torch.tensor([0 if passes else 1 for passes in work.mask(i)])
        if system.structure == "image":
            layers += [nt.ActNorm(size.shape[0]), nt.OneByOneConvolution(size.shape[0])]
            layers.append(nt.AffineCouplingTransform(mapped, lambda a, b: PlainConvolutions(a, b, size.width)))
        elif system.structure == "coupling" and system.spline:
            layers.append(
                nt.PiecewiseRationalQuadraticCouplingTransform(
                    mapped, lambda a, b: Plain(a, b, size.width), num_bins=BINS, tails="linear", tail_bound=BOUND
                )
            )
        elif system.structure == "coupling":
            layers.append(nt.AffineCouplingTransform(mapped, lambda a, b: Plain(a, b, size.width)))
        else:
            layers.append(_autoregressive(nt, work))
            if i + 1 < system.layers:
                layers.append(nt.ReversePermutation(size.features))
    return Nflows(Flow(nt.CompositeTransform(layers), StandardNormal(list(size.shape))))


def _autoregressive(nt: Any, work: Work) -> Any:
    made = {"num_blocks": 1, "use_residual_blocks": False}
    if work.system.spline:
        return nt.MaskedPiecewiseRationalQuadraticAutoregressiveTransform(
            work.size.features, work.size.width, num_bins=BINS, tails="linear", tail_bound=BOUND, **made
        )
    layer = nt.MaskedAffineAutoregressiveTransform(work.size.features, work.size.width, **made)
    return nt.InverseTransform(layer) if work.system.inverted else layer


def spline(work: Work) -> Spline:
    """Its function."""
    from nflows.transforms.splines import unconstrained_rational_quadratic_spline

    def run(x: Tensor, p: Tensor) -> tuple[Tensor, Tensor]:
        widths, heights, slopes = p.split((BINS, BINS, BINS - 1), -1)
        return unconstrained_rational_quadratic_spline(x, widths, heights, slopes, tail_bound=BOUND)

    return run


LIBRARY = Library("nflows", "nflows", "nflows", build, spline, FIRST)
