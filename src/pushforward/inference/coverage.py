"""Does a model miss a mode? Short Markov chains, some from its own draws and some from far out, go and look.

A chain moves by Metropolis-adjusted Hamiltonian steps on the target. Where one ends, log p - log q - log Z is the log-ratio of
the target's density to the model's: about 0 if the model is right, large where the target has mass that the model lacks.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ..core import Distribution, Real
from ..functional.score import LogDensity
from ..transforms import Metropolis
from .scores import log_likelihoods

LOST = 20.0
"""Ratio of densities above which a point counts as missed by the model."""
STUCK = 0.3
"""Share of moves below which a chain does not count."""


@dataclass(frozen=True)
class Coverage:
    """What short chains found.

    Args:
        missed: share of the chains that end where the target is at least 20 times as dense as the model.
        worst: the largest log-ratio of densities that was met.
        point: where, unconstrained (D,).
        accepted: share of the moves that were taken.
    """

    missed: float
    worst: float
    point: Tensor
    accepted: float


@torch.no_grad()
def coverage(
    model: Distribution, target: LogDensity, log_z: float, *, chains: int = 128, moves: int = 100, wide: float = 30.0
) -> Coverage:
    """Run the chains, half from draws of the model and half from normals around them, each wider than the one before.

    Args:
        model: q, on vectors.
        target: log p, without its constant; moves to where it is not a finite number are refused.
        log_z: the constant, as the model estimates it.
        chains: their number.
        moves: of each, after as many in which it finds its step size.
        wide: deviations of the widest normal that a chain starts from, in those of the model's draws; the narrowest has 2.
    """
    own = model._sample(chains // 2, None)[0]
    pool = model._sample(1000, None)[0]
    middle, deviation = pool.mean(0), pool.std(0).clamp_min(1e-8)
    far = torch.randn(chains - len(own), pool.shape[1], dtype=pool.dtype, device=pool.device)
    widths = torch.logspace(math.log10(2.0), math.log10(wide), len(far), dtype=pool.dtype, device=pool.device)
    # In units of the deviations one step size fits all coordinates.
    at = torch.cat([(own - middle) / deviation, widths[:, None] * far])

    def scaled(u: Tensor, context: Tensor | None = None) -> Tensor:
        return target(middle + deviation * u, None)

    chain = Metropolis(scaled, Real(at.shape[1:]), steps=5, learned=False)
    steps = torch.full((len(at), 1), math.log(0.3), dtype=at.dtype, device=at.device)
    rates = torch.zeros(len(at), dtype=at.dtype, device=at.device)
    for i in range(2 * moves):
        chain.trajectory.log_step = steps
        at, _, taken = chain.propose(at)
        if i < moves:
            steps = steps + 0.1 * (taken.to(at) - 0.8).unsqueeze(1)
        else:
            rates += taken.to(at) / moves
    x = middle + deviation * at
    log_p = target(x, None)
    log_q = log_likelihoods(model, x, samples=64).to(log_p)  # averaged where one is a random bound
    gap = log_p - log_q - log_z
    # A chain that hardly moves, or is still on its way in from the tails, tells nothing of where the mass is.
    arrived = (rates > STUCK) & (log_p >= target(pool, None).min())
    gap = torch.where(arrived & gap.isfinite(), gap, -math.inf)
    worst = int(gap.argmax())
    return Coverage(
        missed=float((gap > math.log(LOST)).to(x).mean()),
        worst=float(gap[worst]),
        point=x[worst].cpu(),
        accepted=float(rates.mean()),
    )
