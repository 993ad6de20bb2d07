"""torchflows: bijections in a composition."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ..work import BINS, BOUND, HIDDEN, Work
from .base import Absent, Library, Model, Spline

FIRST = """
import torch
from torchflows.flows import Flow
from torchflows.bijections.base import BijectiveComposition
from torchflows.bijections.finite.autoregressive.layers import AffineForwardMaskedAutoregressive
layers = [AffineForwardMaskedAutoregressive((8,), conditioner_kwargs={"n_hidden": 64, "n_layers": 3}) for _ in range(5)]
Flow(BijectiveComposition(layers)).log_prob(torch.randn(256, 8))
"""


class Torchflows(Model):
    """A torchflows flow."""

    notes: tuple[str, ...] = (
        "its layers without the element-wise maps and actnorms that its ready-made architectures put between them",
    )

    def __init__(self, flow: Any) -> None:
        super().__init__()
        self.flow = flow

    def log_prob(self, x: Tensor) -> Tensor:
        """As the library's."""
        return self.flow.log_prob(x)

    def sample(self, n: int) -> Tensor:
        """As the library's."""
        return self.flow.sample((n,), no_grad=True)

    def sample_and_log_prob(self, n: int) -> tuple[Tensor, Tensor]:
        """As the library's."""
        return self.flow.sample((n,), return_log_prob=True)


def build(work: Work) -> Torchflows:
    """Its layers in a composition."""
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
    model = Torchflows(Flow(BijectiveComposition(layers)))
    if system.structure == "autoregressive":
        model.notes = (*model.notes, "its MADE knows tanh only; the activations are replaced by ReLU")
    return model


def spline(work: Work) -> Spline:
    """Its transformer, which sums the log-derivatives of a row."""
    from torchflows.bijections.finite.autoregressive.transformers.spline.rational_quadratic import RationalQuadratic

    def run(x: Tensor, p: Tensor) -> tuple[Tensor, Tensor]:
        return RationalQuadratic(torch.Size(x.shape[1:]), boundary=BOUND, n_bins=BINS).forward(x, p)

    return run


LIBRARY = Library("torchflows", "torchflows", "torchflows", build, spline, FIRST)
