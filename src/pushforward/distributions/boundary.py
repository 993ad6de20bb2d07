"""The boundary to `torch.distributions`: our distributions as theirs, and theirs as bases. Nothing of torch is patched."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution as TorchDistribution
from torch.distributions import constraints

from ..core import Box, Categories, Distribution, Integers, Space
from ..errors import ShapeError


class Conditioned(TorchDistribution):
    """A distribution of this library given a context, as a `torch.distributions.Distribution`.

    Args:
        model: the distribution.
        context: (*batch, *model.context.shape), or None.

    Raises:
        ContextError: the context does not fit.
    """

    arg_constraints: dict[str, constraints.Constraint] = {}

    def __init__(self, model: Distribution, context: Tensor | None = None) -> None:
        _, batch = model._context_rows(context, ())
        self.model, self.context = model, context
        super().__init__(torch.Size(batch), torch.Size(model.space.shape), validate_args=False)

    @property
    def support(self) -> constraints.Constraint:
        """The constraint that describes the model's space."""
        return _constraint(self.model.space)

    @property
    def has_rsample(self) -> bool:  # type: ignore[override]
        """Whether draws carry gradients: on continuous spaces, when every distribution inside draws so."""
        inner = (part for part in self.model.modules() if isinstance(part, Distribution))
        return not self.model.space.discrete and all(part.differentiable_draws for part in inner)

    def expand(self, batch_shape: Any, _instance: Any = None) -> Conditioned:
        """The same with a larger batch shape; only possible with a context."""
        if self.context is None:
            if tuple(batch_shape) == ():
                return self
            raise ShapeError("expected a context to expand: without one the batch shape is ()")
        event = self.model.context.shape  # type: ignore[union-attr]
        return Conditioned(self.model, self.context.expand(*batch_shape, *event))

    def log_prob(self, value: Tensor) -> Tensor:
        """(*sample, *batch, *event) -> (*sample, *batch) nats."""
        return self.model.log_prob(value, self.context)

    def sample(self, sample_shape: Any = torch.Size()) -> Tensor:  # noqa: B008
        """Draws without gradients."""
        return self.model.sample(tuple(sample_shape), self.context)

    def rsample(self, sample_shape: Any = torch.Size()) -> Tensor:  # noqa: B008
        """Draws with gradients."""
        return self.model.rsample(tuple(sample_shape), self.context)

    def rsample_and_log_prob(self, sample_shape: Any = torch.Size()) -> tuple[Tensor, Tensor]:  # noqa: B008
        """Draws and their log-density in one pass."""
        return self.model.rsample_and_log_prob(tuple(sample_shape), self.context)


class FromTorch(Distribution):
    """A `torch.distributions` distribution as one of ours; its tensor arguments become buffers.

    Args:
        make: called with the arguments, for example `torch.distributions.Gumbel`.
        space: of one event; batch dimensions of `make(...)` count as part of the event.
        arguments: by name; tensors, or numbers, of shapes that broadcast to the event's.

    Raises:
        ShapeError: the batch and event shape together are not the space's.
    """

    def __init__(self, make: Callable[..., TorchDistribution], space: Space, **arguments: Any) -> None:
        super().__init__()
        self.make, self.space, self.names = make, space, tuple(arguments)
        for name, value in arguments.items():
            self.register_buffer(f"argument_{name}", torch.as_tensor(value))
        made = self._made()
        self.differentiable_draws = bool(made.has_rsample)
        if tuple(made.batch_shape + made.event_shape) != space.shape:
            raise ShapeError(
                f"expected a distribution of shape {space.shape}, got {made.batch_shape + made.event_shape}"
            )

    def _made(self) -> TorchDistribution:
        return self.make(**{name: getattr(self, f"argument_{name}") for name in self.names})

    def _log_prob(self, x: Tensor, context: Tensor | None) -> Tensor:
        logp = self._made().log_prob(x)
        return logp if logp.dim() == 1 else logp.flatten(1).sum(1)

    def _sample(self, n: int, context: Tensor | None) -> tuple[Tensor, Tensor]:
        made = self._made()
        x = made.rsample((n,)) if made.has_rsample else made.sample((n,))
        return x, self._log_prob(x, context)


def _constraint(space: Space) -> constraints.Constraint:
    rank = len(space.shape)
    if isinstance(space, Box):
        if math.isinf(space.high):
            inner: constraints.Constraint = (
                constraints.real if math.isinf(space.low) else constraints.greater_than_eq(space.low)
            )
        elif math.isinf(space.low):
            inner = constraints.less_than(space.high)
        else:
            inner = constraints.interval(space.low, space.high)
    elif isinstance(space, Categories):
        inner = constraints.integer_interval(0, max(space.counts) - 1)
    elif isinstance(space, Integers) and space.low is not None and space.high is not None:
        inner = constraints.integer_interval(space.low, space.high)
    else:
        inner = constraints.real
    return constraints.independent(inner, rank)
