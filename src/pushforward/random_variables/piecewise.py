"""Push-forwards along maps of the real line that are piecewise strictly monotone."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution as TorchDistribution
from torch.distributions import constraints

from ..core import Distribution, Exactness
from ..errors import DomainError, ShapeError, SpecError
from .expectations import Integral, as_torch, bounds, element_support, integrate, position, probe, quantile
from .tabulated import tabulate

Map = Callable[[Tensor], Tensor]
_SHAPE = torch.Size()


@dataclasses.dataclass(frozen=True)
class Branch:
    """Interval [low, high] on which a map is strictly monotone.

    Args:
        low: Start of the interval; may be -inf.
        high: End of the interval; may be inf.
        map: Map r, elementwise.
        inverse: Inverse s, from the image of the interval to the interval, elementwise. Outside the image its values do
            not matter.
        derivative: Derivative s', elementwise; by automatic differentiation of `inverse` if it is not given.
        increasing: Whether r increases on the interval; found from the values of r at its ends if it is not given.
    """

    low: float
    high: float
    map: Map
    inverse: Map
    derivative: Map | None = None
    increasing: bool | None = None

    def invert(self, y: Tensor) -> tuple[Tensor, Tensor]:
        """Return s(y) and |s'(y)|."""
        if self.derivative is not None:
            return self.inverse(y), self.derivative(y).abs()
        x = self.inverse(y)
        with torch.enable_grad():
            point = y if y.requires_grad else y.detach().requires_grad_()
            image = self.inverse(point)
            slope = None
            if image.requires_grad:
                # Keep a graph only for values that depend on y or on parameters that are being trained.
                (slope,) = torch.autograd.grad(image.sum(), point, create_graph=x.requires_grad, allow_unused=True)
        if slope is None:
            raise SpecError(
                "expected an inverse that autograd can differentiate, got one without gradient; pass derivative="
            )
        return x, slope.abs()


@dataclasses.dataclass(frozen=True)
class _Piece:
    """Branch combined with a base: its ends, the ordered images of its ends, a point inside and the image of that point."""

    branch: Branch
    low: Tensor
    high: Tensor
    bottom: Tensor
    top: Tensor
    increasing: bool
    inner: Tensor
    inner_image: Tensor


class PushForward(TorchDistribution):
    """Distribution of y = r(x) for a piecewise strictly monotone map r; see `monotone` and `branches`.

    If events have several coordinates, the map acts on each, and it must be monotone on the whole support. `mean`,
    `variance` and `entropy` are computed by quadrature.

    Args:
        base: Continuous distribution of x.
        pieces: Branches that cover the support of the base.
        support: Support of y, if the map's values at the ends of the base's support do not determine it.

    Raises:
        SpecError: The base is discrete, the branches do not cover its support, or a map and its inverse do not match.
    """

    arg_constraints: dict[str, constraints.Constraint] = {}
    exactness = Exactness.EXACT

    def __init__(
        self,
        base: TorchDistribution | Distribution,
        pieces: Sequence[Branch],
        support: constraints.Constraint | None = None,
    ) -> None:
        self.base = as_torch(base)
        self.branches = tuple(pieces)
        self._given_support = support
        self._element = element_support(self.base)
        if self._element.is_discrete:
            raise SpecError(f"expected a continuous base, got {self.base}; use `discrete` for probabilities")
        if len(self.branches) != 1 and self.base.event_shape not in ((), (1,)):
            raise SpecError(
                f"expected a base of single numbers for several branches, got event shape {tuple(self.base.event_shape)}"
            )
        super().__init__(self.base.batch_shape, self.base.event_shape, validate_args=False)
        points = probe(self.base)
        covered = torch.zeros_like(points, dtype=torch.bool)
        for branch in self.branches:
            covered |= (points >= branch.low) & (points <= branch.high)
        if not bool(covered.all()):
            raise SpecError(
                f"expected branches that cover the base's support, got none for {points[~covered][0].item():g}"
            )
        self._pieces = [self._piece(branch, points) for branch in self.branches]

    def _piece(self, branch: Branch, points: Tensor) -> _Piece:
        low, high = (b.to(points) for b in bounds(self._element))
        low, high = low.clamp_min(branch.low), high.clamp_max(branch.high)
        first, last = branch.map(low), branch.map(high)
        increasing = branch.increasing
        if increasing is None:
            if bool((first.isnan() | last.isnan()).any()):
                raise SpecError(
                    f"expected a map with values at the ends {branch.low:g} and {branch.high:g} of its branch, got NaN; "
                    "pass increasing="
                )
            increasing = bool((first < last).all())
        bottom, top = (first, last) if increasing else (last, first)
        least, most = bounds(constraints.real if self._given_support is None else self._given_support)
        bottom = torch.where(bottom.isnan(), -math.inf, bottom).maximum(least.to(points))
        top = torch.where(top.isnan(), math.inf, top).minimum(most.to(points))
        inside = (points > branch.low) & (points < branch.high)
        inner = points.gather(0, inside.byte().argmax(0, keepdim=True))[0].clamp(low, high)
        _verify(branch, points.clamp(branch.low, branch.high), increasing=increasing)
        return _Piece(branch, low, high, bottom, top, increasing, inner, branch.map(inner))

    @property
    def support(self) -> constraints.Constraint:
        """The given support, or the interval that is the image of the base's support."""
        if self._given_support is not None:
            return self._given_support
        low = torch.stack(torch.broadcast_tensors(*(p.bottom for p in self._pieces))).amin(0)
        high = torch.stack(torch.broadcast_tensors(*(p.top for p in self._pieces))).amax(0)
        inner = constraints.real if bool((low.isinf() & high.isinf()).all()) else constraints.interval(low, high)
        return constraints.independent(inner, len(self.event_shape))

    @property
    def has_rsample(self) -> bool:  # type: ignore[override]
        """Whether the base's draws carry gradients."""
        return self.base.has_rsample

    @property
    def mean(self) -> Tensor:
        """Mean E[r(X)], by quadrature over the base."""
        return expectation(self, lambda y: y).value

    @property
    def variance(self) -> Tensor:
        """Variance E[(r(X) - mean)^2], by quadrature over the base."""
        mean = self.mean
        return expectation(self, lambda y: (y - mean).square()).value

    def entropy(self) -> Tensor:
        """Return the entropy -E[log g(r(X))] in nats, by quadrature over the base."""
        if self.event_shape:
            raise NotImplementedError("entropy is for distributions of single numbers")
        return -expectation(self, self.log_prob).value

    def expand(self, batch_shape: Any, _instance: Any = None) -> PushForward:
        """Return the same distribution with a larger batch shape."""
        return PushForward(self.base.expand(batch_shape), self.branches, self._given_support)

    def push(self, x: Tensor) -> Tensor:
        """Return r(x), elementwise."""
        y = self._pieces[-1].branch.map(x.clamp_min(self.branches[-1].low))
        for piece in self._pieces[-2::-1]:
            # Clamp x to the branch: a map must not receive, or send gradients to, values of another branch.
            own = piece.branch.map(x.clamp(piece.branch.low, piece.branch.high))
            y = torch.where((x >= piece.branch.low) & (x <= piece.branch.high), own, y)
        return y

    def _pull(self, piece: _Piece, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return x = s(y), log |s'(y)|, and whether y is an image of the piece; if not, x is another valid point."""
        inside = (y >= piece.bottom) & (y <= piece.top)
        # Values outside the image are replaced before `invert`: its NaN there would reach all gradients through
        # torch.where.
        x, slope = piece.branch.invert(torch.where(inside, y, piece.inner_image.to(y)))
        low, high = piece.low.to(x), piece.high.to(x)
        x = x.maximum(low).minimum(high)
        inside = inside & x.isfinite() & self._element.check(x)
        return torch.where(inside, x, piece.inner.to(x)), slope.log(), inside

    def _events(self, value: Tensor) -> Tensor:
        if bool(value.isnan().any()):
            raise DomainError("expected numbers, got NaN in the value")
        shape = self.batch_shape + self.event_shape
        try:
            return value.expand(torch.broadcast_shapes(value.shape, shape))
        except RuntimeError:
            raise ShapeError(
                f"expected a value that broadcasts with {tuple(shape)}, got {tuple(value.shape)}"
            ) from None

    def log_prob(self, value: Tensor) -> Tensor:
        """Return the log-density in nats, (*sample, *batch); -inf outside the support, inf at a pole.

        Raises:
            DomainError: A value is NaN.
            ShapeError: The value does not broadcast with the batch and event shape.
        """
        y = self._events(value)
        dims = tuple(range(-len(self.event_shape), 0))
        terms = []
        for piece in self._pieces:
            x, log_slope, inside = self._pull(piece, y)
            if dims:
                log_slope, inside = log_slope.sum(dims), inside.all(dims)
            logp = self.base.log_prob(x)
            # Where the base density is zero, the density is zero even if the slope is infinite.
            terms.append(torch.where(inside & (logp > -math.inf), logp + log_slope, -math.inf))
        return terms[0] if len(terms) == 1 else torch.stack(terms).logsumexp(0)

    def cdf(self, value: Tensor) -> Tensor:
        """Return P(Y <= value), for events of shape ().

        Raises:
            NotImplementedError: The base has no `cdf`.
        """
        y = self._events(value)
        total = torch.zeros_like(y)
        for piece in self._pieces:
            # P(Y <= y and X in the piece) is F(s(y)) - F(low) if r increases, and F(high) - F(s(y)) if it decreases.
            # Below the image of the piece it is 0, and above the image the mass of the piece.
            start, end = self.base.cdf(piece.low).nan_to_num(0.0), self.base.cdf(piece.high).nan_to_num(1.0)
            x = piece.branch.inverse(torch.where((y > piece.bottom) & (y < piece.top), y, piece.inner_image.to(y)))
            at = self.base.cdf(x.maximum(piece.low.to(x)).minimum(piece.high.to(x)))
            part = at - start if piece.increasing else end - at
            total = total + torch.where(y <= piece.bottom, 0.0, torch.where(y >= piece.top, end - start, part))
        return total

    def icdf(self, value: Tensor) -> Tensor:
        """Return the quantile of each value in [0, 1]: r of the base's quantile, or by bisection with several branches."""
        if len(self._pieces) == 1:
            piece = self._pieces[0]
            return piece.branch.map(self.base.icdf(value if piece.increasing else 1 - value))
        low, high = bounds(element_support(self))
        return quantile(self.cdf, value, low, high, *position(self)).to(value.dtype)

    def sample(self, sample_shape: Any = _SHAPE) -> Tensor:
        """Return the map of the base's draws, without gradients."""
        with torch.no_grad():
            return self.push(self.base.sample(torch.Size(sample_shape)))

    def rsample(self, sample_shape: Any = _SHAPE) -> Tensor:
        """Return the map of the base's draws, with gradients."""
        return self.push(self.base.rsample(torch.Size(sample_shape)))


def _verify(branch: Branch, points: Tensor, *, increasing: bool) -> None:
    """Test the map and its inverse on points of the branch; a mistake in either would silently give a wrong density.

    Raises:
        SpecError: The map is not monotone as declared, or the inverse does not match it.
    """
    x = points.sort(0).values
    with torch.no_grad():
        y = branch.map(x)
    change = y.diff(dim=0) * (1 if increasing else -1)
    size = y.abs().nan_to_num(0.0, posinf=0.0)
    if bool((change < -1e-5 * size[1:]).any()):
        kind = "increasing" if increasing else "decreasing"
        raise SpecError(
            f"expected a map that is {kind} on the base's draws, got one that is not; "
            f"pass increasing={not increasing}, or split it into branches"
        )
    with torch.no_grad():
        back = branch.map(branch.inverse(y))
    allowed = 1e-3 * size.maximum(size.flatten().median())
    wrong = y.isfinite() & ((back - y).abs() > allowed)
    if bool(wrong.any()):
        raise SpecError(
            f"expected map(inverse(y)) = y, got {back[wrong][0].item():g} at y = {y[wrong][0].item():g}; "
            "correct the inverse"
        )


def expectation(distribution: TorchDistribution | Distribution, function: Map) -> Integral:
    """Return E[h(Y)]: a sum for tables, E[h(r(X))] by quadrature over the base for push-forwards.

    Args:
        distribution: Distribution of single numbers: a push-forward, or any other of torch or of this library.
        function: Function h, elementwise, on float64 values.

    Returns:
        The value and an estimate of its error, each of the batch shape.

    Raises:
        ShapeError: The events are not single numbers.
    """
    distribution = as_torch(distribution)
    if distribution.event_shape not in ((), (1,)):
        raise ShapeError(f"expected a distribution of numbers, got event shape {tuple(distribution.event_shape)}")
    if isinstance(distribution, PushForward):
        return expectation(distribution.base, lambda x: function(distribution.push(x)))
    if element_support(distribution).is_discrete:
        table = tabulate(distribution)
        value = (table.probabilities * function(table.values)).sum()
        return Integral(value, torch.full_like(value, table.error))
    return integrate(distribution, function)
