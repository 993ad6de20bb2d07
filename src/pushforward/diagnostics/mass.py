"""Whether a density adds up to one: enumeration of small discrete spaces, quadrature in one or two dimensions."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ..core import Box, Categories, Distribution, Integers, Real, Space
from ..errors import SpecError
from ..training.evaluate import evaluate


def total_mass(model: Distribution, context: Tensor | None = None, *, points: int = 400) -> float:
    """int p(x) dx of a model, or the sum over a discrete space: 1 if log_prob is a log-density.

    For a bound or an estimate it is the mass of exp(log_prob) as it comes, one draw at each point.

    Args:
        model: on one or two dimensions, or a small discrete space.
        context: of one event, (*context.shape), or None.
        points: on an unbounded axis; with x = sinh t they lie dense around zero and reach 70 deviations.

    Raises:
        SpecError: the space has too many dimensions or states.
    """
    x, weights = grid(model.space, points)
    given = None if context is None else context.expand(len(x), *context.shape)
    return float((evaluate(model, x, given).double().cpu().exp() * weights).sum())


def grid(space: Space, points: int = 1000) -> tuple[Tensor, Tensor]:
    """Points that cover a small space, and their quadrature weights (ones on discrete spaces).

    Args:
        space: the space.
        points: on an unbounded axis.

    Raises:
        SpecError: the space has too many dimensions or states.
    """
    if isinstance(space, (Integers, Categories)):
        if isinstance(space, Categories):
            axes = [torch.arange(count) for count in space.counts]
        else:
            low, high = (-40 if space.low is None else space.low), (40 if space.high is None else space.high)
            axes = [torch.arange(low, high + 1)] * space.size
        if math.prod(map(len, axes)) > 300_000:
            raise SpecError(f"expected a space of at most 300,000 states, got {space}")
        x = torch.cartesian_prod(*axes).reshape(-1, *space.shape)
        return x.to(space.event_dtype(torch.float64)), torch.ones(len(x), dtype=torch.float64)
    if type(space) not in (Real, Box) or space.size > 2:
        raise SpecError(f"expected one or two dimensions to add a density up in, got {space}")
    if isinstance(space, Box) and math.isfinite(space.high - space.low):
        n = 600
        axis = space.low + (torch.arange(n, dtype=torch.float64) + 0.5) * (space.high - space.low) / n
        weight = torch.full_like(axis, (space.high - space.low) / n)
    else:  # x = sinh t spreads the nodes over many scales
        t = torch.linspace(-5, 5, points, dtype=torch.float64)
        axis, weight = t.sinh(), t.cosh() * (t[1] - t[0])
        if isinstance(space, Box):
            end = space.low if math.isfinite(space.low) else space.high
            side = 1.0 if math.isfinite(space.low) else -1.0
            axis, weight = end + side * t.exp(), t.exp() * (t[1] - t[0])
    x = torch.cartesian_prod(*[axis] * space.size).reshape(-1, *space.shape)
    w = torch.cartesian_prod(*[weight] * space.size).reshape(len(x), -1).prod(1)
    return x, w
