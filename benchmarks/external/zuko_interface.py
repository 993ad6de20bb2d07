"""Flows of this library with the interface of zuko's flows, for code that was written for zuko.

    flow = LazyFlow(pf.systems.NSF(features=3, context=5).build())
    flow(c).log_prob(x), flow(c).sample((32,)), flow(c).transform.inv(z)

sbi's `ZukoFlow` takes it without changes: `ZukoFlow(flow, embedding_net, input_shape, condition_shape)`.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from pushforward.core import Flow
from pushforward.core.torch_boundary import Conditioned
from pushforward.errors import SpecError


class LazyFlow(nn.Module):
    """A flow that is called with a context and gives a `torch.distributions.Distribution` with a `transform`.

    Args:
        flow: Flow whose latent space is its data space.

    Raises:
        SpecError: The two spaces differ.
    """

    def __init__(self, flow: Flow) -> None:
        super().__init__()
        if flow.base.space != flow.space:
            raise SpecError(f"expected a flow with one space on both sides, got {flow.space} and {flow.base.space}")
        self.flow = flow

    def forward(self, c: Tensor | None = None) -> LazyDistribution:
        """Return the distribution of batch shape `batch` for a context (*batch, C) or None."""
        return LazyDistribution(self.flow, c)


class LazyDistribution(Conditioned):
    """A flow given a context, with its transform."""

    model: Flow

    @property
    def transform(self) -> FlowTransform:
        """Transform from the data side to the latent side."""
        return FlowTransform(self.model, self.context)


class FlowTransform:
    """The chain of a flow given a context, called like a `torch.distributions.Transform`.

    Args:
        flow: The flow.
        context: Context (*batch, C) or None.
        inverted: Whether the transform goes from the latent side to the data side.
    """

    def __init__(self, flow: Flow, context: Tensor | None, *, inverted: bool = False) -> None:
        self.flow, self.context, self.inverted = flow, context, inverted

    @property
    def inv(self) -> FlowTransform:
        """Transform in the other direction."""
        return FlowTransform(self.flow, self.context, inverted=not self.inverted)

    def call_and_ladj(self, v: Tensor) -> tuple[Tensor, Tensor]:
        """Return the image and the log absolute determinant of the Jacobian: (*batch, D) -> (*batch, D), (*batch,)."""
        rows, context, batch = self.flow._flatten(v, self.context)
        chain = self.flow.chain
        image, ladj = (chain.inverse if self.inverted else chain)(rows, self.flow._embedded(context))
        return image.reshape(*batch, *v.shape[-1:]), ladj.reshape(batch)

    def __call__(self, v: Tensor) -> Tensor:
        """Return the image: (*batch, D) -> (*batch, D)."""
        return self.call_and_ladj(v)[0]

    def log_abs_det_jacobian(self, v: Tensor, image: Tensor) -> Tensor:
        """Return the log absolute determinant at v, in the signature of torch: (*batch, D) -> (*batch,)."""
        return self.call_and_ladj(v)[1]


class LazyTransform(nn.Module):
    """A chain that is called with a context and gives the transform.

    Args:
        flow: Flow whose chain is used; its base is not.
    """

    def __init__(self, flow: Flow) -> None:
        super().__init__()
        self.flow = flow

    def forward(self, c: Any = None) -> FlowTransform:
        """Return the transform for a context (*batch, C) or None."""
        return FlowTransform(self.flow, None if c is None else torch.as_tensor(c))
