"""nflows: a transform is data to latent; context is the second argument everywhere."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

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
from nflows.utils.torchutils import create_alternating_binary_mask
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


def _make(layer: Callable[[int, int, int], nn.Module], features: int, context: int, layers: int) -> nn.Module:
    parts = [layer(features, context, i) for i in range(layers)]
    return Flow(CompositeTransform(parts), StandardNormal([features]))


def _net(context: int, inputs: int, outputs: int) -> nn.Module:
    return ResidualNet(inputs, outputs, 32, context_features=context or None, num_blocks=1)


def _coupling(make: Callable[..., nn.Module], d: int, c: int, i: int) -> nn.Module:
    mask = create_alternating_binary_mask(d, even=i % 2 == 0)
    return make(mask, partial(_net, c))


def _autoregressive(make: Callable[..., nn.Module], d: int, c: int, i: int) -> nn.Module:
    return CompositeTransform([ReversePermutation(d), make(d, 32, context_features=c or None, num_blocks=1)])


LIBRARY = Library(
    "nflows",
    "nflows",
    [
        Case("nflows", flow, NflowsAdapter, partial(_make, layer))
        for flow, layer in {
            "RealNVP": partial(_coupling, AffineCouplingTransform),
            "MAF": partial(_autoregressive, MaskedAffineAutoregressiveTransform),
            "RQ-NSF (C)": partial(_coupling, partial(PiecewiseRationalQuadraticCouplingTransform, **SPLINE)),
            "RQ-NSF (AR)": partial(
                _autoregressive, partial(MaskedPiecewiseRationalQuadraticAutoregressiveTransform, **SPLINE)
            ),
        }.items()
    ],
)
