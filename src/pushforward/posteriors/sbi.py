"""A conditional flow as the density estimator of the package sbi, which it needs: `NPE(prior, sbi_builder("nsf"))`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from ..core import Distribution, Flow, Space
from ..systems.spec import Spec
from .simulators import prepared

try:
    from sbi.neural_nets.estimators import ConditionalDensityEstimator
except ImportError as error:
    raise ImportError("this needs the package sbi: pip install sbi") from error


class FlowEstimator(ConditionalDensityEstimator):
    """A flow with sbi's names and shapes.

    Args:
        net: The flow of parameters given data.
        input_shape: Shape of the parameters.
        condition_shape: Shape of the data.
    """

    net: Flow

    def log_prob(self, input: Tensor, condition: Tensor, **_: Any) -> Tensor:
        """((S,) B, D) parameters, ((S,) B, *data) -> (S, B) nats."""
        input, condition, _batch = self._broadcast_and_align(input, condition)
        return self.net(input, condition)

    def loss(self, input: Tensor, condition: Tensor, **_: Any) -> Tensor:
        """(B, D) parameters, (B, *data) -> (B,), minus the log-likelihood."""
        return -self.net(input, condition)

    def sample(self, sample_shape: torch.Size, condition: Tensor, **_: Any) -> Tensor:
        """Draws (*sample_shape, B, D) given data (B, *data)."""
        return self.net.sample(tuple(sample_shape), condition)

    def sample_and_log_prob(self, sample_shape: torch.Size, condition: Tensor, **_: Any) -> tuple[Tensor, Tensor]:
        """Return the same with their log-densities (*sample_shape, B)."""
        return self.net.sample_and_log_prob(tuple(sample_shape), condition)


def sbi_builder(
    flow: str | Spec | Distribution, *, space: Space | None = None, embed: nn.Module | None = None
) -> Callable[[Tensor, Tensor], FlowEstimator]:
    """What the `density_estimator` of sbi's `NPE` may be: makes the flow when sbi has the first simulations.

    The flow is that of `amortised`, trained by sbi. In the box of a uniform prior it leaks no mass, and sbi rejects no draws.

    Args:
        flow: System of the flow, see `amortised`.
        space: Space of the parameters, see `amortised`.
        embed: Network of the standardised data, likewise.

    Returns:
        A function of theta (N, D) and x (N, *data) that gives an estimator, whose `net` is the `Flow`.
    """

    def build(theta: Tensor, x: Tensor) -> FlowEstimator:
        return FlowEstimator(prepared(flow, theta, x, space=space, embed=embed), theta.shape[1:], x.shape[1:])

    return build
