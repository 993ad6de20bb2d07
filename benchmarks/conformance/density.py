"""Checks of numbers: log-determinants, inverses, total mass, samples."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from pushforward.laws import Adapter
from pushforward.laws.violations import NotApplicable

from ..peers.case import HIGH, LOW, Case
from .quadrature import SETTLED, integrate
from .result import Result, check, within

REACHES = (200.0, 1e5)
"""The quadrature covers [-reach, reach] in every coordinate on the line."""
SCALES = [10.0**k for k in range(-3, 5)]


@check("log-det")
def log_det(case: Case) -> Result:
    """The log-determinant of `forward` equals that of its Jacobian by autograd (D = 3; 1e-6)."""
    flow = case.build(3)
    x = case.draw(16, 3, dtype=flow.dtype)
    _, claimed = flow.to_latent(x, None)
    jacobians = torch.stack([_jacobian(lambda v: flow.to_latent(v, None)[0], row) for row in x])
    truth = torch.linalg.slogdet(jacobians).logabsdet
    return within(worst(claimed.detach() - truth), 1e-6 if flow.dtype == torch.float64 else 1e-3)


@check("inverse det")
def inverse_log_det(case: Case) -> Result:
    """The two directions report opposite log-determinants on the same pair (D = 3; 1e-5)."""
    flow = case.build(3)
    x = case.draw(64, 3, dtype=flow.dtype)
    with torch.no_grad():
        z, there = flow.to_latent(x, None)
        _, back = flow.to_data(z.clone(), None)
    if back is None:
        raise NotApplicable("the library's inverse gives no log-determinant")
    return within(worst(there + back), 1e-5 if flow.dtype == torch.float64 else 1e-3)


@check("round trip 64")
def round_trip_double(case: Case) -> Result:
    """In float64 the inverse of forward returns x within 1e-5 of max(1, |x|), the largest over a row (D = 5, deviation 3)."""
    flow = case.build(5, dtype=torch.float64)
    x = case.draw(256, 5, scale=3.0)
    return within(_round_trip(flow, x), 1e-5)


@check("round trip 32")
def round_trip_single(case: Case) -> Result:
    """The same in float32 within 1e-4, without a NaN, for normal data of standard deviation 1e-3, 1e-2, 0.1 and 1."""
    return _single(case, 3, SCALES[:4])


@check("layer 32")
def layer_single(case: Case) -> Result:
    """The same for a flow of one layer, and for standard deviations up to 1e4."""
    return _single(case, 1, SCALES)


@check("onto, start")
def onto_at_start(case: Case) -> Result:
    """At initialisation latent points up to 4 standard deviations have a preimage that maps back to them (1e-4)."""
    return _onto(case, 0.0)


@check("onto")
def onto(case: Case) -> Result:
    """The same with perturbed parameters."""
    return _onto(case, 0.5)


@check("mass, start", slow=True)
def mass_at_start(case: Case) -> Result:
    """At initialisation the density has total mass one in two dimensions, by quadrature (0.01)."""
    return _mass(case, 0.0, 2)


@check("mass", slow=True)
def mass(case: Case) -> Result:
    """The same with perturbed parameters."""
    return _mass(case, 0.5, 2)


@check("samples", slow=True)
def samples_follow_density(case: Case) -> Result:
    """Averages over 4096 draws of seven statistics, log_prob among them, agree with integrals: within 5 standard errors."""
    flow = case.build(2, draws=True)
    points, weights, logp = _integrated(case, flow)
    mass = weights * logp.exp()
    quartiles = _quartiles(points, mass)
    expected, spread = _moments(_statistics(points, logp, quartiles), mass)
    with torch.no_grad():
        x = flow.sample(4096, None)
        seen = _statistics(x, flow.log_prob(x, None), quartiles).mean(0)
    # The error of the quadrature counts too.
    error = (spread.square() / 4096 + SETTLED**2).sqrt()
    return within(worst((seen - expected) / error), 5.0)


@check("1-D")
def one_dimension(case: Case) -> Result:
    """A flow of one feature can be built, has total mass one (0.01) and a round trip (1e-4)."""
    flow = case.build(1)
    error = _round_trip(flow, case.draw(64, 1, dtype=flow.dtype))
    if not error <= 1e-4:
        return within(error, 1e-4, "round trip")
    return _mass(case, 0.5, 1)


@check("slow side")
def slow_side(case: Case) -> Result:
    """Sampling and log_prob cost alike: the dearer at most 3 times the cheaper, in operations of matrix products (D = 16)."""
    flow = case.build(16, draws=True)
    x = case.draw(64, 16, dtype=flow.dtype)
    density = _operations(lambda: flow.log_prob(x, None))
    draw = _operations(lambda: flow.sample(64, None))
    if not density or not draw:
        raise NotApplicable("no matrix products were counted")
    dearer = "sampling" if draw > density else "log_prob"
    return within(max(draw / density, density / draw), 3.0, f"{dearer} is the dearer direction")


def _jacobian(f: Callable[[Tensor], Tensor], row: Tensor) -> Tensor:
    # A batch of one, as every library takes batches.
    return torch.autograd.functional.jacobian(lambda v: f(v[None])[0], row)


def worst(error: Tensor) -> float:
    """Return the largest absolute value; NaN if there is one."""
    return float(error.detach().abs().double().max())


def _single(case: Case, layers: int, scales: list[float]) -> Result:
    flow = case.build(5, layers=layers, dtype=torch.float32)
    errors = {s: _round_trip(flow, case.draw(256, 5, scale=s, dtype=torch.float32)) for s in scales}
    worst = max(errors, key=lambda s: (math.inf if math.isnan(errors[s]) else errors[s], -s))
    first = next((s for s in scales if not errors[s] <= 1e-4), None)
    reason = f"worst at scale {worst:g}" + ("" if first is None else f", over the tolerance from scale {first:g} on")
    return within(errors[worst], 1e-4, reason)


def _round_trip(flow: Adapter, x: Tensor) -> float:
    with torch.no_grad():
        # Cloned, so that a library that remembers its last pair has to compute.
        back = flow.to_data(flow.to_latent(x, None)[0].clone(), None)[0]
    return worst((back - x).abs().amax(1) / x.abs().amax(1).clamp_min(1.0))


def _onto(case: Case, noise: float) -> Result:
    flow = case.build(2, noise=noise)
    line = torch.linspace(-4, 4, 17, dtype=torch.float64)
    # Without the seam, where both ends are the same point.
    circle = torch.linspace(LOW, HIGH, 19, dtype=torch.float64)[1:-1]
    axes = [circle if on else line for on in case.on_circle(2)]
    z = torch.cartesian_prod(*axes).to(flow.dtype)
    with torch.no_grad():
        x = flow.to_data(z, None)[0]
        back = flow.to_latent(x.clone(), None)[0]
    error = (back - z).abs().amax(1)
    lost = float((~(error <= 1e-4)).double().mean())
    return within(worst(error), 1e-4, f"{lost:.0%} of the points do not come back" if lost else "")


def _mass(case: Case, noise: float, features: int) -> Result:
    _, weights, logp = _integrated(case, case.build(features, noise=noise))
    total = float((weights * logp.exp()).sum())
    return within(abs(total - 1), 0.01, f"total mass {total:.4f}")


def _integrated(case: Case, flow: Adapter) -> tuple[Tensor, Tensor, Tensor]:
    """Return points, weights and log-densities; from the wider range only if mass is missing in the narrower one."""

    def log_prob(x: Tensor) -> Tensor:
        with torch.no_grad():
            return flow.log_prob(x.to(flow.dtype)).reshape(len(x))

    for reach in REACHES:
        points, weights, logp = integrate(log_prob, case.on_circle(flow.features), reach)
        if float((weights * logp.exp()).sum()) > 0.995:
            break
    return points, weights, logp


def _quartiles(points: Tensor, mass: Tensor) -> Tensor:
    """Return the first, second and third quartile of each coordinate: (N, D), (N,) -> (3, D)."""
    found = []
    for column in points.unbind(1):
        order = column.argsort()
        share = mass[order].cumsum(0) / mass.sum()
        at = torch.searchsorted(share, torch.tensor([0.25, 0.5, 0.75], dtype=share.dtype))
        found.append(column[order][at.clamp_max(len(column) - 1)])
    return torch.stack(found, 1)


def _statistics(x: Tensor, logp: Tensor, quartiles: Tensor) -> Tensor:
    """Return six bounded functions of x (N, 2), centred and scaled by the quartiles, and a clipped log-density: (N, 7)."""
    low, middle, high = quartiles
    a, b = ((x - middle) / (high - low).clamp_min(1e-6)).tanh().unbind(1)
    return torch.stack([a, b, a * b, a * a, b * b, a * b * b, logp.reshape(-1).clamp_min(-12)], 1).double()


def _moments(values: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    mean = (weights[:, None] * values).sum(0)
    return mean, (weights[:, None] * (values - mean).square()).sum(0).sqrt()


def _operations(call: Callable[[], object]) -> int:
    """Return the number of floating-point operations in the matrix products of a call."""
    with torch.no_grad():
        try:
            with FlopCounterMode(display=False) as counter:
                call()
        except Exception as error:
            call()  # If this fails too, the counting is not the reason.
            raise NotApplicable("its operations could not be counted") from error
    return counter.get_total_flops()
