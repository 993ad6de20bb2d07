"""nflows: a transform is data to latent; context is the second argument everywhere."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from nflows.distributions.normal import StandardNormal
from nflows.flows.base import Flow
from nflows.nn.nets import ResidualNet
from nflows.transforms import (
    AffineCouplingTransform,
    CompositeTransform,
    MaskedAffineAutoregressiveTransform,
    MaskedPiecewiseRationalQuadraticAutoregressiveTransform,
    PiecewiseRationalQuadraticCouplingTransform,
    ReversePermutation,
)
from torch import Tensor, nn

from ..adapter import Adapter, Case, Library

SPLINE = {"num_bins": 8, "tails": "linear", "tail_bound": 5.0}


class NflowsAdapter(Adapter):
    """`Flow` and its transform; a context of one row gives samples (1, n, D)."""

    module: Flow

    def log_prob(self, x: Tensor, c: Tensor | None) -> Tensor:
        """`Flow.log_prob`."""
        return self.module.log_prob(x, context=c)

    def sample(self, n: int, c: Tensor | None) -> Tensor:
        """`Flow.sample`."""
        if c is None:
            return self.module.sample(n)
        return self.module.sample(n, context=c[None])[0]

    def forward(self, x: Tensor, c: Tensor | None) -> tuple[Tensor, Tensor]:
        """The transform."""
        return self.module._transform(x, context=c)

    def inverse(self, z: Tensor, c: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """The transform's inverse."""
        return self.module._transform.inverse(z, context=c)


def _make(layer: Callable[[int, int], nn.Module], features: int, context: int, layers: int) -> nn.Module:
    parts = [part for _ in range(layers) for part in (ReversePermutation(features), layer(features, context))]
    return Flow(CompositeTransform(parts), StandardNormal([features]))


def _net(context: int, inputs: int, outputs: int) -> nn.Module:
    return ResidualNet(inputs, outputs, 32, context_features=context or None, num_blocks=1)


def _mask(features: int) -> Tensor:
    # the layers before it reverse the order, so that one mask serves all
    return (torch.arange(features) < features // 2).int()


LIBRARY = Library(
    "nflows",
    "nflows",
    [
        Case("nflows", flow, NflowsAdapter, partial(_make, layer))
        for flow, layer in {
            "RealNVP": lambda d, c: AffineCouplingTransform(_mask(d), partial(_net, c)),
            "MAF": lambda d, c: MaskedAffineAutoregressiveTransform(d, 32, context_features=c or None, num_blocks=1),
            "RQ-NSF (C)": lambda d, c: PiecewiseRationalQuadraticCouplingTransform(
                _mask(d), partial(_net, c), **SPLINE
            ),
            "RQ-NSF (AR)": lambda d, c: MaskedPiecewiseRationalQuadraticAutoregressiveTransform(
                d, 32, context_features=c or None, num_blocks=1, **SPLINE
            ),
        }.items()
    ],
)
