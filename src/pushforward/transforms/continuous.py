"""Continuous layers: x follows a velocity field, and its log-density changes by the divergence of the field.

    dy/dt = v(t, y),   y(0) = x,   z = y(T),        dlogp = int_0^T tr(dv/dy) dt,

This is the instantaneous change of variables (Chen et al. 2018, arXiv:1806.07366, theorem 1). The inverse follows the same path
from T to 0. The trace is exact, or estimated by e^T J e with a random probe e, drawn once for each path (Grathwohl et al.
2019, arXiv:1810.01367, eq. 8). Both directions are solved numerically, so the layer inverts itself only up to the solver error.

On a sphere the velocity is tangential, its divergence is that on the sphere (Mathieu, Nickel 2020, arXiv:2006.10605), and the
end of a path is moved to the nearest point of the sphere.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from ..core import Exactness, Real, Space, Sphere, Transform, context_space
from ..errors import SolverError, SpecError
from ..functional.hand_gradients import eager
from ..functional.ode import Fixed, Solver, State
from ..functional.probes import signs
from ..networks.velocity import Velocity

Trace = Literal["exact", "estimated", "training"]
Noise = Literal["rademacher", "gaussian"]


@dataclass(frozen=True)
class Path:
    """End points of a batch of paths, and the integrals along the paths.

    Args:
        end: End points, (B, *space.shape).
        dlogp: Contribution in nats for the direction of the path, (B,).
        penalties: Integrals of the penalties over the path, by name, each (B,).
        evaluations: Number of evaluations of the velocity.
    """

    end: Tensor
    dlogp: Tensor
    penalties: dict[str, Tensor]
    evaluations: int


class Continuous(Transform):
    """Continuous layer: z = y(T) for dy/dt = v(t, y, c) and y(0) = x, dlogp = int tr(dv/dy) dt.

    The velocity receives the time t / T, from 0 to 1. The layer is exact if the trace is exact and the solver's error is at the
    level of rounding (`Solver.certain`). It is noisy if the trace is estimated, and biased in an unknown direction otherwise.

    Args:
        velocity: Velocity field v; on a sphere a tangential one, such as `TangentVelocity`.
        space: Space of x and z.
        solver: ODE solver; by default `Fixed()`.
        scoring: ODE solver in evaluation mode; by default the same as `solver`.
        trace: One of "exact", "estimated" (from probes) and "training": estimated in training, exact in evaluation.
        probes: Number of probes of an estimated trace, at least 1.
        noise: Distribution of the probes, "rademacher" (random signs) or "gaussian".
        duration: Time T, positive.
        learned: Whether T is learned, starting at `duration`.
        context: Length of the context c, 0 for none; or its space.

    Raises:
        SpecError: There are no probes, the duration is not positive, or the kind of trace or noise is unknown.
    """

    def __init__(
        self,
        velocity: Velocity,
        space: Real | Sphere,
        *,
        solver: Solver | None = None,
        scoring: Solver | None = None,
        trace: Trace = "exact",
        probes: int = 1,
        noise: Noise = "rademacher",
        duration: float = 1.0,
        learned: bool = False,
        context: int | Space = 0,
    ) -> None:
        super().__init__()
        if probes < 1:
            raise SpecError(f"expected probes >= 1 to estimate a trace, got {probes}")
        if not duration > 0:
            raise SpecError(f"expected a duration > 0, got {duration}")
        for name, value, known in (("trace", trace, get_args(Trace)), ("noise", noise, get_args(Noise))):
            if value not in known:
                raise SpecError(f"expected {name} to be one of {', '.join(known)}, got {value!r}")
        self.x_space: Real | Sphere = space
        self.velocity, self.z_space, self.context = velocity, space, context_space(context)
        self.solver: Solver = Fixed() if solver is None else solver
        self.scoring: Solver = self.solver if scoring is None else scoring
        self.trace, self.probes, self.noise, self.duration = trace, probes, noise, duration
        self.log_factor = nn.Parameter(torch.zeros(1)) if learned else None

    @property
    def own(self) -> Exactness:  # type: ignore[override]
        """Exactness of this layer in evaluation mode."""
        found = Exactness.NOISY if self.trace == "estimated" else Exactness.EXACT
        return found if self.scoring.certain else found | Exactness.LOWER | Exactness.UPPER

    def exact_twin(self) -> Continuous | None:
        """Return the same velocity with the exact trace and a finer solver; None if the layer is exact."""
        if not self.own:
            return None
        solver, context = self.scoring.finer(), self.context or 0
        twin = Continuous(self.velocity, self.x_space, solver=solver, duration=self.duration, context=context)
        twin.log_factor = self.log_factor
        return twin

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return the end of the path that starts at x, and the integral of the divergence."""
        path = self.path(x, context)
        return path.end, path.dlogp

    def inverse(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return the start of the path that ends at z, and minus the integral of the divergence."""
        path = self.path(z, context, turned=True)
        return path.end, path.dlogp

    def forward_aux(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """Return the results of `forward`, and the integrals of the velocity's penalties."""
        path = self.path(x, context, penalties=True)
        return path.end, path.dlogp, path.penalties

    def path(self, v: Tensor, context: Tensor | None = None, *, turned: bool = False, penalties: bool = False) -> Path:
        """Solve for the paths of a batch.

        Args:
            v: Start points: x (B, *space.shape), or z if `turned`.
            context: Context of shape (B, *context.shape), or None.
            turned: Whether to follow the paths from T to 0.
            penalties: Whether to integrate the velocity's penalties.

        Raises:
            SolverError: An adaptive step became too small, or an end point is not finite (not checked in training, where
                the trainer handles non-finite losses).
        """
        names = self.velocity.penalties if penalties else ()
        zeros = [v.new_zeros(v.shape[0]) for _ in range(1 + len(names))]
        estimated = self.trace == "estimated" or (self.trace == "training" and self.training)
        probes = self._draw(v) if estimated else None

        def field(t: Tensor, state: State) -> State:
            speed = self._speed()
            rates = self.velocity.rates if probes is None else self.velocity.probed
            given = (t, state[0], context) if probes is None else (t, state[0], probes, context)
            moved, divergence, extra = rates(*given)
            share = 1.0 if probes is None else 1 / self.probes
            # Rates are per unit of t / T, so the velocity and all integrands carry a factor T.
            sums = [share * divergence, *(share * extra[n] if n == "jacobian" else extra[n] for n in names)]
            return (speed * moved, *(speed * rate for rate in sums))

        ends = (1.0, 0.0) if turned else (0.0, 1.0)
        solution = self._solver.solve(field, (v, *zeros), *ends, parameters=self._tensors(context))
        end, dlogp, *sums = solution.state
        # In training the trainer detects and explains losses that are not finite.
        if not (self.training and torch.is_grad_enabled()) and eager(end):
            _require_finite(end)
        end = self.x_space.nearest(end)
        # From T to 0 the integral of the divergence has the opposite sign, as dlogp of the inverse must. Penalties are
        # reported with the sign of the forward direction.
        sign = -1.0 if turned else 1.0
        return Path(end, dlogp, {n: sign * s for n, s in zip(names, sums, strict=True)}, solution.evaluations)

    @torch.no_grad()
    def trajectory(self, v: Tensor, context: Tensor | None = None, *, points: int = 33, turned: bool = False) -> Tensor:
        """Return points of the paths at equally spaced times, both ends included: (points, B, *space.shape).

        Args:
            v: Start points: x (B, *space.shape), or z if `turned`.
            context: Context of shape (B, *context.shape), or None.
            points: Number of points of each path, at least 2.
            turned: Whether to follow the paths from T to 0.
        """
        times = torch.linspace(1.0, 0.0, points).tolist() if turned else torch.linspace(0.0, 1.0, points).tolist()
        solver = self._solver
        if isinstance(solver, Fixed):
            # Divide the steps of the whole path among the intervals, rounding up.
            solver = Fixed(-(-solver.steps // (points - 1)), solver.method)
        found = [v]
        for start, end in pairwise(times):
            (y,) = solver.advance(lambda t, s: (self.speed(t, s[0], context),), (found[-1],), start, end).state
            found.append(self.x_space.nearest(y))
        return torch.stack(found)

    def speed(self, t: Tensor, y: Tensor, context: Tensor | None = None) -> Tensor:
        """Return T v(t, y, c), the velocity when time runs from 0 to 1: t (), y (B, *space.shape) -> (B, *space.shape)."""
        return self._speed() * self.velocity(t, y, context)

    @property
    def time(self) -> float | Tensor:
        """Current value of the time T."""
        return self._speed() if self.log_factor is None else self._speed().detach().squeeze()  # type: ignore[union-attr]

    @property
    def _solver(self) -> Solver:
        return self.solver if self.training else self.scoring

    def _speed(self) -> Tensor | float:
        return self.duration if self.log_factor is None else self.duration * self.log_factor.exp()

    def _tensors(self, context: Tensor | None) -> list[Tensor]:
        """Return the tensors that the field uses and that may require a gradient."""
        return [*self.parameters(), *([] if context is None or not context.requires_grad else [context])]

    def _draw(self, v: Tensor) -> Tensor:
        shape = (self.probes, *v.shape)
        if self.noise == "gaussian":
            return torch.randn(shape, dtype=v.dtype, device=v.device)
        return signs(shape, v)


def is_continuous(layer: Transform) -> bool:
    """Return whether a layer is a `Continuous` one."""
    return isinstance(layer, Continuous)


def _require_finite(end: Tensor) -> None:
    """Check that all paths end in finite numbers.

    Raises:
        SolverError: A path does not; the message has the number of its row.
    """
    lost = ~end.isfinite().flatten(1).all(1)
    if bool(lost.any()):
        raise SolverError(
            f"expected a path that ends in finite numbers, got none for row {int(lost.nonzero()[0])} of the batch: the "
            "velocity is not finite or too steep there; lower the learning rate, penalise the velocity in training, or "
            "leave out rows far from the others"
        )
