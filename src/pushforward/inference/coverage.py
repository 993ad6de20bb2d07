"""Does a model miss a mode? Short Markov chains, some from its own draws and some from far out, go and look.

A chain moves by Metropolis-adjusted Hamiltonian steps on the target. Where one ends, log p - log q - log Z is the log-ratio of
the target's density to the model's: about 0 if the model is right, large where the target has mass that the model lacks.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ..core import Distribution, Exactness, Real
from ..functional.score import LogDensity
from ..transforms import Metropolis

LOST = math.log(20.0)
"""Log-ratio of densities above which a point counts as missed by the model."""


@dataclass(frozen=True)
class Coverage:
    """What short chains found.

    Args:
        missed: share of the chains that end where the target is at least 20 times as dense as the model.
        worst: the largest log-ratio of densities that was met.
        point: where, unconstrained (D,).
        accepted: share of the moves that were taken.
        spread: largest ratio, over the coordinates, of the deviation of the ends of the chains from the model's own draws to
            the deviation of those draws.
    """

    missed: float
    worst: float
    point: Tensor
    accepted: float
    spread: float


@torch.no_grad()
def coverage(
    model: Distribution, target: LogDensity, log_z: float, *, chains: int = 128, moves: int = 100, wide: float = 3.0
) -> Coverage:
    """Run the chains, half from draws of the model and half from a normal around them.

    Args:
        model: q, on vectors.
        target: log p, without its constant.
        log_z: the constant, as the model estimates it.
        chains: their number.
        moves: of each, after as many to find the step size by.
        wide: deviations of the normal that the second half starts from, in those of the model's draws.
    """
    own = model._sample(chains // 2, None)[0]
    pool = model._sample(1000, None)[0]
    middle, deviation = pool.mean(0), pool.std(0).clamp_min(1e-8)
    far = middle + wide * deviation * torch.randn(
        chains - len(own), pool.shape[1], dtype=pool.dtype, device=pool.device
    )
    # In units of the deviations one step size fits all coordinates.
    at = (torch.cat([own, far]) - middle) / deviation

    def scaled(u: Tensor, context: Tensor | None = None) -> Tensor:
        return target(middle + deviation * u, None)

    chain = Metropolis(scaled, Real(at.shape[1:]), steps=5, step=0.3, learned=False).to(at)
    rate = 0.0
    for i in range(2 * moves):
        at, _, taken = chain.propose(at)
        if i < moves:
            chain.trajectory.log_step += 0.1 * (float(taken.to(at).mean()) - 0.8)
        else:
            rate += float(taken.to(at).mean()) / moves
    x = middle + deviation * at
    gap = target(x, None) - _log_q(model, x) - log_z
    worst = int(gap.argmax())
    ends = x[: len(own)]
    return Coverage(
        missed=float((gap > LOST).to(x).mean()),
        worst=float(gap[worst]),
        point=x[worst].cpu(),
        accepted=rate,
        spread=float((ends.std(0) / deviation).max()),
    )


def _log_q(model: Distribution, x: Tensor, repeats: int = 64) -> Tensor:
    """The model's log-density, the average of several estimates where it is a random lower bound."""
    if Exactness.NOISY not in model.exactness:
        return model._log_prob(x, None)
    many = model._log_prob(x.repeat_interleave(repeats, 0), None)
    return many.reshape(-1, repeats).logsumexp(1) - math.log(repeats)
