"""nflows: a transform goes from data to latent; the context is the second argument everywhere."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from ..speed.work import BINS, BOUND, Work
from .case import Case
from .library import Library, Model, Plain, PlainConvolutions, Spline

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
    """A flow and its transform."""

    def log_prob(self, x: Tensor, c: Tensor | None = None) -> Tensor:
        """Return `Flow.log_prob`."""
        return self.module.log_prob(x, context=c)

    def sample(self, n: int, c: Tensor | None = None) -> Tensor:
        """Return `Flow.sample`, which for a context of one row is (1, n, D)."""
        return self.module.sample(n) if c is None else self.module.sample(n, context=c[None])[0]

    def sample_and_log_prob(self, n: int) -> tuple[Tensor, Tensor]:
        """Return `Flow.sample_and_log_prob`."""
        return self.module.sample_and_log_prob(n)

    def to_latent(self, x: Tensor, c: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Apply the transform."""
        return self.module._transform(x, context=c)

    def to_data(self, z: Tensor, c: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        """Apply the transform's inverse."""
        return self.module._transform.inverse(z, context=c)


def build(work: Work) -> Nflows:
    """Return a flow of the library's transforms in a composite."""
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
    return Nflows(Flow(nt.CompositeTransform(layers), StandardNormal(list(size.shape))), size.shape)


def _autoregressive(nt: Any, work: Work) -> Any:
    made = {"num_blocks": 1, "use_residual_blocks": False}
    if work.system.spline:
        return nt.MaskedPiecewiseRationalQuadraticAutoregressiveTransform(
            work.size.features, work.size.width, num_bins=BINS, tails="linear", tail_bound=BOUND, **made
        )
    layer = nt.MaskedAffineAutoregressiveTransform(work.size.features, work.size.width, **made)
    return nt.InverseTransform(layer) if work.system.inverted else layer


def spline(work: Work) -> Spline:
    """Return the library's function."""
    from nflows.transforms.splines import unconstrained_rational_quadratic_spline

    def run(x: Tensor, p: Tensor) -> tuple[Tensor, Tensor]:
        widths, heights, slopes = p.split((BINS, BINS, BINS - 1), -1)
        return unconstrained_rational_quadratic_spline(x, widths, heights, slopes, tail_bound=BOUND)

    return run


def _make(layer: str, options: dict[str, Any], features: int, context: int, layers: int) -> nn.Module:
    """Return a flow of layers of a class of `nflows.transforms`: couplings with a mask, or autoregressive."""
    from nflows import transforms as nt
    from nflows.distributions import StandardNormal
    from nflows.flows import Flow
    from nflows.utils.torchutils import create_alternating_binary_mask

    make = getattr(nt, layer)
    parts = []
    for i in range(layers):
        if "Coupling" in layer:
            parts.append(
                make(create_alternating_binary_mask(features, even=i % 2 == 0), partial(_net, context), **options)
            )
        else:
            steps = [nt.ReversePermutation(features)]
            steps.append(make(features, 32, context_features=context or None, num_blocks=1, **options))
            parts.append(nt.CompositeTransform(steps))
    return Flow(nt.CompositeTransform(parts), StandardNormal([features]))


def _net(context: int, inputs: int, outputs: int) -> nn.Module:
    from nflows.nn.nets import ResidualNet

    return ResidualNet(inputs, outputs, 32, context_features=context or None, num_blocks=1)


TAILS = {"num_bins": BINS, "tails": "linear", "tail_bound": BOUND}
CASES = [
    Case("nflows", flow, Nflows, partial(_make, layer, options))
    for flow, layer, options in (
        ("RealNVP", "AffineCouplingTransform", {}),
        ("MAF", "MaskedAffineAutoregressiveTransform", {}),
        ("RQ-NSF (C)", "PiecewiseRationalQuadraticCouplingTransform", TAILS),
        ("RQ-NSF (AR)", "MaskedPiecewiseRationalQuadraticAutoregressiveTransform", TAILS),
    )
]

LIBRARY = Library("nflows", "nflows", "nflows", build, spline, FIRST, CASES)
