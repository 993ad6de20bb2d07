"""Velocities along a sphere, from networks on the space around it."""

from __future__ import annotations

from torch import Tensor

from .velocity import Velocity


class TangentVelocity(Velocity):
    """Velocity along the unit sphere: the tangential part of another velocity, v(t, x) = (I - x x^T) u(t, x).

    For x of another length r it is r v(t, x / r). Paths then keep their length, and their directions do not depend on it, so
    the small changes of length that a solver makes have no effect.

    The covariant derivative along a tangent vector e is (I - x x^T) Du e - (u.x) e. Its trace is the divergence on the sphere,
    tr Du - x^T Du x - (n - 1) u.x.

    Args:
        inner: Velocity u of vectors in n dimensions.
    """

    def __init__(self, inner: Velocity) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, t: Tensor, x: Tensor, context: Tensor | None = None) -> Tensor:
        """Return v (B, n) at time t, () or (B, 1), for x (B, n) and context (B, C) or None."""
        length = x.norm(dim=-1, keepdim=True)
        unit = x / length
        return length * tangential(self.inner(t, unit, context), unit)

    def along(self, t: Tensor, x: Tensor, directions: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return the velocity, and its covariant derivatives along the tangential parts of directions (K, B, n)."""
        length = x.norm(dim=-1, keepdim=True)
        unit = x / length
        tangents = tangential(directions, unit)
        u, changes = self.inner.along(t, unit, tangents, context)
        radial = (u * unit).sum(-1, keepdim=True)
        return length * tangential(u, unit), tangential(changes, unit) - radial * tangents


def tangential(v: Tensor, unit: Tensor) -> Tensor:
    """Return v - (v.x) x, the part of vectors (..., B, n) that is orthogonal to unit vectors x (B, n)."""
    return v - (v * unit).sum(-1, keepdim=True) * unit
