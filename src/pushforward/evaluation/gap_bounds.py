"""Lower bounds on the error of a flow with given bi-Lipschitz constants and a standard normal base.

The target has two modes of mass 1/2, whose supports M_1 and M_2 have the distance D. If the inverse of the flow F has the
constant L_2, F(M_1) and F(M_2) are at least d = D / L_2 apart, and by Gaussian isoperimetry their masses a and b under the base
satisfy

    Phi^-1(a) + Phi^-1(b) <= -d.

Two different statements follow. (i) For any such flow the total variation is at least Phi(d) - 1/2: the flow that keeps one
mode and starves the other attains it in one dimension. (ii) A flow that gives both modes the same mass leaks at least
2 Phi(d / 2) - 1 between them. (Verine et al. 2021, arXiv:2107.07232, for such bounds.)
"""

from __future__ import annotations

import torch

from ..errors import SpecError


def gap_total_variation(gap: float, inverse_constant: float) -> float:
    """Return the bound (i) on the total variation between data and any flow, Phi(gap / L_2) - 1/2.

    Args:
        gap: Distance of the supports of two modes of mass 1/2.
        inverse_constant: Lipschitz constant L_2 of the map from latent to data.

    Raises:
        SpecError: The gap is negative, or the constant is not positive.
    """
    return _phi(_apart(gap, inverse_constant)) - 0.5


def leaked_mass(gap: float, inverse_constant: float, first: float | None = None) -> float:
    """Return the bound (ii) on the mass that a flow has between the two modes.

    Args:
        gap: Distance of the supports of two modes.
        inverse_constant: Lipschitz constant L_2 of the map from latent to data.
        first: Mass a that the flow gives to one mode, in (0, 1); None for a flow that gives both the same mass. The bound is
            1 - a - Phi(-d - Phi^-1(a)), and for equal masses 2 Phi(d / 2) - 1.

    Raises:
        SpecError: The gap is negative, the constant is not positive, or the mass is not in (0, 1).
    """
    apart = _apart(gap, inverse_constant)
    if first is None:
        return 2 * _phi(apart / 2) - 1
    if not 0 < first < 1:
        raise SpecError(f"expected a mass in (0, 1), got {first}")
    quantile = float(torch.special.ndtri(torch.tensor(first, dtype=torch.float64)))
    return 1 - first - _phi(-apart - quantile)


def concentration_total_variation(mass: float, radius: float, forward_constant: float, dim: int) -> float:
    """Return the bound on the total variation from a ball with much of the data, mass - P(chi^2_dim <= (L_1 radius)^2).

    A flow with the constant L_1 maps the ball into one of the radius L_1 R, which has at most the base's mass in such a ball at
    the origin.

    Args:
        mass: Mass of the data in a ball.
        radius: Radius R of the ball.
        forward_constant: Lipschitz constant L_1 of the map from data to latent.
        dim: Number of entries of an event.

    Raises:
        SpecError: An argument is out of range.
    """
    if not 0 <= mass <= 1 or radius < 0 or forward_constant <= 0 or dim < 1:
        raise SpecError(
            f"expected a mass in [0, 1], a radius >= 0, a constant > 0 and a dimension >= 1, "
            f"got {mass}, {radius}, {forward_constant} and {dim}"
        )
    half = torch.tensor([dim / 2, (forward_constant * radius) ** 2 / 2], dtype=torch.float64)
    return max(0.0, mass - float(torch.special.gammainc(half[0], half[1])))


def _apart(gap: float, inverse_constant: float) -> float:
    if gap < 0 or inverse_constant <= 0:
        raise SpecError(f"expected a gap >= 0 and a constant > 0, got {gap} and {inverse_constant}")
    return gap / inverse_constant


def _phi(x: float) -> float:
    return float(torch.special.ndtr(torch.tensor(x, dtype=torch.float64)))
