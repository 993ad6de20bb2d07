"""torchflows: a bijection goes from data to latent; the context is the second argument."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from ..speed.work import BINS, BOUND, HIDDEN, Work
from .case import Case
from .library import Absent, Library, Model, Spline

FIRST = """
import torch
from torchflows.flows import Flow
from torchflows.bijections.base import BijectiveComposition
from torchflows.bijections.finite.autoregressive.layers import AffineForwardMaskedAutoregressive
layers = [AffineForwardMaskedAutoregressive((8,), conditioner_kwargs={"n_hidden": 64, "n_layers": 3}) for _ in range(5)]
Flow(BijectiveComposition(layers)).log_prob(torch.randn(256, 8))
"""


class Torchflows(Model):
    """A flow and its bijection."""

    notes: tuple[str, ...] = (
        "its layers without the element-wise maps and actnorms that its ready-made architectures put between them",
    )

    def log_prob(self, x: Tensor, c: Tensor | None = None) -> Tensor:
        """Return `Flow.log_prob`."""
        return self.module.log_prob(x, context=c)

    def sample(self, n: int, c: Tensor | None = None) -> Tensor:
        """Return `Flow.sample`, with the context repeated for every draw."""
        return self.module.sample((n,), context=None if c is None else c.expand(n, -1), no_grad=True)

    def sample_and_log_prob(self, n: int) -> tuple[Tensor, Tensor]:
        """Return `Flow.sample` with gradients and log-probabilities."""
        return self.module.sample((n,), return_log_prob=True)

    def to_latent(self, x: Tensor, c: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Apply `bijection.forward`."""
        return self.module.bijection.forward(x, context=c)[:2]

    def to_data(self, z: Tensor, c: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        """Apply `bijection.inverse`."""
        return self.module.bijection.inverse(z, context=c)[:2]


def build(work: Work) -> Torchflows:
    """Return a flow of the library's layers in a composition."""
    from torchflows.bijections.base import BijectiveComposition
    from torchflows.bijections.finite.autoregressive import layers as tl
    from torchflows.bijections.finite.autoregressive.conditioning.coupling_masks import Coupling
    from torchflows.bijections.finite.matrix.permutation import ReversePermutationMatrix
    from torchflows.flows import Flow

    system, size = work.system, work.size
    if system.structure == "image":
        raise Absent("the 1x1 convolution of its Glow layer is a coupling with a network of its own, another map")
    network: dict[str, Any] = {"n_hidden": size.width, "n_layers": HIDDEN + 1}
    if system.structure == "coupling":
        network["nonlinearity"] = nn.ReLU
    options: dict[str, Any] = {"conditioner_kwargs": network}
    if system.spline:
        options["transformer_kwargs"] = {"boundary": BOUND, "n_bins": BINS}
    layers: list[Any] = []
    for i in range(system.layers):
        if system.structure == "coupling":
            make = tl.RQSCoupling if system.spline else tl.AffineCoupling
            layers.append(make(size.shape, coupling=Coupling(size.shape, torch.tensor(work.mask(i))), **options))
            continue
        if system.inverted:
            make = tl.AffineInverseMaskedAutoregressive
        else:
            make = tl.RQSForwardMaskedAutoregressive if system.spline else tl.AffineForwardMaskedAutoregressive
        if layers:
            layers.append(ReversePermutationMatrix(torch.Size(size.shape)))
        layer = make(size.shape, **options)
        net = layer.conditioner_transform.sequential
        for j, part in enumerate(net):
            if isinstance(part, nn.Tanh):
                net[j] = nn.ReLU()
        layers.append(layer)
    model = Torchflows(Flow(BijectiveComposition(layers)), size.shape)
    if system.structure == "autoregressive":
        model.notes = (*model.notes, "its MADE knows tanh only; the activations are replaced by ReLU")
    return model


def spline(work: Work) -> Spline:
    """Return the library's transformer, which sums the log-derivatives of a row."""
    from torchflows.bijections.finite.autoregressive.transformers.spline.rational_quadratic import RationalQuadratic

    def run(x: Tensor, p: Tensor) -> tuple[Tensor, Tensor]:
        return RationalQuadratic(torch.Size(x.shape[1:]), boundary=BOUND, n_bins=BINS).forward(x, p)

    return run


def _make(architecture: str, features: int, context: int, layers: int) -> nn.Module:
    from torchflows.bijections.finite.autoregressive import architectures
    from torchflows.flows import Flow

    shape = (context,) if context else None
    return Flow(getattr(architectures, architecture)((features,), context_shape=shape, n_layers=layers))


CASES = [
    Case("torchflows", flow, Torchflows, partial(_make, flow))
    for flow in ("NICE", "RealNVP", "MAF", "CouplingRQNSF", "MaskedAutoregressiveRQNSF", "CouplingDeepSF")
]

LIBRARY = Library("torchflows", "torchflows", "torchflows", build, spline, FIRST, CASES)
