"""Conditional distribution p(x | context) as a distribution of torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.distributions import Distribution as TorchDistribution
from torch.distributions import constraints

from ..recording import describe

if TYPE_CHECKING:
    from .distribution import Distribution


class Conditioned(TorchDistribution):
    """Distribution of this library at a fixed context, as a `torch.distributions.Distribution`.

    Args:
        model: Distribution of this library.
        context: Context of shape (*batch, *model.context.shape), or None.
        batch: Batch shape when there is no context: the number of independent copies along each dimension.

    Raises:
        ContextError: The context does not fit the model.
    """

    arg_constraints: dict[str, constraints.Constraint] = {}

    def __init__(self, model: Distribution, context: Tensor | None = None, batch: tuple[int, ...] = ()) -> None:
        _, given = model._context_rows(context, ())
        batch = batch if context is None else given
        self.model, self.context = model, context
        super().__init__(torch.Size(batch), torch.Size(model.space.shape), validate_args=False)

    def __repr__(self) -> str:
        """Return a text with the model's class and space, the context's shape, the batch shape and the event shape."""
        given = "no context" if self.context is None else f"a context of shape {tuple(self.context.shape)}"
        return (
            f"Conditioned({type(self.model).__name__} on {describe(self.model.space)} given {given}; "
            f"batch_shape {tuple(self.batch_shape)}, event_shape {tuple(self.event_shape)})"
        )

    def _draws(self, sample_shape: Any) -> tuple[int, ...]:
        """Return the shape of draws to request from the model, which itself adds the batch shape of a context."""
        return (*sample_shape, *(self.batch_shape if self.context is None else ()))

    @property
    def support(self) -> constraints.Constraint:
        """The torch constraint that describes the model's space."""
        return self.model.space.constraint

    @property
    def has_rsample(self) -> bool:  # type: ignore[override]
        """Whether draws carry gradients: the space is continuous and every distribution inside draws with gradients."""
        return not self.model.space.discrete and all(
            getattr(part, "differentiable_draws", True) for part in self.model.modules()
        )

    def expand(self, batch_shape: Any, _instance: Any = None) -> Conditioned:
        """Return the same distribution with a larger batch shape."""
        if self.context is None:
            return Conditioned(self.model, None, tuple(batch_shape))
        event = self.model.context.shape  # type: ignore[union-attr]
        return Conditioned(self.model, self.context.expand(*batch_shape, *event))

    def log_prob(self, value: Tensor) -> Tensor:
        """Return log-densities in nats: (*sample, *batch, *event) -> (*sample, *batch)."""
        return self.model.log_prob(value, self.context)

    def sample(self, sample_shape: Any = torch.Size()) -> Tensor:  # noqa: B008
        """Return draws without gradients, (*sample_shape, *batch, *event)."""
        return self.model.sample(self._draws(sample_shape), self.context)

    def rsample(self, sample_shape: Any = torch.Size()) -> Tensor:  # noqa: B008
        """Return draws with gradients, (*sample_shape, *batch, *event)."""
        return self.model.rsample(self._draws(sample_shape), self.context)

    def rsample_and_log_prob(self, sample_shape: Any = torch.Size()) -> tuple[Tensor, Tensor]:  # noqa: B008
        """Return draws and their log-densities, computed in one pass."""
        return self.model.rsample_and_log_prob(self._draws(sample_shape), self.context)
