"""normflows: a list of flows from the latent side to the data side."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ..work import BINS, BOUND, Work
from .base import Library, Model, Plain, Spline

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
    """A NormalizingFlow, whose `sample` always gives the log-probabilities too."""

    def __init__(self, flow: Any) -> None:
        super().__init__()
        self.flow = flow

    def log_prob(self, x: Tensor) -> Tensor:
        """As the library's."""
        return self.flow.log_prob(x)

    def sample(self, n: int) -> Tensor:
        """As the library's, the log-probabilities thrown away."""
        return self.flow.sample(n)[0]

    def sample_and_log_prob(self, n: int) -> tuple[Tensor, Tensor]:
        """As the library's."""
        return self.flow.sample(n)


def build(work: Work) -> Normflows:
    """Its layers, last first."""
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
    model = Normflows(nf.NormalizingFlow(base, layers[::-1]))
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
    """Its function."""
    from normflows.utils.splines import unconstrained_rational_quadratic_spline

    def run(x: Tensor, p: Tensor) -> tuple[Tensor, Tensor]:
        widths, heights, slopes = p.split((BINS, BINS, BINS - 1), -1)
        return unconstrained_rational_quadratic_spline(x, widths, heights, slopes, tail_bound=BOUND)

    return run


LIBRARY = Library("normflows", "normflows", "normflows", build, spline, FIRST)
