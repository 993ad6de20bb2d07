"""Curved spaces: angles on a circle or torus, and unit vectors on spheres."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..errors import SpecError
from ..functional.turning import TURN, wrapped
from .space import Space, product_rule, rows

LATTICES = {3: (100_003, 7275), 4: (200_003, 93_130)}
"""Number of points and base of the lattice rules, by dimension; the bases have the smallest error of a random search."""


@dataclass(frozen=True, eq=False)
class Torus(Space):
    """Arrays of angles in [0, 2 pi), where 2 pi is the same point as 0; densities with respect to Lebesgue measure.

    Args:
        shape: Shape of one event; (D,) for the D-torus.
    """

    def __eq__(self, other: object) -> bool:
        """Return whether the other space is a torus of the same shape; a circle equals the torus of one angle."""
        return isinstance(other, Torus) and self.shape == other.shape

    def __hash__(self) -> int:
        """Return the hash of the shape."""
        return hash((Torus, self.shape))

    @property
    def bounded(self) -> bool:
        """Whether some numbers lie outside: True, since each angle has one representative in [0, 2 pi)."""
        return True

    def contains(self, x: Tensor) -> Tensor:
        """Return which rows have all angles in [0, 2 pi)."""
        return rows((x >= 0) & (x < TURN))

    def nearest(self, x: Tensor) -> Tensor:
        """Return the same angles in [0, 2 pi)."""
        return wrapped(x)

    @property
    def axes(self) -> tuple[Space, ...]:
        """The circle for each angle."""
        return (Circle(),) * self.size if len(self.shape) == 1 else super().axes

    @property
    def angles(self) -> tuple[bool, ...]:
        """Whether each entry is an angle: True."""
        return (True,) * self.size

    def joined(self, other: Space) -> Space | None:
        """Return the torus of both numbers of angles together, if the other space is a torus, too."""
        return Torus((self.size + other.size,)) if isinstance(other, Torus) else None

    def difference(self, x: Tensor, y: Tensor) -> Tensor:
        """Return the angles from y to x, in [-pi, pi)."""
        return torch.remainder(x - y + math.pi, TURN) - math.pi

    def extreme(self, x: Tensor) -> Tensor:
        """Return angles on both sides of the cut at 0, at most 0.003 away."""
        return self.nearest(1e-3 * (x - math.pi))

    def edges(self) -> list[float]:
        """Return both ends of [0, 2 pi) and the opposite angle."""
        return [0.0, math.nextafter(TURN, 0) - 1e-6, math.pi]

    def near(self, x: Tensor) -> Tensor:
        """Return which rows are finite; every finite number stands for some angle."""
        return rows(x.isfinite())

    def random(self, n: int, dtype: torch.dtype = torch.float32) -> Tensor:
        """Return n rows of uniform angles."""
        return self.nearest(TURN * torch.rand(n, *self.shape, dtype=dtype))

    def another(self, x: Tensor) -> Tensor:
        """Return the opposite angles, x + pi."""
        return self.nearest(x + math.pi)

    def quadrature(self, points: int = 400) -> tuple[Tensor, Tensor]:
        """Return equally spaced angles in one or two dimensions, and a lattice in three or four; with equal weights.

        Both are exact for trigonometric polynomials of low degree. The lattice is x_k = 2 pi (k (1, a, a^2, ...) / N mod 1)
        (Korobov 1959).

        Raises:
            SpecError: There are more than four angles.
        """
        if 2 < self.size <= 4:
            count, base = LATTICES[self.size]
            k = torch.arange(count, dtype=torch.float64) + 0.5
            steps = [base**power % count for power in range(self.size)]
            x = torch.stack([torch.remainder(k * step / count, 1.0) for step in steps], 1)
            return (TURN * x).reshape(-1, *self.shape), torch.full_like(k, TURN**self.size / count)
        count = min(points, 300)
        axis = TURN * (torch.arange(count, dtype=torch.float64) + 0.5) / count
        return product_rule(self, axis, torch.full_like(axis, TURN / count))


@dataclass(frozen=True, eq=False)
class Circle(Torus):
    """One angle in [0, 2 pi): the torus with one dimension."""

    shape: tuple[int, ...] = (1,)


@dataclass(frozen=True)
class Sphere(Space):
    """Unit vectors in n dimensions, the sphere S^(n-1); densities with respect to the surface area.

    Args:
        shape: Shape of one event, (n,) with n at least 2.

    Raises:
        SpecError: The shape is not of this form.
    """

    shape: tuple[int, ...] = (3,)

    def __post_init__(self) -> None:
        """Check that events are vectors of length 2 or more."""
        super().__post_init__()
        if len(self.shape) != 1 or self.shape[0] < 2:
            raise SpecError(f"expected a sphere of vectors of length 2 or more, got shape {self.shape}")

    @property
    def dim(self) -> int:
        """Dimension of the sphere, n - 1."""
        return self.size - 1

    @property
    def area(self) -> float:
        """Surface area of the sphere, 2 pi^(n/2) / Gamma(n/2)."""
        return 2 * math.pi ** (self.size / 2) / math.gamma(self.size / 2)

    @property
    def bounded(self) -> bool:
        """Whether some vectors lie outside: True, all that do not have length one."""
        return True

    def contains(self, x: Tensor) -> Tensor:
        """Return which rows have length one, up to rounding."""
        return (x.norm(dim=1) - 1).abs() < 32 * self.size * torch.finfo(x.dtype).eps

    def nearest(self, x: Tensor) -> Tensor:
        """Return the vectors divided by their lengths; a zero vector becomes the first unit vector."""
        length = x.norm(dim=1, keepdim=True)
        first = torch.eye(self.size, dtype=x.dtype, device=x.device)[0]
        return torch.where(length == 0, first, x / torch.where(length == 0, 1.0, length))

    def random(self, n: int, dtype: torch.dtype = torch.float32) -> Tensor:
        """Return n uniformly distributed points."""
        return self.nearest(torch.randn(n, self.size, dtype=torch.float64)).to(dtype)

    def another(self, x: Tensor) -> Tensor:
        """Return the opposite points."""
        return -x

    def extreme(self, x: Tensor) -> Tensor:
        """Return points near the poles of the last axis, on the same side as x."""
        side = torch.where(x[:, -1:] < 0, -1.0, 1.0).to(x)
        return self.nearest(torch.cat([1e-2 * x[:, :-1], side], 1))

    def tangent(self, x: Tensor) -> Tensor:
        """Return an orthonormal basis of the tangent space at each x, shape (B, n, n - 1).

        The Householder reflection H = 1 - 2 v v^T / v^T v with v = x + sign(x_1) e_1 maps e_1 to -sign(x_1) x. H is orthogonal,
        so its other n - 1 columns are orthonormal and orthogonal to x: they are the basis. The sign keeps v away from zero.
        """
        sign = torch.where(x[:, :1] < 0, -1.0, 1.0)
        v = torch.cat([x[:, :1] + sign, x[:, 1:]], 1)
        eye = torch.eye(self.size, dtype=x.dtype, device=x.device)
        reflection = eye - 2 * v[:, :, None] * v[:, None] / v.square().sum(1)[:, None, None]
        return reflection[:, :, 1:]

    def quadrature(self, points: int = 400) -> tuple[Tensor, Tensor]:
        """Return points and weights of a rule for n = 2, 3 and 4: equal angles, and Gauss-Legendre nodes in the rest.

        On S^2 the area is uniform in the height and the angle (Archimedes). A point of S^3 is a pair of plane vectors with
        squared lengths u and 1 - u; the area is uniform in u and in the two angles, with density 1/2.

        Raises:
            SpecError: The dimension n is larger than 4.
        """
        if self.size > 4:
            return super().quadrature(points)
        # A circle is cheap. It gets many points, because tests count the points that fall into cells of the two coordinates.
        count = 20_000 if self.size == 2 else min(points, 120 if self.size == 3 else 40)
        angle = TURN * (torch.arange(count, dtype=torch.float64) + 0.5) / count
        circle = torch.stack([angle.cos(), angle.sin()], 1)
        if self.size == 2:
            return circle, torch.full_like(angle, TURN / count)
        nodes, weights = (torch.from_numpy(a) for a in np.polynomial.legendre.leggauss(count // 2))
        if self.size == 3:
            height = nodes.repeat_interleave(count)[:, None]
            x = torch.cat([(1 - height.square()).sqrt() * circle.repeat(len(nodes), 1), height], 1)
            return x, weights.repeat_interleave(count) * TURN / count
        u = ((nodes + 1) / 2).repeat_interleave(count**2)[:, None]
        first = circle.repeat_interleave(count, 0).repeat(len(nodes), 1)
        second = circle.repeat(count * len(nodes), 1)
        x = torch.cat([u.sqrt() * first, (1 - u).sqrt() * second], 1)
        # Tests count the points in cells of the coordinates. A reflection spreads the values of each coordinate, so that cells
        # hold their share of the points.
        across = torch.tensor([1.0, 2.0, -3.0, 5.0], dtype=torch.float64) / math.sqrt(39)
        x = x - 2 * (x @ across)[:, None] * across
        return x, (weights / 2).repeat_interleave(count**2) * (TURN / count) ** 2 / 2
