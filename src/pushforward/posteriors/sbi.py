"""Conditional flow as the density estimator of the package sbi, which is required: `NPE(prior, sbi_builder("nsf"))`."""

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
    """Flow with the method names and shapes of sbi.

    Args:
        net: Flow of parameters given data.
        input_shape: Shape of the parameters.
        condition_shape: Shape of the data.
    """

    net: Flow

    def log_prob(self, input: Tensor, condition: Tensor, **_: Any) -> Tensor:
        """Return log-densities (S, B) in nats: parameters ((S,) B, D), data ((S,) B, *data)."""
        input, condition, _batch = self._broadcast_and_align(input, condition)
        return self.net(input, condition)

    def loss(self, input: Tensor, condition: Tensor, **_: Any) -> Tensor:
        """Return minus the log-likelihood (B,): parameters (B, D), data (B, *data)."""
        return -self.net(input, condition)

    def sample(self, sample_shape: torch.Size, condition: Tensor, **_: Any) -> Tensor:
        """Return draws (*sample_shape, B, D) given data (B, *data)."""
        return self.net.sample(tuple(sample_shape), condition)

    def sample_and_log_prob(self, sample_shape: torch.Size, condition: Tensor, **_: Any) -> tuple[Tensor, Tensor]:
        """Return draws and their log-densities (*sample_shape, B)."""
        return self.net.sample_and_log_prob(tuple(sample_shape), condition)


def sbi_builder(
    flow: str | Spec | Distribution, *, space: Space | None = None, embed: nn.Module | None = None
) -> Callable[[Tensor, Tensor], FlowEstimator]:
    """Return a `density_estimator` for sbi's `NPE`, which builds the flow from the first simulations.

    The flow is that of `amortised`, trained by sbi. In the box of a uniform prior no mass leaks, and sbi rejects no draws.

    Args:
        flow: System of the flow, see `amortised`.
        space: Space of the parameters, see `amortised`.
        embed: Network of the standardised data, see `amortised`.

    Returns:
        Function of theta (N, D) and x (N, *data) that returns an estimator, whose `net` is the `Flow`.
    """

    def build(theta: Tensor, x: Tensor) -> FlowEstimator:
        return FlowEstimator(prepared(flow, theta, x, space=space, embed=embed), theta.shape[1:], x.shape[1:])

    return build
