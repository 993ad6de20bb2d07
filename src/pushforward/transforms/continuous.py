"""Continuous layers: x moves along a velocity field, and its density with the field's divergence.

    dy/dt = v(t, y),   y(0) = x,   z = y(T),        dlogp = int_0^T tr(dv/dy) dt,

the instantaneous change of variables (Chen et al. 2018, arXiv:1806.07366, theorem 1); the way back is the same
path from T to 0. The trace is exact, or estimated by e J e with a probe e that is drawn once for a path (Grathwohl et al. 2019,
arXiv:1810.01367, eq. 8). Both ways are solved numerically, so the layer inverts itself up to the solver's error only.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from ..core import Exactness, Real, Space, Transform, context_space
from ..errors import SolverError, SpecError
from ..functional.hand_gradients import eager
from ..functional.ode import Fixed, Solver, State
from ..functional.probes import signs
from ..networks.velocity import Velocity

Trace = Literal["exact", "estimated", "training"]
Noise = Literal["rademacher", "gaussian"]


@dataclass(frozen=True)
class Path:
    """Where a batch of paths ends, and what was added up on the way.

    Args:
        end: (B, *space.shape).
        dlogp: (B,) nats, of that direction.
        penalties: by name, each (B,): integrals over the path.
        evaluations: Number of evaluations of the velocity.
    """

    end: Tensor
    dlogp: Tensor
    penalties: dict[str, Tensor]
    evaluations: int


class Continuous(Transform):
    """z = y(T) of dy/dt = v(t, y, c) from y(0) = x, dlogp = int tr(dv/dy) dt.

    The velocity is given t / T, from 0 to 1. The layer is exact when the trace is and the solver's error is that of rounding
    (`Solver.certain`), noisy when the trace is estimated, and biased to an unknown side by any other solver.

    Args:
        velocity: v.
        space: Space of x and of z.
        solver: Solver of the paths.
        scoring: the same in evaluation mode; `solver` by default.
        trace: "exact", "estimated" from probes, or "training": estimated in training, exact in evaluation.
        probes: number of them.
        noise: "rademacher" (signs) or "gaussian".
        duration: T.
        learned: whether T is learned, from there.
        context: length or space of c; 0 for none.

    Raises:
        SpecError: no probes, a duration that is not positive, an unknown kind of trace or noise.
    """

    def __init__(
        self,
        velocity: Velocity,
        space: Real,
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
        self.x_space: Real = space
        self.velocity, self.z_space, self.context = velocity, space, context_space(context)
        self.solver: Solver = Fixed() if solver is None else solver
        self.scoring: Solver = self.solver if scoring is None else scoring
        self.trace, self.probes, self.noise, self.duration = trace, probes, noise, duration
        self.log_factor = nn.Parameter(torch.zeros(1)) if learned else None

    @property
    def own(self) -> Exactness:  # type: ignore[override]
        """Of this layer, in evaluation mode."""
        found = Exactness.NOISY if self.trace == "estimated" else Exactness.EXACT
        return found if self.scoring.certain else found | Exactness.LOWER | Exactness.UPPER

    def exact_twin(self) -> Continuous | None:
        """The same velocity with the exact trace and a finer solver."""
        if not self.own:
            return None
        solver, context = self.scoring.finer(), self.context or 0
        twin = Continuous(self.velocity, self.x_space, solver=solver, duration=self.duration, context=context)
        twin.log_factor = self.log_factor
        return twin

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The end of the path from x, and the integral of the divergence."""
        path = self.path(x, context)
        return path.end, path.dlogp

    def inverse(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The start of the path that ends in z, and minus the integral."""
        path = self.path(z, context, turned=True)
        return path.end, path.dlogp

    def forward_aux(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """`forward`, with the integrals of the velocity's penalties."""
        path = self.path(x, context, penalties=True)
        return path.end, path.dlogp, path.penalties

    def path(self, v: Tensor, context: Tensor | None = None, *, turned: bool = False, penalties: bool = False) -> Path:
        """Follow the paths of a batch.

        Args:
            v: x (B, *space.shape), or z.
            context: (B, *context.shape) or None.
            turned: from T to 0 instead.
            penalties: whether to add up the velocity's penalties.

        Raises:
            SolverError: an adaptive step became too small; the end is not finite, unless that is seen to by training.
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
            sums = [share * divergence, *(share * extra[n] if n == "jacobian" else extra[n] for n in names)]
            return (speed * moved, *(speed * rate for rate in sums))

        ends = (1.0, 0.0) if turned else (0.0, 1.0)
        solution = self._solver.solve(field, (v, *zeros), *ends, parameters=self._tensors(context))
        end, dlogp, *sums = solution.state
        # While training, losses that are not finite are the trainer's to explain.
        if not (self.training and torch.is_grad_enabled()) and eager(end):
            _require_finite(end)
        # Turned, all integrals run backwards: that of the divergence is minus the contribution, as it has to be.
        sign = -1.0 if turned else 1.0
        return Path(end, dlogp, {n: sign * s for n, s in zip(names, sums, strict=True)}, solution.evaluations)

    @torch.no_grad()
    def trajectory(self, v: Tensor, context: Tensor | None = None, *, points: int = 33, turned: bool = False) -> Tensor:
        """Points of the paths at equal times, the first and last included: (points, B, *space.shape).

        Args:
            v: x (B, *space.shape), or z.
            context: (B, *context.shape) or None.
            points: at least 2.
            turned: from T to 0 instead.
        """
        times = torch.linspace(1.0, 0.0, points).tolist() if turned else torch.linspace(0.0, 1.0, points).tolist()
        solver = self._solver
        if isinstance(solver, Fixed):
            solver = Fixed(-(-solver.steps // (points - 1)), solver.method)
        found = [v]
        for start, end in pairwise(times):
            found.append(
                solver.advance(lambda t, s: (self.speed(t, s[0], context),), (found[-1],), start, end).state[0]
            )
        return torch.stack(found)

    def speed(self, t: Tensor, y: Tensor, context: Tensor | None = None) -> Tensor:
        """The velocity with T taken to be 1, so that t runs from 0 to 1: t (), y (B, *space.shape) -> the same shape."""
        return self._speed() * self.velocity(t, y, context)

    @property
    def time(self) -> float | Tensor:
        """T, as it is now."""
        return self._speed() if self.log_factor is None else self._speed().detach().squeeze()  # type: ignore[union-attr]

    @property
    def _solver(self) -> Solver:
        return self.solver if self.training else self.scoring

    def _speed(self) -> Tensor | float:
        return self.duration if self.log_factor is None else self.duration * self.log_factor.exp()

    def _tensors(self, context: Tensor | None) -> list[Tensor]:
        """All that the field uses and that may want a gradient."""
        return [*self.parameters(), *([] if context is None or not context.requires_grad else [context])]

    def _draw(self, v: Tensor) -> Tensor:
        shape = (self.probes, *v.shape)
        if self.noise == "gaussian":
            return torch.randn(shape, dtype=v.dtype, device=v.device)
        return signs(shape, v)


def is_continuous(layer: Transform) -> bool:
    """Whether a layer is a `Continuous` one."""
    return isinstance(layer, Continuous)


def _require_finite(end: Tensor) -> None:
    """Refuse paths that leave the numbers.

    Raises:
        SolverError: naming the first row.
    """
    lost = ~end.isfinite().flatten(1).all(1)
    if bool(lost.any()):
        raise SolverError(
            f"expected a path that ends in finite numbers, got none for row {int(lost.nonzero()[0])} of the batch: the "
            "velocity is not finite or too steep there; lower the learning rate, penalise the velocity in training, or "
            "leave out rows far from the others"
        )
