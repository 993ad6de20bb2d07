"""Does a model miss a mode? Short Markov chains, some from its own draws and some from far out, go and look.

A chain moves by Metropolis-adjusted Hamiltonian steps on the target. Where one ends, log p - log q - log Z is the log-ratio of
the target's density to the model's: about 0 if the model is right, large where the target has mass that the model lacks.
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
"""Ratio of densities above which a point counts as missed by the model."""
STUCK = 0.3
"""Share of moves below which a chain does not count."""


@dataclass(frozen=True)
class Coverage:
    """Report of short chains.

    Args:
        missed: Share of the chains that end where the target is at least 20 times as dense as the proposal.
        found: Number of these chains.
        worst: Largest log-ratio of densities that was met.
        point: Unconstrained point (D,) where it was met.
        accepted: Share of the moves that were taken.
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
        log_p: log p there (N,), in nats.
        arrived: Whether a chain counts (N,): it moved, and is no longer on its way in from the tails.
        accepted: Share of the moves that were taken.
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
    """Run the chains: a quarter from draws of the model, a quarter from given points, the rest from far out.

    Args:
        model: The model q, on vectors.
        target: log p, without its constant; moves to where it is not a finite number are refused.
        starts: Points (N, D) where some chains start, for example draws of another approximation.
        chains: Number of chains.
        moves: Number of moves of each, after as many in which it finds its step size.
        wide: Deviations of the widest normal that a chain starts from, in those of the model's draws; the narrowest has 2.
    """
    pool = model._sample(1000, None)[0]
    own = pool[: max(1, chains // 4)]
    given = pool[:0] if starts is None else starts[torch.randperm(len(starts))[: chains // 4]].to(pool)
    middle, deviation = pool.mean(0), pool.std(0).clamp_min(1e-30)
    far = torch.randn(chains - len(own) - len(given), pool.shape[1], dtype=pool.dtype, device=pool.device)
    widths = torch.logspace(math.log10(2.0), math.log10(wide), len(far), dtype=pool.dtype, device=pool.device)
    # In units of the deviations one step size fits all coordinates.
    at = torch.cat([(own - middle) / deviation, (given - middle) / deviation, widths[:, None] * far])

    def scaled(u: Tensor, context: Tensor | None = None) -> Tensor:
        return target(middle + deviation * u, None)

    # A chain that starts where there is no density cannot move.
    at = at[scaled(at).isfinite()]
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
    log_p, usual = target(x, None), target(pool, None)
    arrived = (rates > STUCK) & (log_p >= usual[usual.isfinite()].amin()) & log_p.isfinite()
    return Chains(x, log_p, arrived, float(rates.mean()))


@torch.no_grad()
def judge(chains: Chains, log_q: Tensor, log_z: float) -> Coverage:
    """Compare log p with log q + log Z where the chains have ended.

    Args:
        chains: Their ends.
        log_q: Log-density (N,) of the proposal there, in nats.
        log_z: The constant.
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
    """Run chains and compare the target with the model where they end.

    Args:
        model: The model q, on vectors.
        target: log p, without its constant.
        log_z: The constant, as the model estimates it.
        **options: Options of `walk`.
    """
    chains = walk(model, target, **options)
    # Averaged where the density of the model is a random bound.
    return judge(chains, log_likelihoods(model, chains.x, samples=64).to(chains.x.device), log_z)
