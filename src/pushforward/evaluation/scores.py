"""Log-likelihoods of many events, tightened by averaging where they are random bounds, and bits per dimension."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..core import Distribution, Exactness
from ..errors import SpecError
from ..training import evaluate
from ..training.random_state import isolated


def can_average(exactness: Exactness) -> bool:
    """Whether averaging draws of exp(log_prob) tightens it: a random lower bound is one of an unbiased estimate."""
    return exactness == Exactness.NOISY | Exactness.LOWER


def log_likelihoods(
    model: Distribution, x: Any, context: Any = None, *, samples: int = 1, seed: int = 0, batch_size: int = 4096
) -> Tensor:
    """Log-likelihood of every event, the average of several draws where it is a random lower bound.

        log 1/k sum_i exp(log_prob_i(x)),

    an importance-weighted bound that grows with k in the mean (Burda, Grosse, Salakhutdinov 2016, arXiv:1509.00519, eq. 8).

    Args:
        model: any distribution.
        x: (N, *event), an array or a tensor.
        context: (N, *context), or None.
        samples: k; 1 is used where averaging means nothing.
        seed: Seed of the draws; torch's random state is the same after as before.
        batch_size: events in a chunk.

    Returns:
        (N,) nats in float64, on the CPU; -inf outside the support.

    Raises:
        DataError: the rows are no finite numbers, or of the wrong shape.
        ContextError: a context is missing or unexpected.
        SpecError: `samples` is below 1.
    """
    if samples < 1:
        raise SpecError(f"expected samples >= 1, got {samples}")
    samples = samples if can_average(model.exactness) else 1
    total: Tensor | None = None
    with isolated(model.device, seed):
        for _ in range(samples):
            found = evaluate(model, x, context, batch_size).double().cpu()
            total = found if total is None else torch.logaddexp(total, found)
    return (found if total is None else total) - math.log(samples)


@dataclass(frozen=True)
class Bits:
    """Bits per dimension of some events, with all that is needed to read the number.

    Args:
        value: mean over the events.
        error: standard error of that mean; NaN for a single event.
        symbol: "=" when it is exact, "<=" when the truth is at most this, ">=" when at least, "~" when neither is known.
        samples: draws averaged for each event; 1 when the model is exact.
        events: their number.
        impossible: events of probability 0, which the mean leaves out.
    """

    value: float
    error: float
    symbol: str
    samples: int
    events: int
    impossible: int = 0

    def __str__(self) -> str:
        """Such as "<= 2.043 ± 0.012 bits/dim (297 events, 64 draws each)"."""
        draws = f", {self.samples} draws each" if self.samples > 1 else ""
        lost = f", {self.impossible} impossible ones left out" if self.impossible else ""
        return f"{self.symbol} {self.value:.4f} ± {self.error:.4f} bits/dim ({self.events} events{draws}{lost})"


_BITS_SYMBOL = {"=": "=", ">=": "<=", "<=": ">=", "~": "~"}
"""Bits are minus log-likelihoods: a lower bound of one is an upper bound of the other."""


def bits_per_dimension(
    model: Distribution, x: Any, context: Any = None, *, samples: int = 1, seed: int = 0, batch_size: int = 256
) -> Bits:
    """-log2 p(x) / D of discrete events, in the data's own levels: the mean number of bits that a pixel takes.

    The model is one of the levels themselves, such as pictures with 256 of them: dequantisation and preprocessing are its
    first layers, so that nothing is left to be corrected here, and 8 bits are what a uniform model needs.

    Args:
        model: Model of events on a discrete space.
        x: (N, *event).
        context: (N, *context), or None.
        samples: draws averaged for each event where the model is a random lower bound: 1 for the plain bound, more for an
            importance-weighted one.
        seed: Seed of the draws.
        batch_size: events in a chunk.

    Raises:
        SpecError: the model's space is continuous: bits of a density depend on its units, and mean nothing.
        DataError: the events do not fit the space.
    """
    if not model.space.discrete:
        raise SpecError(f"expected a model of discrete events for bits per dimension, got one on {model.space}")
    logp = log_likelihoods(model, x, context, samples=samples, seed=seed, batch_size=batch_size)
    return bits_from(model, logp, samples)


def bits_from(model: Distribution, logp: Tensor, samples: int = 1) -> Bits:
    """The same from log-likelihoods that are at hand.

    Args:
        model: Model that gave the log-likelihoods.
        logp: (N,) nats.
        samples: draws that were averaged for each.
    """
    bits = model.space.bits(logp[logp > -math.inf])
    return Bits(
        value=float(bits.mean()) if len(bits) else math.inf,
        error=float(bits.std() / math.sqrt(len(bits))) if len(bits) > 1 else math.nan,
        symbol=_BITS_SYMBOL[model.exactness.symbol],
        samples=samples if can_average(model.exactness) else 1,
        events=len(logp),
        impossible=len(logp) - len(bits),
    )
