"""Solvers of dy/dt = f(t, y): fixed steps, adaptive steps by torchdiffeq, and three ways to compute gradients.

A state is a tuple of tensors that are integrated together. The gradient is one of

    "direct"      Backpropagation through the steps: the exact gradient of the computed numbers. It keeps every step.
    "checkpoint"  The same gradient; each segment of the path is computed again in the backward pass. It keeps one state per
                  segment.
    "adjoint"     The solution of a second differential equation, backwards in time with the same solver (Chen et al. 2018,
                  arXiv:1806.07366, algorithm 1): with a = dL/dy,

                      da/dt = -a df/dy,    dL/dp = int_(t0)^(t1) a df/dp dt,    and y again from dy/dt = f.

                  It keeps only the end of the path. It is the gradient of the differential equation, and differs from
                  that of the computed numbers by the solver error.
"""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from ..errors import SolverError, SpecError
from .hand_gradients import eager

State = tuple[Tensor, ...]
Field = Callable[[Tensor, State], State]
"""Function (t, state) that returns the derivative of the state; t is a tensor without dimensions."""
Gradient = Literal["direct", "checkpoint", "adjoint"]
Method = Literal["euler", "midpoint", "rk4", "dopri5"]


@dataclass(frozen=True)
class Tableau:
    """Coefficients of an explicit Runge-Kutta method: k_i = f(t + c_i h, y + h sum_j a_ij k_j), y + h sum_i b_i k_i.

    Args:
        order: Order p of the method: the error of a path is O(h^p).
        c: Nodes c_i.
        a: Coefficients a_ij, one row for each stage after the first.
        b: Weights b_i.
    """

    order: int
    c: tuple[float, ...]
    a: tuple[tuple[float, ...], ...]
    b: tuple[float, ...]


TABLEAUS: dict[str, Tableau] = {
    "euler": Tableau(1, (0.0,), (), (1.0,)),
    "midpoint": Tableau(2, (0.0, 0.5), ((0.5,),), (0.0, 1.0)),
    "rk4": Tableau(4, (0.0, 0.5, 0.5, 1.0), ((0.5,), (0.0, 0.5), (0.0, 0.0, 1.0)), (1 / 6, 1 / 3, 1 / 3, 1 / 6)),
    # Dormand and Prince 1980, the weights of order five.
    "dopri5": Tableau(
        5,
        (0.0, 1 / 5, 3 / 10, 4 / 5, 8 / 9, 1.0),
        (
            (1 / 5,),
            (3 / 40, 9 / 40),
            (44 / 45, -56 / 15, 32 / 9),
            (19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729),
            (9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656),
        ),
        (35 / 384, 0.0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84),
    ),
}


@dataclass(frozen=True)
class Solution:
    """End of a path.

    Args:
        state: State at the end.
        evaluations: Number of evaluations of the field along the path.
    """

    state: State
    evaluations: int


@dataclass(frozen=True, kw_only=True)
class Solver(abc.ABC):
    """Base class of the solvers of differential equations, `Fixed` and `Adaptive`.

    Args:
        gradient: Way to compute gradients: "direct", "checkpoint" or "adjoint", see the start of this module.
    """

    gradient: Gradient = "direct"

    def __post_init__(self) -> None:
        """Check the arguments."""
        _one_of("gradient", self.gradient, get_args(Gradient))

    @property
    @abc.abstractmethod
    def certain(self) -> bool:
        """Whether the error is at the level of rounding, so that densities computed with the solver count as exact."""

    @property
    @abc.abstractmethod
    def segments(self) -> int:
        """Number of segments of the path whose starts the gradient "checkpoint" keeps."""

    @abc.abstractmethod
    def advance(self, field: Field, state: State, t0: float, t1: float, leading: int | None = None) -> Solution:
        """Solve from t0 to t1, where t1 may be smaller; differentiable where gradients are recorded.

        Args:
            field: Derivative of the state.
            state: State at t0.
            t0: Start time.
            t1: End time.
            leading: Number of tensors, from the first, whose errors determine the lengths of adaptive steps; all by default.
        """

    @abc.abstractmethod
    def finer(self) -> Solver:
        """Return a solver whose error is at the level of rounding, with direct gradients."""

    def solve(self, field: Field, state: State, t0: float, t1: float, parameters: Sequence[Tensor] = ()) -> Solution:
        """Return the state at t1 of the path that starts in `state` at t0.

        Args:
            field: Derivative of the state.
            state: State at t0.
            t0: Start time.
            t1: End time, before or after t0.
            parameters: All tensors that the field uses and that may require a gradient; needed for "adjoint".

        Raises:
            SolverError: An adaptive step became too small.
        """
        recorded = torch.is_grad_enabled() and any(t.requires_grad for t in (*state, *parameters))
        if not recorded or self.gradient == "direct" or not eager(*state):
            return self.advance(field, state, t0, t1)
        if self.gradient == "checkpoint":
            return self._checkpointed(field, state, t0, t1)
        wanted = tuple(p for p in parameters if p.requires_grad)
        count: list[int] = []
        out = _Adjoint.apply(self, field, (t0, t1), count, len(state), *state, *wanted)
        return Solution(tuple(out), count[0])

    def _checkpointed(self, field: Field, state: State, t0: float, t1: float) -> Solution:
        from torch.utils.checkpoint import checkpoint

        part = dataclasses.replace(self, **self._per_segment())
        evaluations = 0

        def run(start: float, end: float, *state: Tensor) -> State:
            nonlocal evaluations
            solution = part.advance(field, state, start, end)
            evaluations += solution.evaluations
            return solution.state

        ends = [t0 + (t1 - t0) * i / self.segments for i in range(self.segments + 1)]
        for start, end in pairwise(ends):
            state = checkpoint(run, start, end, *state, use_reentrant=False)
        return Solution(state, evaluations)

    def _per_segment(self) -> dict[str, Any]:
        """Return the fields of the solver that differ for one segment."""
        return {}


@dataclass(frozen=True)
class Fixed(Solver):
    """Solver with steps of equal length.

    Args:
        steps: Number of steps of the whole path, at least 1.
        method: "euler" (order 1), "midpoint" (2), "rk4" (4) or "dopri5" (5).
        exact: Whether the user asserts that the steps are so many that the error is at the level of rounding.

    Raises:
        SpecError: There are no steps, or the method or the gradient is unknown.
    """

    steps: int = 8
    method: Method = "rk4"
    exact: bool = False

    def __post_init__(self) -> None:
        """Check the arguments."""
        super().__post_init__()
        if self.steps < 1:
            raise SpecError(f"expected steps >= 1, got {self.steps}")
        _one_of("method", self.method, get_args(Method))

    @property
    def order(self) -> int:
        """Order p of the method: the error of a path is O(steps^-p)."""
        return TABLEAUS[self.method].order

    @property
    def certain(self) -> bool:
        """The value of `exact`."""
        return self.exact

    @property
    def segments(self) -> int:
        """Number of segments: one for each step."""
        return self.steps

    def _per_segment(self) -> dict[str, Any]:
        return {"steps": 1}

    def finer(self) -> Fixed:
        """Return a solver of order five with four times as many steps, at least 32."""
        return Fixed(max(32, 4 * self.steps), "dopri5", exact=True)

    def times(self, factor: int) -> Fixed:
        """Return the same solver with `factor` times as many steps."""
        return dataclasses.replace(self, steps=self.steps * factor)

    def advance(self, field: Field, state: State, t0: float, t1: float, leading: int | None = None) -> Solution:
        """Solve step by step."""
        tableau = TABLEAUS[self.method]
        h = (t1 - t0) / self.steps
        for i in range(self.steps):
            state = _step(field, state, t0 + i * h, h, tableau)
        return Solution(state, self.steps * len(tableau.c))


@dataclass(frozen=True)
class Adaptive(Solver):
    """Solver by torchdiffeq whose step lengths keep the estimated error below a tolerance.

    Args:
        rtol: Allowed error of a step, relative to the state; values below ten times the rounding error are raised to it.
        atol: Allowed absolute error of a step, with the same lower limit.
        method: Name of a method of torchdiffeq, such as "dopri5", "dopri8" or "bosh3".
        checkpoints: Number of segments for the gradient "checkpoint".

    Raises:
        SpecError: A tolerance is not positive, there are no checkpoints, or the gradient is unknown.
        ImportError: The package torchdiffeq is not installed.
    """

    rtol: float = 1e-5
    atol: float = 1e-5
    method: str = "dopri5"
    checkpoints: int = 8

    def __post_init__(self) -> None:
        """Check the arguments."""
        super().__post_init__()
        if not (self.rtol > 0 and self.atol > 0):
            raise SpecError(f"expected tolerances > 0, got rtol={self.rtol}, atol={self.atol}")
        if self.checkpoints < 1:
            raise SpecError(f"expected checkpoints >= 1, got {self.checkpoints}")
        _torchdiffeq()

    @property
    def certain(self) -> bool:
        """Whether both tolerances are at most 1e-7."""
        return max(self.rtol, self.atol) <= CERTAIN

    @property
    def segments(self) -> int:
        """Number of segments, `checkpoints`."""
        return self.checkpoints

    def finer(self) -> Adaptive:
        """Return a solver with tolerances of 1e-10."""
        return Adaptive(1e-10, 1e-10, self.method)

    def advance(self, field: Field, state: State, t0: float, t1: float, leading: int | None = None) -> Solution:
        """Solve by torchdiffeq's `odeint`.

        Raises:
            SolverError: A step became too small.
        """
        if state[0].numel() == 0:
            return Solution(state, 0)
        evaluations = 0

        def counted(t: Tensor, state: State) -> State:
            nonlocal evaluations
            evaluations += 1
            return field(t, state)

        def norm(state: State) -> Tensor:
            return torch.stack([y.square().mean().sqrt() for y in state[:leading]]).max()

        dtype = state[0].dtype
        least = 10 * torch.finfo(dtype).eps
        try:
            path = _torchdiffeq().odeint(
                counted,
                state,
                torch.tensor([t0, t1], dtype=dtype, device=state[0].device),
                rtol=max(self.rtol, least),
                atol=max(self.atol, least),
                method=self.method,
                options={"norm": norm},
            )
        except AssertionError as error:
            raise SolverError(
                f"expected a velocity that a solver can follow from t={t0:g} to t={t1:g}, got one whose steps are too small to "
                f"change the time, after {evaluations} evaluations ({error}): it is too steep, or not finite; use larger "
                "tolerances or fixed steps, or penalise the velocity in training"
            ) from None
        return Solution(tuple(values[-1] for values in path), evaluations)


CERTAIN = 1e-7
"""Largest tolerance of an adaptive solver whose densities count as exact."""


def _step(field: Field, state: State, t: float, h: float, tableau: Tableau) -> State:
    """Return the state after one Runge-Kutta step."""
    slopes: list[State] = []
    for c, row in zip(tableau.c, ((), *tableau.a), strict=True):
        # The methods are explicit: stage i uses the slopes of the stages before it only.
        at = tuple(_plus(y, h, row, [k[j] for k in slopes]) for j, y in enumerate(state))
        slopes.append(field(_scalar(t + c * h, state[0]), at))
    return tuple(_plus(y, h, tableau.b, [k[j] for k in slopes]) for j, y in enumerate(state))


def _plus(y: Tensor, h: float, weights: Sequence[float], slopes: Sequence[Tensor]) -> Tensor:
    """Return y + h sum_i w_i k_i."""
    for weight, slope in zip(weights, slopes, strict=True):
        if weight:
            y = torch.add(y, slope, alpha=h * weight)
    return y


def _scalar(value: float, like: Tensor) -> Tensor:
    return torch.full((), value, dtype=like.dtype, device=like.device)


class _Adjoint(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, solver: Solver, field: Field, ends: tuple[float, float], count: list[int], n: int, *tensors: Tensor
    ) -> State:
        state, parameters = tensors[:n], tensors[n:]
        solution = solver.advance(field, state, *ends)
        count.append(solution.evaluations)
        ctx.solver, ctx.field, ctx.ends, ctx.n, ctx.parameters = solver, field, ends, n, parameters
        ctx.save_for_backward(*solution.state)
        return solution.state

    @staticmethod
    def backward(ctx: Any, *cotangents: Tensor) -> tuple[Tensor | None, ...]:
        n, field, parameters = ctx.n, ctx.field, ctx.parameters
        end = ctx.saved_tensors
        sums = tuple(torch.zeros_like(p) for p in parameters)

        # The state of the backward equation is (y, a, dL/dp). One vector-Jacobian product gives a df/dy and a df/dp.
        def augmented(t: Tensor, whole: State) -> State:
            with torch.enable_grad():
                state = tuple(y.detach().requires_grad_() for y in whole[:n])
                slopes = field(t, state)
                # A part of the field that does not depend on the inputs has no gradient function and contributes nothing.
                pairs = [(k, a) for k, a in zip(slopes, whole[n : 2 * n], strict=True) if k.requires_grad]
                found = torch.autograd.grad(
                    [k for k, _ in pairs], (*state, *parameters), [a for _, a in pairs], materialize_grads=True
                )
            # Solved from t1 to t0, the slope -a df/dp gives the integral of a df/dp from t0 to t1.
            return (*(k.detach() for k in slopes), *(-g for g in found))

        with torch.no_grad():
            given = tuple(torch.zeros_like(y) if a is None else a for y, a in zip(end, cotangents, strict=True))
            # Only the errors of y and a control the steps: the integrals for the parameters do not feed back into them.
            whole = ctx.solver.advance(augmented, (*end, *given, *sums), ctx.ends[1], ctx.ends[0], 2 * n).state
        return (None,) * 5 + whole[n:]


def _one_of(name: str, value: str, known: Sequence[str]) -> None:
    if value not in known:
        raise SpecError(f"expected {name} to be one of {', '.join(known)}, got {value!r}")


def _torchdiffeq() -> Any:
    try:
        import torchdiffeq
    except ImportError:
        raise ImportError("adaptive steps need torchdiffeq: pip install 'pushforward[ode]'") from None
    return torchdiffeq
