"""Steps of Markov chains as layers: Langevin and Hamiltonian dynamics, adjusted or not, and tempering.

On the way from the latent to the data side a step moves z to x with a kernel k(x|z) that knows a target log-density; on the
way back it is paired with a kernel of the same family, and the layer's term is the log-ratio of the two,

    dlogp = log k(x|z) - log k~(z|x),

so that a model's likelihood is a bound, and importance weights over whole paths are unbiased, whatever the step sizes
(Wu, Koehler, Noe 2020, arXiv:2002.06707, eq. 8; Jarzynski 1997).

Momenta make all of it. They are standard normal, drawn by `Slice` on the way to x and forgotten by `Augment`, which the
other way round must guess them; between the two, `Leapfrog` steps preserve volume (Salimans, Kingma, Welling 2015,
arXiv:1410.6460; Caterini, Doucet, Sejdinovic 2018, arXiv:1805.11328). With one step this is Langevin's algorithm,
x = z + s^2/2 grad log p(z) + s e, whose backward noise is minus the momentum that is forgotten. A coordinate with step size s_i
is one with mass 1 / s_i^2.

Points (x, v) with their momenta are one event: twice as long in the first dimension, positions first.
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
    """The log-density log p_b(x) = (1 - b) log p_0(x) + b log p(x), between a start and a target.

    Args:
        start: log p_0.
        target: log p.
        temperature: b in (0, 1], or a function that says what it is now, if it is learned.
    """

    def __init__(self, start: LogDensity, target: LogDensity, temperature: float | Temperature) -> None:
        super().__init__()
        self.start, self.target, self.temperature = start, target, temperature

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """(B, *event) -> (B,)."""
        b = self.temperature if isinstance(self.temperature, float) else self.temperature()
        return torch.lerp(self.start(x, context), self.target(x, context), b)


class Schedule(nn.Module):
    """Inverse temperatures 0 < b_1 < ... < b_K = 1, with learned gaps; b_i = (i / K)^power at first.

    Args:
        length: K.
        power: 1 for even gaps; more for small ones at the beginning, where a wide start is far from the target.
    """

    def __init__(self, length: int, power: float = 1.0) -> None:
        super().__init__()
        edges = torch.linspace(0, 1, length + 1, dtype=torch.float64).pow(power)
        self.free = nn.Parameter((length * edges.diff()).log().to(torch.get_default_dtype()))

    def forward(self) -> Tensor:
        """(K,)."""
        return self.free.softmax(0).cumsum(0)


class Temperature(nn.Module):
    """One of a schedule's.

    Args:
        schedule: shared with the others.
        index: which, from 0.
    """

    def __init__(self, schedule: Schedule, index: int) -> None:
        super().__init__()
        self.schedule, self.index = schedule, index

    def forward(self) -> Tensor:
        """A number."""
        return self.schedule()[self.index]


def with_momenta(space: Real) -> Real:
    """The space of points with their momenta."""
    return Real((2 * space.shape[0], *space.shape[1:]))


class Leapfrog(Transform):
    """Hamiltonian dynamics of the energy |v|^2 / 2 - log p(x), by steps that are undone exactly and preserve volume.

    v <- v + s/2 grad log p(x),   x <- x + s v,   v <- v + s/2 grad log p(x)

    from the latent to the data side, on points with momenta.

    Args:
        target: log p, a function or a module of points and a context.
        space: Space of the points alone, of shape (D, ...).
        steps: Number of steps.
        step: s to start with, for every coordinate.
        learned: whether the step sizes are.
        context: length of a context that the target takes, 0 for none, or its space.
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
        v = v + s / 2 * value_and_score(self.target, x, context)[1]
        for i in range(self.steps):
            x = x + s * v
            v = v + (s if i + 1 < self.steps else s / 2) * value_and_score(self.target, x, context)[1]
        return x, v

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Back in time: the same steps with momenta reversed; 0."""
        at, v = x.chunk(2, 1)
        at, v = self._run(at, -v, context)
        return torch.cat([at, -v], 1), self._nothing(x)

    def inverse(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Forward in time; 0."""
        at, v = z.chunk(2, 1)
        return torch.cat(self._run(at, v, context), 1), self._nothing(z)


class Tempering(Transform):
    """Momenta scaled by a learned factor, from the latent to the data side v <- f v: cooling when f < 1.

    Args:
        space: Space of the points alone.
        factor: f to start with.
    """

    def __init__(self, space: Real, factor: float = 1.0) -> None:
        super().__init__()
        self.x_space = self.z_space = with_momenta(space)
        self.size = space.size
        self.log_factor = nn.Parameter(torch.full((1,), math.log(factor)))

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """V / f, -D log f."""
        at, v = x.chunk(2, 1)
        return torch.cat([at, v * (-self.log_factor).exp()], 1), (-self.size * self.log_factor).expand(x.shape[0])

    def inverse(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """F v, D log f."""
        at, v = z.chunk(2, 1)
        return torch.cat([at, v * self.log_factor.exp()], 1), (self.size * self.log_factor).expand(z.shape[0])


class Refresh(Transform):
    """Momenta renewed in part: v <- a v + sqrt(1 - a^2) e, both ways, with a learned in (0, 1).

    The kernel leaves the standard normal as it is, and so dlogp = log N(v_x) - log N(v_z). Between leapfrog steps it makes
    underdamped Langevin dynamics (Horowitz 1991); a = 0, all new, is what `Augment` and `Slice` do without it.

    Args:
        space: Space of the points alone.
        keep: a to start with.
    """

    own = Exactness.NOISY | Exactness.LOWER

    def __init__(self, space: Real, keep: float = 0.5) -> None:
        super().__init__()
        self.x_space = self.z_space = with_momenta(space)
        self.free = nn.Parameter(torch.full((1,), math.log(keep / (1 - keep))))

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The same points with other momenta, and the log-ratio of the normal densities."""
        at, v = x.chunk(2, 1)
        keep = self.free.sigmoid()
        new = keep * v + (1 - keep.square()).sqrt() * torch.randn_like(v)
        return torch.cat([at, new], 1), sum_events(new.square() - v.square()) / 2

    def inverse(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """As forward."""
        return self.forward(z)


class Metropolis(Transform):
    """A step that leaves p as it is: a leapfrog trajectory with new momenta, taken or refused (Duane et al. 1987).

    With one leapfrog step it is the Metropolis-adjusted Langevin algorithm. By detailed balance dlogp = log p(x) - log p(z)
    for the move from x to z, exactly, and 0 when it is refused. Gradients pass through the moves that are taken, and not
    through the decision.

    Args:
        target: log p, a function or a module of points and a context.
        space: Space of x and z, of shape (D, ...).
        steps: Number of steps of the trajectory.
        step: size of each.
        learned: whether the sizes are.
        context: length of a context that the target takes, 0 for none, or its space.
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
        """One move.

        Returns:
            where the chain is next (B, *shape), the change of log p (B,), whether it moved (B,) bool.
        """
        v = torch.randn_like(x)
        new, w = self.trajectory.inverse(torch.cat([x, v], 1), context)[0].chunk(2, 1)
        gain = self.trajectory.target(new, context) - self.trajectory.target(x, context)
        with torch.no_grad():
            energy = gain + sum_events(v.square() - w.square()) / 2
            taken = torch.rand_like(energy).log() < energy
        rows = taken.reshape(-1, *[1] * (x.dim() - 1))
        return torch.where(rows, new, x), torch.where(taken, gain, 0.0), taken

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """A move from x; log p(x) - log p(z)."""
        z, gain, _ = self.propose(x, context)
        return z, -gain

    def inverse(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """A move from z; log p(z) - log p(x)."""
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
    """A stochastic layer on points alone: new momenta, leapfrog steps, momenta forgotten; with one step, Langevin's.

    Where the momenta that led to a point are guessed by a standard normal, every step pays for not being in equilibrium; a
    guess that is learned pays less, down to nothing (Salimans et al. 2015, section 3; Doucet et al. 2022, arXiv:2208.07698).

    Args:
        target: log p, a function or a module of points and a context.
        space: Space of the points, of shape (D, ...).
        steps: Number of steps of the trajectory.
        step: size of each.
        learned: whether the sizes are.
        context: length of a context that the target takes, 0 for none, or its space.
        reverse: r(v|x), the guess of the momenta from where they have led, on the same space; its context is the point,
            flattened, or none. A standard normal by default.
    """
    moves = Leapfrog(target, space, steps=steps, step=step, learned=learned, context=context)
    return Chain(
        Augment(space, Normal(space) if reverse is None else reverse),
        moves,
        Slice(moves.z_space, space.shape[0], Normal(space)),
    )
