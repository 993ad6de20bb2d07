"""normflows: a flow's own forward is latent to data, so that ours is its inverse."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import normflows as nf
import torch
from torch import Tensor, nn

from ..adapter import Adapter, Case, Library

RANDOM = dict.fromkeys(
    ("log-det", "inverse det", "rows", "copies", "state"), "its log-determinant is a random estimate by design"
)
NO_CONTEXT = dict.fromkeys(("context", "bad context"), "its layer takes no context")


class NormflowsAdapter(Adapter):
    """`NormalizingFlow`, or `ConditionalNormalizingFlow` when there is a context."""

    module: nf.NormalizingFlow

    def _also(self, c: Tensor | None) -> dict[str, Any]:
        return {"context": c} if self.context else {}

    def log_prob(self, x: Tensor, c: Tensor | None) -> Tensor:
        """Its log_prob."""
        return self.module.log_prob(x, **self._also(c))

    def sample(self, n: int, c: Tensor | None) -> Tensor:
        """Its sample, with the context repeated for every draw."""
        return self.module.sample(n, **self._also(None if c is None else c.expand(n, -1)))[0]

    def forward(self, x: Tensor, c: Tensor | None) -> tuple[Tensor, Tensor]:
        """Its inverse."""
        return self.module.inverse_and_log_det(x, **self._also(c))

    def inverse(self, z: Tensor, c: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Its forward."""
        return self.module.forward_and_log_det(z, **self._also(c))


def _make(
    layer: Callable[[int, int | None, int], list[nn.Module]], features: int, context: int, layers: int
) -> nn.Module:
    flows = [part for i in range(layers) for part in layer(features, context or None, i)]
    model = nf.ConditionalNormalizingFlow if context else nf.NormalizingFlow
    return model(nf.distributions.DiagGaussian(features, trainable=False), flows)


def _realnvp(d: int, c: int | None, i: int) -> list[nn.Module]:
    net = nf.nets.MLP([(d + 1) // 2, 32, 32, 2 * (d // 2)], init_zeros=True)
    return [nf.flows.AffineCouplingBlock(net), nf.flows.Permute(d, mode="shuffle" if d > 2 else "swap")]


def _mixing(d: int) -> list[nn.Module]:
    return [nf.flows.LULinearPermute(d)] if d > 1 else []


def _residual(d: int, c: int | None, i: int) -> list[nn.Module]:
    return [nf.flows.Residual(nf.nets.LipschitzMLP([d, 32, 32, d], init_zeros=True, lipschitz_const=0.9))]


def _maf(d: int, c: int | None, i: int) -> list[nn.Module]:
    return [nf.flows.MaskedAffineAutoregressive(d, 32, context_features=c, num_blocks=1), *_mixing(d)]


def _spline_coupling(d: int, c: int | None, i: int) -> list[nn.Module]:
    options = {"num_context_channels": c, "reverse_mask": i % 2 == 1, "tail_bound": 5.0}
    return [nf.flows.CoupledRationalQuadraticSpline(d, 1, 32, **options), *_mixing(d)]


def _spline_autoregressive(d: int, c: int | None, i: int) -> list[nn.Module]:
    layer = nf.flows.AutoregressiveRationalQuadraticSpline(d, 1, 32, num_context_channels=c, tail_bound=5.0)
    return [layer, *_mixing(d)]


def _make_circular(features: int, context: int, layers: int) -> nn.Module:
    bound = torch.tensor([math.pi] + [3.0] * (features - 1))
    layer = nf.flows.CircularAutoregressiveRationalQuadraticSpline
    flows = [layer(features, 1, 32, [0], tail_bound=bound, num_context_channels=context or None) for _ in range(layers)]
    width = torch.tensor([2 * math.pi] + [1.0] * (features - 1))
    return nf.NormalizingFlow(nf.distributions.UniformGaussian(features, [0], scale=width), flows)


LIBRARY = Library(
    "normflows",
    "normflows",
    [
        Case("normflows", "RealNVP", NormflowsAdapter, partial(_make, _realnvp), excused=NO_CONTEXT),
        Case("normflows", "MAF", NormflowsAdapter, partial(_make, _maf)),
        Case("normflows", "NSF coupling", NormflowsAdapter, partial(_make, _spline_coupling)),
        Case("normflows", "NSF autoregressive", NormflowsAdapter, partial(_make, _spline_autoregressive)),
        Case("normflows", "NSF mixed circular", NormflowsAdapter, _make_circular, circle="first", excused=NO_CONTEXT),
        Case("normflows", "Residual", NormflowsAdapter, partial(_make, _residual), excused=NO_CONTEXT | RANDOM),
    ],
)
