"""Simulators with priors for inverse problems: a mixture with labels, an arm with three joints, a ball that is thrown.

They are those of Ardizzone et al. 2019 (arXiv:1808.04730) and of Kruse et al. 2021 (arXiv:2101.10763). Each is called with
unknowns (N, D) and returns observations (N, M); `prior(n)` draws unknowns from torch's random state.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from ..errors import SpecError

GRAVITY = 9.81


class Simulator(Protocol):
    """Protocol of simulators: a forward model with its prior."""

    def prior(self, n: int) -> Tensor:
        """Return n draws of the unknowns, (n, D)."""

    def __call__(self, x: Tensor) -> Tensor:
        """Return the observations of unknowns: (N, D) -> (N, M)."""


@dataclass(frozen=True)
class EightModes:
    """Eight Gaussians on a circle in the plane, whose label is observed as a one-hot code.

    Args:
        labels: Classes of the modes: "all" (eight classes), "some" (four classes: four modes, two, one and one) or "none"
            (one class).
        deviation: Standard deviation of each mode.
    """

    labels: Literal["all", "some", "none"] = "all"
    deviation: float = 0.2

    @property
    def classes(self) -> tuple[int, ...]:
        """Class of each mode, counterclockwise."""
        return {"all": tuple(range(8)), "some": (0, 0, 0, 0, 1, 1, 2, 3), "none": (0,) * 8}[self.labels]

    @property
    def centres(self) -> Tensor:
        """Centres (8, 2) of the modes: a regular octagon of radius 2.6131 with a side of length 2."""
        radius = math.sqrt(1 + (1 + math.sqrt(2)) ** 2)
        angle = math.pi / 8 + math.pi / 4 * torch.arange(8)
        return radius * torch.stack([angle.cos(), angle.sin()], 1)

    def prior(self, n: int) -> Tensor:
        """Return n draws of the mixture, (n, 2)."""
        return self.centres[torch.randint(8, (n,))] + self.deviation * torch.randn(n, 2)

    def mode(self, x: Tensor) -> Tensor:
        """Return the number of the nearest mode: (N, 2) -> (N,)."""
        return torch.cdist(x, self.centres.to(x)).argmin(1)

    def __call__(self, x: Tensor) -> Tensor:
        """Return the class of the nearest mode as a one-hot code: (N, 2) -> (N, classes)."""
        classes = torch.tensor(self.classes, device=x.device)
        return F.one_hot(classes[self.mode(x)], int(classes.max()) + 1).to(x.dtype)


@dataclass(frozen=True)
class RobotArm:
    """Arm in the plane with three joints on a rail; the position of its hand is observed.

        a = cumsum(x2, x3, x4),    y = (sum_i l_i cos a_i, x1 + sum_i l_i sin a_i)

    x1 is the height of the arm on the rail, the other unknowns are the angles of the joints in radians.

    Args:
        lengths: Lengths l of the three parts.
        deviations: Standard deviations of the normal prior of the four unknowns.
    """

    lengths: tuple[float, ...] = (0.5, 0.5, 1.0)
    deviations: tuple[float, ...] = (0.25, 0.5, 0.5, 0.5)

    def prior(self, n: int) -> Tensor:
        """Return n draws, (n, 4)."""
        return torch.tensor(self.deviations) * torch.randn(n, 4)

    def joints(self, x: Tensor) -> Tensor:
        """Return the positions of the joints and of the hand: (N, 4) -> (N, 4, 2)."""
        angles = x[:, 1:].cumsum(1)
        steps = torch.stack([angles.cos(), angles.sin()], 2) * torch.tensor(self.lengths).to(x)[:, None]
        start = torch.stack([torch.zeros_like(x[:, :1]), x[:, :1]], 2)
        return torch.cat([start, steps], 1).cumsum(1)

    def __call__(self, x: Tensor) -> Tensor:
        """Return the position of the hand: (N, 4) -> (N, 2)."""
        return self.joints(x)[:, -1]


@dataclass(frozen=True)
class Ballistics:
    """Ball that is thrown with drag; the place where it hits the ground, in metres, is observed.

        T_x(t) = x0 - v cos(a) m/k (e^(-k t/m) - 1)
        T_y(t) = y0 - m/k ((g m/k + v sin a) (e^(-k t/m) - 1) + g t)

    The unknowns are x0 ~ N(0, .5^2), y0 ~ N(1.5, .5^2) above 0, the angle a ~ U(9, 81) degrees in radians, and the speed
    v ~ Poisson(15).

    Args:
        mass: Mass m in kilograms.
        drag: Drag k in kilograms per second.
    """

    mass: float = 0.2
    drag: float = 0.25

    def prior(self, n: int) -> Tensor:
        """Return n draws (x0, y0, angle, speed), (n, 4)."""
        # A normal above 0 by its quantile function.
        low = torch.special.ndtr(torch.tensor(-3.0))
        height = 1.5 + 0.5 * torch.special.ndtri(low + (1 - low) * torch.rand(n))
        angle = math.radians(9) + math.radians(72) * torch.rand(n)
        speed = torch.poisson(torch.full((n,), 15.0))
        return torch.stack([0.5 * torch.randn(n), height.clamp_min(1e-6), angle, speed], 1)

    def position(self, x: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        """Return the place and the height at times t (N,)."""
        ratio = self.mass / self.drag
        fall = torch.expm1(-t / ratio)
        place = x[:, 0] - x[:, 3] * x[:, 2].cos() * ratio * fall
        height = x[:, 1] - ratio * ((GRAVITY * ratio + x[:, 3] * x[:, 2].sin()) * fall + GRAVITY * t)
        return place, height

    def __call__(self, x: Tensor) -> Tensor:
        """Return the place where the ball hits the ground, by bisection: (N, 4) -> (N, 1)."""
        low = torch.zeros(len(x), dtype=torch.float64, device=x.device)
        # Without drag the ball flies longer in the air; drag bounds the speed of its fall by g m / k.
        high = torch.full_like(low, 1.0)
        wide = x.double()
        while bool((self.position(wide, high)[1] > 0).any()):
            high = 2 * high
        for _ in range(60):
            middle = (low + high) / 2
            above = self.position(wide, middle)[1] > 0
            low, high = torch.where(above, middle, low), torch.where(above, high, middle)
        return self.position(wide, low)[0][:, None].to(x.dtype)


SIMULATORS: dict[str, type] = {"eight-modes": EightModes, "robot-arm": RobotArm, "ballistics": Ballistics}
"""Simulators by name."""


def simulator(name: str, **arguments: object) -> Simulator:
    """Return a simulator by its name.

    Raises:
        SpecError: The name is unknown.
    """
    if name not in SIMULATORS:
        raise SpecError(f"expected one of the simulators {', '.join(SIMULATORS)}, got {name!r}")
    found: Simulator = SIMULATORS[name](**arguments)
    return found
