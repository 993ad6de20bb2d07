"""NPE: neural posterior estimation, a flow of parameters given the data that a simulator generated from them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from ..core import Box, Chain, Distribution, Flow, Real, Space, Transform
from ..errors import ContextError, SpecError
from ..transforms import Standardise, to_line
from .spec import Spec, spec_from_dict


class StandardisedContext(nn.Module):
    """Context network: standardisation, followed by another network if there is one.

    Args:
        space: Space of the context.
        network: Network from the standardised context, (B, *space.shape) -> (B, C); None for none.
    """

    def __init__(self, space: Real, network: nn.Module | None = None) -> None:
        super().__init__()
        self.standardise = Standardise(space)
        self.network = network

    def forward(self, context: Tensor) -> Tensor:
        """Return the input of the layers: (B, *space.shape) -> (B, C)."""
        standard = self.standardise(context)[0]
        return standard if self.network is None else self.network(standard)


def bounds(space: Space) -> tuple[float, float]:
    """Return the bounds of parameters on the real line or in a box.

    Raises:
        SpecError: The parameters are discrete or in another space.
    """
    if space.interval is None or space.discrete:
        raise SpecError(f"expected parameters in a Real or Box space, got {space}")
    return space.interval


def conditional(inner: Distribution, space: Space, context: Real | None, network: nn.Module | None = None) -> Flow:
    """Return a model of parameters given data, from a flow of unconstrained, standardised ones.

    Args:
        inner: Flow on the real line, whose context is the network's result.
        space: Space of the parameters: the real line, or a box, which logits or logarithms map to the line.
        context: Space of the data; None for none.
        network: Network that receives the standardised data; None to use them directly.

    Raises:
        SpecError: The parameters are discrete or in another space.
        ShapeError: The flow `inner` models events of another shape.
        ContextError: The flow `inner` takes another context.
    """
    if context is not None and (inner.context is None or (network is None and inner.context != context)):
        raise ContextError(f"expected a flow with a context in {context}, got one in {inner.context}")
    space = space if any(math.isfinite(bound) for bound in bounds(space)) else Real(space.shape)
    front: list[Transform] = [to_line(space)] if space.bounded else []
    front.append(Standardise(Real(space.shape)))
    embed = None if context is None else StandardisedContext(context, network)
    if isinstance(inner, Flow) and inner.embed is None:
        return Flow(Chain(*front, inner.chain), inner.base, embed, context)
    return Flow(Chain(*front), inner, embed, context)


@dataclass(frozen=True, kw_only=True)
class NPE(Spec):
    """Neural posterior estimation: any conditional system, for parameters in a box given simulated data.

    For pairs theta_i ~ p(theta), x_i ~ p(x | theta_i), the expected log-likelihood is maximal at the posterior:

        E log q(theta | x) = E_x [-KL(p(theta | x) || q(theta | x)) - H(p(theta | x))].

    Parameters are mapped from the box to the real line, so no probability lies outside of the box. Parameters and data are
    standardised.

    Args:
        features: Number of parameters.
        context: Length of the data, 0 for none.
        flow: System and its arguments as a dictionary, as from its `to_dict`, without `features` and `context`.
        low: Smallest value of every parameter; -inf for no bound.
        high: Largest value of every parameter; inf for no bound.
    """

    name = "npe"
    sizes = ("features", "context")
    family = "simulation"
    paper = "Papamakarios, Murray 2016, arXiv:1605.06376; Greenberg, Nonnenmacher, Macke 2019, arXiv:1905.07488"

    features: int
    context: int = 0
    flow: dict[str, Any] = field(default_factory=lambda: {"system": "nsf"})
    low: float = -math.inf
    high: float = math.inf

    def __post_init__(self) -> None:
        """Complete the description of the flow, and check it."""
        super().__post_init__()
        object.__setattr__(self, "flow", self.inner().to_dict())

    def validate(self) -> None:
        """Check the sizes and the bounds."""
        super().validate()
        self._at_least("features", 1)
        self._at_least("context", 0)
        if not self.low < self.high:
            raise SpecError(f"expected npe.low < npe.high, got {self.low} and {self.high}")

    @property
    def space(self) -> Real | Box:
        """Space of the parameters."""
        bounded = math.isfinite(self.low) or math.isfinite(self.high)
        return Box((self.features,), self.low, self.high) if bounded else Real((self.features,))

    def inner(self) -> Spec:
        """Return the spec of the flow of unconstrained, standardised parameters."""
        given = {"features": self.features, "context": self.context}
        for name, value in given.items():
            if self.flow.get(name, value) != value:
                raise SpecError(f"expected npe.flow with {name}={value}, got {self.flow[name]}")
        if not self.context:
            given.pop("context")
        return spec_from_dict({**self.flow, **given})

    def build(self) -> Flow:
        """Return the flow; data set the standardisation of the parameters, and `amortised` sets that of the context."""
        context = Real((self.context,)) if self.context else None
        return conditional(self.inner().build(), self.space, context)

    def loss(self, model: Distribution) -> nn.Module | None:
        """Return the objective of the flow, for the whole model."""
        return self.inner().loss(model)

    @classmethod
    def cases(cls) -> Iterator[NPE]:
        """Yield specs with parameters in a box, above a bound, and without bounds."""
        small = {"system": "nsf", "layers": 1, "hidden": 8, "bins": 4, "bound": 3.0, "linear": False}
        yield cls(features=2, context=3, flow=small, low=-1.0, high=2.0)
        yield cls(features=1, context=1, flow=small, low=0.0)
        yield cls(features=2, context=2, flow={"system": "maf", "layers": 1, "hidden": (8,)})
