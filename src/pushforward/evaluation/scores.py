"""Log-likelihoods of many events, averaged over draws if they are random bounds, and bits per dimension."""

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
    """Return whether averaging draws of exp(log_prob) gives a tighter bound.

    This is so for random lower bounds, whose exp(log_prob) is an unbiased estimate of p(x). The logarithm of the average of
    such estimates is still a lower bound on average, and it comes closer to log p(x) as their number grows.
    """
    return exactness == Exactness.NOISY | Exactness.LOWER


def log_likelihoods(
    model: Distribution, x: Any, context: Any = None, *, samples: int = 1, seed: int = 0, batch_size: int = 4096
) -> Tensor:
    """Return the log-likelihood of every event, averaged over k draws if it is a random lower bound.

    The average is the importance-weighted bound

        log 1/k sum_i exp(log_prob_i(x)),

    whose mean grows with k (Burda, Grosse, Salakhutdinov 2016, arXiv:1509.00519, eq. 8).

    Args:
        model: Distribution of any kind.
        x: Events (N, *event), an array or a tensor.
        context: Context (N, *context), or None.
        samples: Number k of draws; 1 is used for models whose log_prob is not a random lower bound.
        seed: Seed of the draws; the random state of torch is restored afterwards.
        batch_size: Number of events that are computed together.

    Returns:
        Log-likelihoods (N,) in nats, float64, on the CPU; -inf outside the support.

    Raises:
        DataError: The rows are not finite numbers, or have the wrong shape.
        ContextError: A context is missing, or the model takes none.
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
    """Bits per dimension of some events, with the error, the exactness and the counts that belong to the number.

    Args:
        value: Mean over the events.
        error: Standard error of that mean; NaN for a single event.
        symbol: Relation of the true number to the value: "=" equal, "<=" at most, ">=" at least, "~" unknown.
        samples: Number of draws that are averaged for each event; 1 if the model is exact.
        events: Number of events.
        impossible: Number of events of probability 0, which are left out of the mean.
    """

    value: float
    error: float
    symbol: str
    samples: int
    events: int
    impossible: int = 0

    def __str__(self) -> str:
        """Return a text such as "<= 2.0430 ± 0.0120 bits/dim (297 events, 64 draws each)"."""
        draws = f", {self.samples} draws each" if self.samples > 1 else ""
        lost = f", {self.impossible} impossible ones left out" if self.impossible else ""
        return f"{self.symbol} {self.value:.4f} ± {self.error:.4f} bits/dim ({self.events} events{draws}{lost})"


_BITS_SYMBOL = {"=": "=", ">=": "<=", "<=": ">=", "~": "~"}
"""Symbol of the bits for each symbol of the log-likelihood: bits have the opposite sign, so bounds change sides."""


def bits_per_dimension(
    model: Distribution, x: Any, context: Any = None, *, samples: int = 1, seed: int = 0, batch_size: int = 256
) -> Bits:
    """Return the mean of -log2 p(x) / D over discrete events with D numbers each: the mean number of bits for a pixel.

    The model must be a model of the discrete values themselves, such as the levels 0 ... 255 of a pixel. Dequantisation and
    rescaling are layers of the model, so its log_prob already contains their log-determinants and no correction is needed
    here. A uniform model of 256 levels needs 8 bits.

    Args:
        model: Model of events on a discrete space.
        x: Events (N, *event).
        context: Context (N, *context), or None.
        samples: Number of draws that are averaged for each event, if log_prob is a random lower bound: 1 for the plain bound,
            more for an importance-weighted one.
        seed: Seed of the draws.
        batch_size: Number of events that are computed together.

    Raises:
        SpecError: The space of the model is continuous. The bits of a density depend on the units of the data.
        DataError: The events do not lie in the space.
    """
    if not model.space.discrete:
        raise SpecError(f"expected a model of discrete events for bits per dimension, got one on {model.space}")
    logp = log_likelihoods(model, x, context, samples=samples, seed=seed, batch_size=batch_size)
    return bits_from(model, logp, samples)


def bits_from(model: Distribution, logp: Tensor, samples: int = 1) -> Bits:
    """Return the bits per dimension for log-likelihoods that are already computed.

    Args:
        model: Model that gave the log-likelihoods.
        logp: Log-likelihoods (N,) in nats.
        samples: Number of draws that were averaged for each event.
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
