"""Total mass of a density by quadrature; it is one for a normalised density."""

from __future__ import annotations

from torch import Tensor

from ..core import Distribution
from ..training.evaluate import evaluate


def total_mass(model: Distribution, context: Tensor | None = None, *, points: int = 400) -> float:
    """Return the integral of p(x) dx, or the sum of p(x) over a discrete space: 1 if log_prob is a log-density.

    If log_prob is a random bound or estimate, one draw of it is used at each point.

    Args:
        model: Distribution on a space that has a `quadrature`: one or two dimensions, a sphere, or few states.
        context: Context of one event, (*context.shape), or None.
        points: Number of points on an unbounded axis. The points are x = sinh t for equally spaced t, so they are dense around
            zero and reach 74.

    Raises:
        SpecError: The space has too many dimensions or states.
    """
    x, weights = model.space.quadrature(points)
    given = None if context is None else context.expand(len(x), *context.shape)
    return float((evaluate(model, x, given).double().cpu().exp() * weights).sum())
