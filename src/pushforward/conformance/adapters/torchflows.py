"""torchflows: a bijection is data to latent; context is the second argument."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from torch import Tensor, nn
from torchflows.bijections.finite.autoregressive import architectures
from torchflows.flows import Flow

from ..adapter import Adapter, Case, Library


class TorchflowsAdapter(Adapter):
    """`Flow` and its bijection."""

    module: Flow

    def log_prob(self, x: Tensor, c: Tensor | None) -> Tensor:
        """`Flow.log_prob`."""
        return self.module.log_prob(x, context=c)

    def sample(self, n: int, c: Tensor | None) -> Tensor:
        """`Flow.sample`, with the context repeated for every draw."""
        return self.module.sample((n,), context=None if c is None else c.expand(n, -1))

    def forward(self, x: Tensor, c: Tensor | None) -> tuple[Tensor, Tensor]:
        """`bijection.forward`."""
        return self.module.bijection.forward(x, context=c)[:2]

    def inverse(self, z: Tensor, c: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """`bijection.inverse`."""
        return self.module.bijection.inverse(z, context=c)[:2]


def _make(bijection: Callable[..., nn.Module], features: int, context: int, layers: int) -> nn.Module:
    shape = (context,) if context else None
    return Flow(bijection((features,), context_shape=shape, n_layers=layers))


LIBRARY = Library(
    "torchflows",
    "torchflows",
    [
        Case("torchflows", flow, TorchflowsAdapter, partial(_make, getattr(architectures, flow)))
        for flow in ("NICE", "RealNVP", "MAF", "CouplingRQNSF", "MaskedAutoregressiveRQNSF", "CouplingDeepSF")
    ],
)
