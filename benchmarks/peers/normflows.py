"""normflows: a list of layers that go from latent to data."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from ..speed.work import BINS, BOUND, Work
from .case import Case
from .library import Library, Model, Plain, Spline

FIRST = """
import torch, normflows as nf
layers = [
    nf.flows.Reverse(nf.flows.MaskedAffineAutoregressive(8, 64, num_blocks=1, use_residual_blocks=False)) for _ in range(5)
]
nf.NormalizingFlow(nf.distributions.DiagGaussian(8, trainable=False), layers).log_prob(torch.randn(256, 8))
"""


REVERSED = "its spline and autoregressive layers run from the latent side; they are turned (`Reverse`)"
ACTIVATION = "without residual blocks its MADE leaves out the first activation; it is added"


class Normflows(Model):
    """A `NormalizingFlow`, or a `ConditionalNormalizingFlow` when there is a context."""

    def _given(self, c: Tensor | None) -> dict[str, Any]:
        return {"context": c} if self.context else {}

    def log_prob(self, x: Tensor, c: Tensor | None = None) -> Tensor:
        """Return the flow's `log_prob`."""
        return self.module.log_prob(x, **self._given(c))

    def sample(self, n: int, c: Tensor | None = None) -> Tensor:
        """Return the first part of the flow's `sample`, which always gives the log-probabilities too."""
        return self.module.sample(n, **self._given(None if c is None else c.expand(n, -1)))[0]

    def sample_and_log_prob(self, n: int) -> tuple[Tensor, Tensor]:
        """Return the flow's `sample`."""
        return self.module.sample(n)

    def to_latent(self, x: Tensor, c: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Apply the flow's inverse."""
        return self.module.inverse_and_log_det(x, **self._given(c))

    def to_data(self, z: Tensor, c: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        """Apply the flow's forward."""
        return self.module.forward_and_log_det(z, **self._given(c))


def build(work: Work) -> Normflows:
    """Return a flow of the library's layers, the last one first."""
    import normflows as nf
    from normflows.flows.neural_spline.coupling import PiecewiseRationalQuadraticCoupling

    system, size = work.system, work.size
    layers: list[Any] = []
    for i in range(system.layers):
        if system.structure == "image":
            layers.append(
                nf.flows.GlowBlock(size.shape[0], size.width, split_mode="channel" if i % 2 == 0 else "channel_inv")
            )
        elif system.structure == "coupling" and system.spline:
            mapped = torch.tensor([0 if passes else 1 for passes in work.mask(i)])
            layers.append(
                nf.flows.Reverse(
                    PiecewiseRationalQuadraticCoupling(
                        mapped, lambda a, b: Plain(a, b, size.width), num_bins=BINS, tails="linear", tail_bound=BOUND
                    )
                )
            )
        elif system.structure == "coupling":
            # Its halves are the larger one first, so its layers begin with the other half.
            inputs, outputs = work.networks[(i + 1) % 2]
            mode = "channel" if i % 2 == 0 else "channel_inv"
            layers.append(nf.flows.AffineCouplingBlock(Plain(inputs, outputs, size.width), split_mode=mode))
        else:
            if layers:
                layers.append(_reversed(nf, size.features))
            layers.append(_autoregressive(nf, work))
    base = nf.distributions.DiagGaussian(size.shape, trainable=False)
    model = Normflows(nf.NormalizingFlow(base, layers[::-1]), size.shape)
    if system.spline or (system.structure == "autoregressive" and not system.inverted):
        model.notes = (REVERSED,)
    if system.structure == "autoregressive":
        model.notes = (*model.notes, ACTIVATION)
    return model


def _autoregressive(nf: Any, work: Work) -> Any:
    from normflows.flows.neural_spline.autoregressive import MaskedPiecewiseRationalQuadraticAutoregressive

    made = {"num_blocks": 1, "use_residual_blocks": False}
    if work.system.spline:
        layer = MaskedPiecewiseRationalQuadraticAutoregressive(
            work.size.features, work.size.width, num_bins=BINS, tails="linear", tail_bound=BOUND, **made
        )
    else:
        layer = nf.flows.MaskedAffineAutoregressive(work.size.features, work.size.width, **made)
    net = layer.autoregressive_net
    net.initial_layer = nn.Sequential(net.initial_layer, nn.ReLU())
    return layer if work.system.inverted else nf.flows.Reverse(layer)


def _reversed(nf: Any, features: int) -> Any:
    layer = nf.flows.Permute(features, mode="shuffle")
    layer.perm = torch.arange(features - 1, -1, -1)
    layer.inv_perm = layer.perm.clone()
    return layer


def spline(work: Work) -> Spline:
    """Return the library's function."""
    from normflows.utils.splines import unconstrained_rational_quadratic_spline

    def run(x: Tensor, p: Tensor) -> tuple[Tensor, Tensor]:
        widths, heights, slopes = p.split((BINS, BINS, BINS - 1), -1)
        return unconstrained_rational_quadratic_spline(x, widths, heights, slopes, tail_bound=BOUND)

    return run


def _make(layer: Callable[..., list[nn.Module]], features: int, context: int, layers: int) -> nn.Module:
    import normflows as nf

    flows = [part for i in range(layers) for part in layer(nf, features, context or None, i)]
    model = nf.ConditionalNormalizingFlow if context else nf.NormalizingFlow
    return model(nf.distributions.DiagGaussian(features, trainable=False), flows)


def _realnvp(nf: Any, d: int, c: int | None, i: int) -> list[nn.Module]:
    net = nf.nets.MLP([(d + 1) // 2, 32, 32, 2 * (d // 2)], init_zeros=True)
    return [nf.flows.AffineCouplingBlock(net), nf.flows.Permute(d, mode="shuffle" if d > 2 else "swap")]


def _mixing(nf: Any, d: int) -> list[nn.Module]:
    return [nf.flows.LULinearPermute(d)] if d > 1 else []


def _residual(nf: Any, d: int, c: int | None, i: int) -> list[nn.Module]:
    return [nf.flows.Residual(nf.nets.LipschitzMLP([d, 32, 32, d], init_zeros=True, lipschitz_const=0.9))]


def _maf(nf: Any, d: int, c: int | None, i: int) -> list[nn.Module]:
    return [nf.flows.MaskedAffineAutoregressive(d, 32, context_features=c, num_blocks=1), *_mixing(nf, d)]


def _spline_coupling(nf: Any, d: int, c: int | None, i: int) -> list[nn.Module]:
    options = {"num_context_channels": c, "reverse_mask": i % 2 == 1, "tail_bound": BOUND}
    return [nf.flows.CoupledRationalQuadraticSpline(d, 1, 32, **options), *_mixing(nf, d)]


def _spline_autoregressive(nf: Any, d: int, c: int | None, i: int) -> list[nn.Module]:
    layer = nf.flows.AutoregressiveRationalQuadraticSpline(d, 1, 32, num_context_channels=c, tail_bound=BOUND)
    return [layer, *_mixing(nf, d)]


def _make_circular(features: int, context: int, layers: int) -> nn.Module:
    import normflows as nf

    bound = torch.tensor([math.pi] + [3.0] * (features - 1))
    layer = nf.flows.CircularAutoregressiveRationalQuadraticSpline
    flows = [layer(features, 1, 32, [0], tail_bound=bound, num_context_channels=context or None) for _ in range(layers)]
    width = torch.tensor([2 * math.pi] + [1.0] * (features - 1))
    return nf.NormalizingFlow(nf.distributions.UniformGaussian(features, [0], scale=width), flows)


NO_CONTEXT = dict.fromkeys(("context", "bad context"), "its layer takes no context")
RANDOM = dict.fromkeys(
    ("log-det", "inverse det", "rows", "copies", "state"), "its log-determinant is a random estimate by design"
)
CASES = [
    Case("normflows", "RealNVP", Normflows, partial(_make, _realnvp), excused=NO_CONTEXT),
    Case("normflows", "MAF", Normflows, partial(_make, _maf)),
    Case("normflows", "NSF coupling", Normflows, partial(_make, _spline_coupling)),
    Case("normflows", "NSF autoregressive", Normflows, partial(_make, _spline_autoregressive)),
    Case("normflows", "NSF mixed circular", Normflows, _make_circular, circle="first", excused=NO_CONTEXT),
    Case("normflows", "Residual", Normflows, partial(_make, _residual), excused=NO_CONTEXT | RANDOM),
]

LIBRARY = Library("normflows", "normflows", "normflows", build, spline, FIRST, CASES)
