"""A distribution given a context, as a distribution of torch."""

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
    """A distribution of this library given a context, as a `torch.distributions.Distribution`.

    Args:
        model: the distribution.
        context: (*batch, *model.context.shape), or None.
        batch: without a context, how many independent copies, as a shape.

    Raises:
        ContextError: the context does not fit.
    """

    arg_constraints: dict[str, constraints.Constraint] = {}

    def __init__(self, model: Distribution, context: Tensor | None = None, batch: tuple[int, ...] = ()) -> None:
        _, given = model._context_rows(context, ())
        batch = batch if context is None else given
        self.model, self.context = model, context
        super().__init__(torch.Size(batch), torch.Size(model.space.shape), validate_args=False)

    def __repr__(self) -> str:
        """The model's class and space, the context's shape, and the shapes that torch's distributions have."""
        given = "no context" if self.context is None else f"a context of shape {tuple(self.context.shape)}"
        return (
            f"Conditioned({type(self.model).__name__} on {describe(self.model.space)} given {given}; "
            f"batch_shape {tuple(self.batch_shape)}, event_shape {tuple(self.event_shape)})"
        )

    def _draws(self, sample_shape: Any) -> tuple[int, ...]:
        """What to ask the model for: a context brings its own batch."""
        return (*sample_shape, *(self.batch_shape if self.context is None else ()))

    @property
    def support(self) -> constraints.Constraint:
        """The constraint that describes the model's space."""
        return self.model.space.constraint

    @property
    def has_rsample(self) -> bool:  # type: ignore[override]
        """Whether draws carry gradients: on continuous spaces, when every distribution inside draws so."""
        return not self.model.space.discrete and all(
            getattr(part, "differentiable_draws", True) for part in self.model.modules()
        )

    def expand(self, batch_shape: Any, _instance: Any = None) -> Conditioned:
        """The same with a larger batch shape."""
        if self.context is None:
            return Conditioned(self.model, None, tuple(batch_shape))
        event = self.model.context.shape  # type: ignore[union-attr]
        return Conditioned(self.model, self.context.expand(*batch_shape, *event))

    def log_prob(self, value: Tensor) -> Tensor:
        """(*sample, *batch, *event) -> (*sample, *batch) nats."""
        return self.model.log_prob(value, self.context)

    def sample(self, sample_shape: Any = torch.Size()) -> Tensor:  # noqa: B008
        """Draws without gradients."""
        return self.model.sample(self._draws(sample_shape), self.context)

    def rsample(self, sample_shape: Any = torch.Size()) -> Tensor:  # noqa: B008
        """Draws with gradients."""
        return self.model.rsample(self._draws(sample_shape), self.context)

    def rsample_and_log_prob(self, sample_shape: Any = torch.Size()) -> tuple[Tensor, Tensor]:  # noqa: B008
        """Draws and their log-density in one pass."""
        return self.model.rsample_and_log_prob(self._draws(sample_shape), self.context)
