"""Total mass of a density: one, where its space has a quadrature and nothing is wrong."""

from __future__ import annotations

from torch import Tensor

from ..core import Distribution
from ..training.evaluate import evaluate


def total_mass(model: Distribution, context: Tensor | None = None, *, points: int = 400) -> float:
    """int p(x) dx of a model, or the sum over a discrete space: 1 if log_prob is a log-density.

    For a bound or an estimate it is the mass of exp(log_prob) as it comes, one draw at each point.

    Args:
        model: Distribution on a space that has a `quadrature`: one or two dimensions, a sphere, or few states.
        context: Context of one event, (*context.shape), or None.
        points: Number of points on an unbounded axis; with x = sinh t they lie dense around zero and reach 70 deviations.

    Raises:
        SpecError: the space has too many dimensions or states.
    """
    x, weights = model.space.quadrature(points)
    given = None if context is None else context.expand(len(x), *context.shape)
    return float((evaluate(model, x, given).double().cpu().exp() * weights).sum())
