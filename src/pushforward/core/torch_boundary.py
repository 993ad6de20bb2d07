"""Distributions of torch as distributions of this library, for use as bases; torch itself is not modified."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Distribution as TorchDistribution
from torch.distributions import constraints

from ..errors import ContextError, DomainError, ShapeError, SpecError
from ..recording import describe
from .conditioned import Conditioned
from .distribution import Distribution
from .simplex_space import Simplex
from .space import Box, Real, Space
from .torch_recipe import Recipe, take_apart


class FromTorch(Distribution):
    """Distribution from `torch.distributions` as a distribution of this library; its tensor arguments become buffers.

    Args:
        make: Class or function that returns the distribution, for example `torch.distributions.Gumbel`.
        space: Space of one event; batch dimensions of `make(...)` count as event dimensions.
        arguments: Keyword arguments of `make`: tensors or numbers whose shapes broadcast to the event's. An
            `nn.Parameter` stays a parameter and is trained with the model.

    Raises:
        ShapeError: The batch shape and event shape together differ from the shape of the space.
    """

    def __init__(self, make: Callable[..., TorchDistribution], space: Space, **arguments: Any) -> None:
        super().__init__()
        self.make, self.space, self.names = make, space, tuple(arguments)
        for name, value in arguments.items():
            if isinstance(value, nn.Parameter):
                self.register_parameter(f"argument_{name}", value)
            else:
                self.register_buffer(f"argument_{name}", torch.as_tensor(value))
        made = self._made()
        self.differentiable_draws = bool(made.has_rsample)
        if tuple(made.batch_shape + made.event_shape) != space.shape:
            raise ShapeError(
                f"expected a distribution of shape {space.shape}, got {made.batch_shape + made.event_shape}"
            )

    def extra_repr(self) -> str:
        """Return the name of the torch distribution and the space, for `repr`."""
        make = self.make if isinstance(self.make, Recipe) else getattr(self.make, "__name__", type(self.make).__name__)
        return f"{make}, {describe(self.space)}"

    def _made(self) -> TorchDistribution:
        return self.make(**{name: getattr(self, f"argument_{name}") for name in self.names})

    def _log_prob(self, x: Tensor, context: Tensor | None) -> Tensor:
        logp = self._made().log_prob(x)
        return logp if logp.dim() == 1 else logp.flatten(1).sum(1)

    def _sample(self, n: int, context: Tensor | None) -> tuple[Tensor, Tensor]:
        made = self._made()
        x = made.rsample((n,)) if made.has_rsample else made.sample((n,))
        return x, self._log_prob(x, context)


def as_base(base: object, space: Space) -> Distribution:
    """Return the base of a flow as a distribution of this library.

    Args:
        base: Distribution of this library, or of `torch.distributions`; batch dimensions of the latter count as event
            dimensions.
        space: Space in which the chain ends.

    Raises:
        ShapeError: A torch distribution has another shape than the space.
        ContextError: The base is a distribution at a context, from `model.at(context)`.
        SpecError: The support matches no space of this library, or the distribution cannot be rebuilt from its arguments.
        DomainError: The base is not a distribution.
    """
    if isinstance(base, Distribution):
        return base
    if isinstance(base, Conditioned):
        if base.context is None and not base.batch_shape:
            return base.model
        raise ContextError("expected a base without a context of its own, got model.at(context); give the model itself")
    if not isinstance(base, TorchDistribution):
        raise DomainError(
            f"expected a base from pushforward.distributions or torch.distributions, got {type(base).__name__}"
        )
    shape = tuple(base.batch_shape + base.event_shape)
    if shape != space.shape:
        raise ShapeError(
            f"expected a base of shape {space.shape}, where the chain ends, got a {type(base).__name__} of shape {shape}; "
            f"expand it, as in torch.distributions.Normal(0.0, 1.0).expand({space.shape})"
        )
    recipe, tensors = take_apart(base)
    return FromTorch(recipe, space_of(base.support or constraints.real, shape), **tensors)


def space_of(support: constraints.Constraint, shape: tuple[int, ...]) -> Space:
    """Return the space of events of a shape that a torch constraint describes.

    Raises:
        SpecError: No space of this library matches the constraint.
    """
    while hasattr(support, "base_constraint"):
        support = support.base_constraint
    low, high = float(getattr(support, "lower_bound", -math.inf)), float(getattr(support, "upper_bound", math.inf))
    if support is constraints.simplex:
        return Simplex(shape)
    if support in (constraints.real, constraints.real_vector):
        return Real(shape)
    if not support.is_discrete and support.event_dim == 0 and (math.isfinite(low) or math.isfinite(high)):
        return Box(shape, low, high)
    raise SpecError(f"expected a support that is real, bounded or a simplex, got {support}; give FromTorch the space")
