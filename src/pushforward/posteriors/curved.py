"""Fits on curved spaces: no coordinates of the line are needed, and uniform draws reach every mode.

A curved space is compact. In few dimensions some of its uniformly distributed points lie near every mode, so the flow is first
led to the mass by a forward divergence whose draws come from the flow and from the uniform distribution. For the same reason
uniform draws take the place of optimisers, heavy tails and Markov chains when the draws are weighted.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..core import Box, Distribution, Flow, Product, Real, Space, Sphere, Torus
from ..distributions import StudentT, UniformSphere, UniformTorus
from ..errors import ShapeError, SpecError
from ..objectives.divergence import ForwardKL
from ..systems.mixed import AXES, MixedFlow, base_of
from ..systems.recursive_sphere import RecursiveSphere
from ..systems.spec import Spec, spec_from_dict
from ..systems.torus import TorusFlow
from ..training.progress import Progress
from .optimise import train
from .proposal import Proposal, Weighed, weigh
from .target import Target
from .variational_config import VariationalConfig


class CurvedDefaults(NamedTuple):
    """Uniform distribution and default flow for a kind of curved space.

    Args:
        uniform: Function from the space to the uniform distribution on it.
        flow: Function from the space to the description of the default flow.
    """

    uniform: Callable[[Any], Distribution]
    flow: Callable[[Any], Spec]


def _wide(space: Product) -> Distribution:
    """Return a distribution that covers a product: uniform on circles and intervals, Student's t with two degrees on lines."""
    return base_of(space, lambda line: StudentT(line, 2.0))


def _mixed(space: Product) -> Spec:
    """Return the description of a flow on a product of lines, circles and heights.

    Raises:
        SpecError: A part is another space.
    """
    names = {axis: kind for kind, axis in AXES.items()}
    flat = all(isinstance(part, (Real, Torus, Box)) for part in space.parts)
    if not flat or not set(space.axes) <= set(names):
        raise SpecError(f"expected a product of lines, circles and intervals [-1, 1], got {space}; give a flow on it")
    kinds = tuple(names[axis] for axis in space.axes)
    return MixedFlow(features=space.size, kinds=kinds, structure="coupling", layers=6, bins=8)  # type: ignore[arg-type]


CURVED: dict[type[Space], CurvedDefaults] = {
    Sphere: CurvedDefaults(UniformSphere, lambda space: RecursiveSphere(features=space.size, closed="sampling")),
    Product: CurvedDefaults(_wide, _mixed),
    Torus: CurvedDefaults(UniformTorus, lambda space: TorusFlow(features=space.size, structure="coupling", bins=8)),
}
"""Kinds of curved spaces on which densities can be fitted."""


def curved(space: Space) -> CurvedDefaults | None:
    """Return the defaults for a curved space, and None for other spaces."""
    return next((found for kind, found in CURVED.items() if isinstance(space, kind)), None)


class Even:
    """Uniform distribution as a part of a proposal.

    Args:
        distribution: Uniform distribution.
    """

    def __init__(self, distribution: Distribution) -> None:
        self.distribution = distribution

    def sample(self, n: int) -> Tensor:
        """Return draws (n, D)."""
        return self.distribution._sample(n, None)[0]

    def log_prob(self, x: Tensor) -> Tensor:
        """Return the log-density at points (B, D), (B,) in nats and float64."""
        return self.distribution._log_prob(x, None).double()


def fit_curved(
    target: Target,
    space: Space,
    known: CurvedDefaults,
    config: VariationalConfig,
    dtype: torch.dtype,
    progress: Progress,
) -> tuple[Flow, list[dict[str, float]], Weighed]:
    """Fit a flow to a density on a curved space, and weigh its draws, with torch's current random state.

    Args:
        target: Log-density log p on the space.
        space: The curved space.
        known: Uniform distribution and default flow for this kind of space.
        config: Options of the fit.
        dtype: Dtype of the model.
        progress: Display of the steps.

    Returns:
        The flow, its history, and the weighted draws.
    """
    model = built_on(space, config, known).to(dtype)
    even = Even(known.uniform(space).to(dtype))
    options: dict[str, Any] = {"samples": config.samples, "lr": config.lr, "tolerance": config.tolerance}
    if config.start == "gaussian":
        spread = ForwardKL(model, target.tolerant, Proposal(model, [even]))
        train(spread, target, steps=max(1, config.steps // 4), anneal=config.anneal, **options)
    divergence = config.divergence(model, target)
    heat = config.anneal if config.start != "gaussian" else 0.0
    history = train(divergence, target, steps=config.steps, anneal=heat, progress=progress, **options)
    return model, history, weigh(Proposal(model, [even]), target, 4 * config.draws)


def built_on(space: Space, config: VariationalConfig, known: CurvedDefaults) -> Flow:
    """Return the flow on a curved space that the options ask for, or the default one.

    Raises:
        SpecError: The flow takes a context, or is no flow, or the options ask for Langevin layers.
        ShapeError: The flow is one on another space.
    """
    if config.langevin:
        raise SpecError(f"expected langevin=0 on {space}: Langevin layers move vectors of real numbers")
    flow = known.flow(space) if config.flow is None else config.flow
    if isinstance(flow, str):
        flow = spec_from_dict({"system": flow, "features": space.size})
    if isinstance(flow, Spec):
        fields = flow.to_dict()
        if config.layers is not None:
            fields["layers"] = config.layers
        flow = spec_from_dict(fields).build()  # type: ignore[assignment]
    elif isinstance(flow, Flow) and config.restarts > 1:
        flow = copy.deepcopy(flow)
    if not isinstance(flow, Flow) or flow.context is not None:
        raise SpecError("expected a flow without a context")
    if flow.space != space:
        raise ShapeError(f"expected a flow on {space}, got one on {flow.space}")
    return flow
