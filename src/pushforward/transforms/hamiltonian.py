"""Steps of Markov chains as layers: Langevin and Hamiltonian dynamics, with and without Metropolis test, and tempering.

From the latent to the data side a step moves z to x with a kernel k(x|z) that uses a target log-density. In the other
direction it is paired with a kernel k~(z|x) of the same family. The layer's contribution is the log-ratio of the two,

    dlogp = log k(x|z) - log k~(z|x).

The model's log-likelihood is then a lower bound, and importance weights over whole paths are unbiased for every step size
(Wu, Koehler, Noe 2020, arXiv:2002.06707, eq. 8; Jarzynski 1997).

All layers of this module use momenta v. They are standard normal: towards x, `Slice` draws them and `Augment` drops them; in
the other direction `Augment` guesses the dropped momenta. In between, `Leapfrog` steps preserve volume (Salimans, Kingma,
Welling 2015, arXiv:1410.6460; Caterini, Doucet, Sejdinovic 2018, arXiv:1805.11328). One leapfrog step is a step of Langevin's
algorithm, x = z + s^2/2 grad log p(z) + s e; its backward noise is minus the momentum that is dropped. A step size s_i for
coordinate i is equivalent to a mass 1 / s_i^2.

A point and its momenta (x, v) form one event, twice as long in the first dimension, positions first.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from ..core import Chain, Distribution, Exactness, Real, Space, Transform, context_space
from ..distributions import Normal
from ..functional.bounds import sum_events
from ..functional.score import LogDensity, value_and_score
from .stochastic import Augment
from .surjective import Slice


class Annealed(nn.Module):
    """Log-density between a start and a target: log p_b(x) = (1 - b) log p_0(x) + b log p(x).

    Args:
        start: Log-density log p_0.
        target: Log-density log p.
        temperature: Inverse temperature b in (0, 1], or a function that returns its current value if it is learned.
    """

    def __init__(self, start: LogDensity, target: LogDensity, temperature: float | Temperature) -> None:
        super().__init__()
        self.start, self.target, self.temperature = start, target, temperature

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """Return log p_b in nats: (B, *event) -> (B,)."""
        b = self.temperature if isinstance(self.temperature, float) else self.temperature()
        return torch.lerp(self.start(x, context), self.target(x, context), b)


class Schedule(nn.Module):
    """Inverse temperatures 0 < b_1 < ... < b_K = 1 with learned gaps; they start at b_i = (i / K)^power.

    Args:
        length: Number K of temperatures.
        power: Exponent of the start: 1 for equal gaps; larger for small first gaps, which suit a start far from the target.
    """

    def __init__(self, length: int, power: float = 1.0) -> None:
        super().__init__()
        edges = torch.linspace(0, 1, length + 1, dtype=torch.float64).pow(power)
        self.free = nn.Parameter((length * edges.diff()).log().to(torch.get_default_dtype()))

    def forward(self) -> Tensor:
        """Return the inverse temperatures, (K,)."""
        return self.free.softmax(0).cumsum(0)


class Temperature(nn.Module):
    """One inverse temperature of a schedule.

    Args:
        schedule: Schedule, shared by its temperatures.
        index: Index in the schedule, from 0.
    """

    def __init__(self, schedule: Schedule, index: int) -> None:
        super().__init__()
        self.schedule, self.index = schedule, index

    def forward(self) -> Tensor:
        """Return the current value, a tensor without dimensions."""
        return self.schedule()[self.index]


def with_momenta(space: Real) -> Real:
    """Return the space of points with their momenta, twice as long in the first dimension."""
    return Real((2 * space.shape[0], *space.shape[1:]))


class Leapfrog(Transform):
    """Leapfrog integrator for the energy |v|^2 / 2 - log p(x); its steps preserve volume and are reversed exactly.

    From the latent to the data side, each step moves a point and its momenta by

    v <- v + s/2 grad log p(x),   x <- x + s v,   v <- v + s/2 grad log p(x)

    Args:
        target: Log-density log p, a function or module of points and a context.
        space: Space of the points without momenta, of shape (D, ...).
        steps: Number of leapfrog steps.
        step: Initial step size s of every coordinate.
        learned: Whether the step sizes are learned.
        context: Length of the target's context, 0 for none; or its space.
    """

    log_step: Tensor

    def __init__(
        self,
        target: LogDensity,
        space: Real,
        *,
        steps: int = 1,
        step: float = 0.1,
        learned: bool = True,
        context: int | Space = 0,
    ) -> None:
        super().__init__()
        self.x_space = self.z_space = with_momenta(space)
        self.context = context_space(context)
        self.target, self.steps = target, steps
        start = torch.full(space.shape, math.log(step))
        if learned:
            self.log_step = nn.Parameter(start)
        else:
            self.register_buffer("log_step", start)

    def _run(self, x: Tensor, v: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        s = self.log_step.exp()
        # Every update adds a function of one half of (x, v) to the other half. Its Jacobian is triangular with ones on
        # the diagonal, so it preserves volume.
        v = v + s / 2 * value_and_score(self.target, x, context)[1]
        for i in range(self.steps):
            # Two neighbouring half steps of the momenta are merged into one full step.
            x = x + s * v
            v = v + (s if i + 1 < self.steps else s / 2) * value_and_score(self.target, x, context)[1]
        return x, v

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Run backwards in time, by the same steps with reversed momenta; dlogp = 0."""
        at, v = x.chunk(2, 1)
        at, v = self._run(at, -v, context)
        return torch.cat([at, -v], 1), self._nothing(x)

    def inverse(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Run forwards in time; dlogp = 0."""
        at, v = z.chunk(2, 1)
        return torch.cat(self._run(at, v, context), 1), self._nothing(z)


class Tempering(Transform):
    """Scaling of the momenta by a learned factor, v <- f v from the latent to the data side; f < 1 cools the chain.

    Args:
        space: Space of the points without momenta.
        factor: Initial value of f.
    """

    def __init__(self, space: Real, factor: float = 1.0) -> None:
        super().__init__()
        self.x_space = self.z_space = with_momenta(space)
        self.size = space.size
        self.log_factor = nn.Parameter(torch.full((1,), math.log(factor)))

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return x with momenta v / f, and -D log f."""
        at, v = x.chunk(2, 1)
        return torch.cat([at, v * (-self.log_factor).exp()], 1), (-self.size * self.log_factor).expand(x.shape[0])

    def inverse(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return z with momenta f v, and D log f."""
        at, v = z.chunk(2, 1)
        return torch.cat([at, v * self.log_factor.exp()], 1), (self.size * self.log_factor).expand(z.shape[0])


class Refresh(Transform):
    """Partial renewal of the momenta, v <- a v + sqrt(1 - a^2) e in both directions, with a learned in (0, 1).

    This kernel leaves the standard normal invariant, so dlogp = log N(v_x) - log N(v_z). Between leapfrog steps it gives
    underdamped Langevin dynamics (Horowitz 1991). With a = 0 all momenta are new, as with `Augment` and `Slice`.

    Args:
        space: Space of the points without momenta.
        keep: Initial value of a.
    """

    own = Exactness.NOISY | Exactness.LOWER

    def __init__(self, space: Real, keep: float = 0.5) -> None:
        super().__init__()
        self.x_space = self.z_space = with_momenta(space)
        self.free = nn.Parameter(torch.full((1,), math.log(keep / (1 - keep))))

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return the same points with new momenta, and the log-ratio of the normal densities of the momenta."""
        at, v = x.chunk(2, 1)
        keep = self.free.sigmoid()
        new = keep * v + (1 - keep.square()).sqrt() * torch.randn_like(v)
        # In this direction v_x = v and v_z = new, and log N(v_x) - log N(v_z) = (new^2 - v^2) / 2. For the inverse v_z =
        # v, v_x = new and the sign is the opposite, which gives the same formula.
        return torch.cat([at, new], 1), sum_events(new.square() - v.square()) / 2

    def inverse(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return the same as `forward`: the kernel is reversible."""
        return self.forward(z)


class Metropolis(Transform):
    """Metropolis step that leaves p invariant: a leapfrog trajectory with new momenta, accepted or rejected.

    This is hybrid Monte Carlo (Duane et al. 1987).

    With one leapfrog step it is the Metropolis-adjusted Langevin algorithm. By detailed balance dlogp = log p(x) - log p(z) for
    a move from x to z, and 0 if the move is rejected. Gradients pass through accepted moves, and not through the decision.

    Args:
        target: Log-density log p, a function or module of points and a context.
        space: Space of x and z, of shape (D, ...).
        steps: Number of leapfrog steps of the trajectory.
        step: Initial step size of every coordinate.
        learned: Whether the step sizes are learned.
        context: Length of the target's context, 0 for none; or its space.
    """

    own = Exactness.NOISY | Exactness.LOWER

    def __init__(
        self,
        target: LogDensity,
        space: Real,
        *,
        steps: int = 1,
        step: float = 0.1,
        learned: bool = True,
        context: int | Space = 0,
    ) -> None:
        super().__init__()
        self.trajectory = Leapfrog(target, space, steps=steps, step=step, learned=learned, context=context)
        self.x_space = self.z_space = space
        self.context = self.trajectory.context

    def propose(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """Return the next state of the chain.

        Returns:
            Next points (B, *shape), change of log p (B,), and whether the move was accepted (B,) of bool.
        """
        v = torch.randn_like(x)
        new, w = self.trajectory.inverse(torch.cat([x, v], 1), context)[0].chunk(2, 1)
        gain = self.trajectory.target(new, context) - self.trajectory.target(x, context)
        with torch.no_grad():
            # A leapfrog trajectory preserves volume and can be reversed, so the acceptance probability is min(1, exp(H
            # before - H after)) with the energy H = |v|^2 / 2 - log p.
            energy = gain + sum_events(v.square() - w.square()) / 2
            taken = torch.rand_like(energy).log() < energy
        rows = taken.reshape(-1, *[1] * (x.dim() - 1))
        return torch.where(rows, new, x), torch.where(taken, gain, 0.0), taken

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return a move from x, and log p(x) - log p(z)."""
        z, gain, _ = self.propose(x, context)
        return z, -gain

    def inverse(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return a move from z, and log p(z) - log p(x)."""
        return self.forward(z, context)


def hamiltonian(
    target: LogDensity,
    space: Real,
    *,
    steps: int = 1,
    step: float = 0.1,
    learned: bool = True,
    context: int | Space = 0,
    reverse: Distribution | None = None,
) -> Chain:
    """Return a stochastic layer on points: new momenta, leapfrog steps, momenta dropped. One step is Langevin's.

    By default a standard normal guesses the momenta that led to a point. It is right only in equilibrium, and the bound
    is loose otherwise; a learned guess makes it tighter (Salimans et al. 2015, section 3; Doucet et al. 2022,
    arXiv:2208.07698).

    Args:
        target: Log-density log p, a function or module of points and a context.
        space: Space of the points, of shape (D, ...).
        steps: Number of leapfrog steps.
        step: Initial step size of every coordinate.
        learned: Whether the step sizes are learned.
        context: Length of the target's context, 0 for none; or its space.
        reverse: Distribution r(v|x) that guesses the momenta with which a point was reached, on the same space; its context
            is the flattened point, or none. A standard normal by default.
    """
    moves = Leapfrog(target, space, steps=steps, step=step, learned=learned, context=context)
    return Chain(
        Augment(space, Normal(space) if reverse is None else reverse),
        moves,
        Slice(moves.z_space, space.shape[0], Normal(space)),
    )
