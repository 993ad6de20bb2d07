"""Is it the same work? Parameters, matrix products, finite log-probabilities, and draws that agree with them.

Who does not pass is left out, with the reason.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.utils.flop_counter import FlopCounterMode

from ..peers.library import Absent, Model, trainable
from .floor import Floor
from .work import Work

ROWS = 4
PARAMETERS_WITHIN = 0.02
PASSES_WITHIN = 0.2
"""Generous, because a map may have small products of its own (sums of bins)."""
AGREEMENT = 1e-3
"""Of a draw's log-probability with the density at the draw, relative to the larger of it and the number of features."""


@dataclass(frozen=True)
class Checked:
    """What was found of one model.

    Args:
        parameters: trainable numbers.
        density: matrix products of a density, in passes of the floor's networks.
        sampling: the same of a draw.
    """

    parameters: int
    density: float
    sampling: float


AGREEMENT_UP_TO = 64
"""Features; drawing takes a peer as many passes as there are of them."""


def check(model: Model, floor: Floor, work: Work) -> Checked:
    """Compare a model with the floor.

    Raises:
        Absent: it is not the same work.
    """
    parameters = sum(p.numel() for p in trainable(model))
    expected = expected_parameters(floor, work)
    if abs(parameters / expected - 1) > PARAMETERS_WITHIN:
        raise Absent(f"{parameters} parameters where {expected} are expected")
    device = next(model.parameters()).device
    x = torch.randn(ROWS, *work.size.shape, device=device)
    with torch.no_grad():
        one = _products(lambda: floor([i.detach() for i in floor.inputs(ROWS, device)]))
        density = _products(lambda: model.log_prob(x)) / one
        sampling = _products(lambda: model.sample(ROWS)) / one
        log_prob = model.log_prob(x)
        if log_prob.shape != (ROWS,) or not log_prob.isfinite().all():
            raise Absent(f"its log_prob is not {ROWS} finite numbers")
        if work.size.features <= AGREEMENT_UP_TO:
            _agree(model, work)
    for passes, fast in ((density, not work.system.inverted), (sampling, work.system.one_pass_draws)):
        if fast and passes > 1 + PASSES_WITHIN:
            raise Absent(f"{passes:.2f} passes of the networks where one is expected")
    return Checked(parameters, density, sampling)


def expected_parameters(floor: Floor, work: Work) -> int:
    """Those of the networks, and what a Glow step has beside them: scale and shift of each channel, and a matrix."""
    networks = sum(p.numel() for p in trainable(floor))
    if work.system.structure != "image":
        return networks
    channels = work.size.shape[0]
    return networks + work.system.layers * (2 * channels + channels * channels)


def _agree(model: Model, work: Work) -> None:
    x, said = model.sample_and_log_prob(ROWS)
    found = model.log_prob(x)
    scale = max(work.size.features, found.abs().max().item())
    error = (said - found).abs().max().item() / scale
    if not error <= AGREEMENT:
        model.notes = (*model.notes, "the log-probability that comes with its draws is not the density there")


def _products(call: object) -> float:
    with FlopCounterMode(display=False) as counter:
        result = call()  # type: ignore[operator]
    del result
    counts = counter.get_flop_counts().get("Global", {})
    # Batches of small matrices are sums in disguise (the running sums over a spline's bins), not the networks' products.
    return float(sum(count for op, count in counts.items() if op is not torch.ops.aten.bmm))
