"""Search for modes that a model misses, by short Markov chains from its own draws and from far away.

A chain moves by Metropolis-adjusted Hamiltonian steps on the target. At its end, log p - log q - log Z is the log-ratio of the
target's density to the model's: about 0 if the model is right, and large where the target has mass that the model lacks.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..core import Distribution, Real
from ..evaluation.scores import log_likelihoods
from ..functional.score import LogDensity
from ..transforms import Metropolis

LOST = 20.0
"""Ratio of densities above which the model is considered to miss a point."""
STUCK = 0.3
"""Acceptance rate of moves below which a chain is ignored."""


@dataclass(frozen=True)
class Coverage:
    """Report of short chains.

    Args:
        missed: Share of the chains that end where the target is at least 20 times as dense as the proposal.
        found: Number of these chains.
        worst: Largest log-ratio of densities at the end of a chain.
        point: Unconstrained point (D,) with this ratio.
        accepted: Share of accepted moves.
    """

    missed: float
    found: int
    worst: float
    point: Tensor
    accepted: float


@dataclass(frozen=True)
class Chains:
    """Ends of short chains.

    Args:
        x: Unconstrained points (N, D).
        log_p: Values of log p at these points (N,), in nats.
        arrived: Whether each chain counts (N,): it moved, and it has left the tails.
        accepted: Share of accepted moves.
    """

    x: Tensor
    log_p: Tensor
    arrived: Tensor
    accepted: float


@torch.no_grad()
def walk(
    model: Distribution,
    target: LogDensity,
    *,
    starts: Tensor | None = None,
    chains: int = 128,
    moves: int = 100,
    wide: float = 100.0,
) -> Chains:
    """Run the chains: a quarter from draws of the model, a quarter from given points, the others from far away.

    Args:
        model: Model q, on vectors.
        target: Log-density log p, up to a constant; moves to points where it is not finite are rejected.
        starts: Points (N, D) from which some chains start, for example draws of another approximation.
        chains: Number of chains.
        moves: Number of moves of each chain, after the same number of moves that adapt its step size.
        wide: Width of the widest normal from which a chain starts, in deviations of the model's draws; the narrowest is 2.
    """
    pool = model._sample(1000, None)[0]
    own = pool[: max(1, chains // 4)]
    given = pool[:0] if starts is None else starts[torch.randperm(len(starts))[: chains // 4]].to(pool)
    middle, deviation = pool.mean(0), pool.std(0).clamp_min(1e-30)
    far = torch.randn(chains - len(own) - len(given), pool.shape[1], dtype=pool.dtype, device=pool.device)
    widths = torch.logspace(math.log10(2.0), math.log10(wide), len(far), dtype=pool.dtype, device=pool.device)
    # In units of the draws' deviations, one step size suits all coordinates.
    at = torch.cat([(own - middle) / deviation, (given - middle) / deviation, widths[:, None] * far])

    def scaled(u: Tensor, context: Tensor | None = None) -> Tensor:
        return target(middle + deviation * u, None)

    # A chain that starts where the density is zero cannot move.
    at = at[scaled(at).isfinite()]
    chain = Metropolis(scaled, Real(at.shape[1:]), steps=5, learned=False)
    steps = torch.full((len(at), 1), math.log(0.3), dtype=at.dtype, device=at.device)
    rates = torch.zeros(len(at), dtype=at.dtype, device=at.device)
    for i in range(2 * moves):
        chain.trajectory.log_step = steps
        at, _, taken = chain.propose(at)
        if i < moves:
            # Adapt each chain's step size towards an acceptance rate of 0.8.
            steps = steps + 0.1 * (taken.to(at) - 0.8).unsqueeze(1)
        else:
            rates += taken.to(at) / moves
    x = middle + deviation * at
    log_p, usual = target(x, None), target(pool, None)
    arrived = (rates > STUCK) & (log_p >= usual[usual.isfinite()].amin()) & log_p.isfinite()
    return Chains(x, log_p, arrived, float(rates.mean()))


@torch.no_grad()
def judge(chains: Chains, log_q: Tensor, log_z: float) -> Coverage:
    """Compare log p with log q + log Z at the ends of the chains.

    Args:
        chains: Ends of the chains.
        log_q: Log-density (N,) of the proposal there, in nats.
        log_z: Estimate of log Z, in nats.
    """
    gap = chains.log_p.double() - log_q.double() - log_z
    gap = torch.where(chains.arrived & ~gap.isnan(), gap, -math.inf)
    worst = int(gap.argmax())
    lacking = gap > math.log(LOST)
    return Coverage(
        missed=float(lacking.double().mean()),
        found=int(lacking.sum()),
        worst=float(gap[worst]),
        point=chains.x[worst].cpu(),
        accepted=chains.accepted,
    )


def coverage(model: Distribution, target: LogDensity, log_z: float, **options: Any) -> Coverage:
    """Run chains and compare the target with the model at their ends.

    Args:
        model: Model q, on vectors.
        target: Log-density log p, up to a constant.
        log_z: Estimate of log Z by the model, in nats.
        **options: Options of `walk`.
    """
    chains = walk(model, target, **options)
    # log q is averaged over samples where the density of the model is a random bound.
    return judge(chains, log_likelihoods(model, chains.x, samples=64).to(chains.x.device), log_z)
