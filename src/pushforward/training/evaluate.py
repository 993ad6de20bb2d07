"""Scores without gradients, in chunks and in evaluation mode."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from ..core import Distribution
from .data import Rows, as_rows, chunks
from .parallel.processes import ProcessRanks
from .rng import isolated

SCORE_SEED = 20_240_229
"""Of every validation pass, so that noisy scores of two epochs differ by the weights and not by the noise."""


def evaluate(model: Distribution, x: Any, context: Any = None, batch_size: int = 4096) -> Tensor:
    """Log-likelihood of every row, in evaluation mode, without gradients and in chunks.

    Noisy models draw from the caller's random state, as `log_prob` does.

    Args:
        model: any distribution.
        x: (N, *event), an array or a tensor; cast to the model's type and moved to its device.
        context: (N, *context), or None for models without one.
        batch_size: rows in a chunk.

    Returns:
        (N,) nats, on the model's device; -inf outside the support.

    Raises:
        DataError: the rows are no finite numbers, or of the wrong shape.
        ContextError: a context is missing or unexpected.
    """
    rows = as_rows(model, x, context, "the data")
    index = torch.arange(len(rows), device=rows.x.device)
    with evaluating(model):
        scores = [model(*rows.take(piece)) for piece in chunks(index, max(1, batch_size))]
    return torch.cat(scores) if scores else torch.zeros(0, dtype=model.dtype, device=model.device)


def mean_score(
    objective: nn.Module, rows: Rows, index: Tensor, batch_size: int, ranks: ProcessRanks | None = None
) -> float:
    """Minus the mean loss of some rows: for the likelihood objective, mean nats per event.

    Args:
        objective: the loss.
        rows: where they lie.
        index: their numbers.
        batch_size: rows in a chunk.
        ranks: the processes that share each chunk; all get the result.
    """
    ranks = ranks or ProcessRanks()
    losses = []
    with evaluating(objective), isolated(rows.x.device, SCORE_SEED + ranks.rank):
        for piece in chunks(index, batch_size):
            part, share = ranks.share(rows.take(piece))
            losses.append(objective(part) * (share * len(piece)))
        return -(ranks.total(torch.stack(losses).cpu().double().sum()) / len(index)).item()


def first_unscored(model: nn.Module, rows: Rows, index: Tensor, batch_size: int) -> int | None:
    """Number of the first row whose log-likelihood is not finite; None when there is none."""
    with evaluating(model), isolated(rows.x.device, SCORE_SEED):
        for piece in chunks(index, batch_size):
            bad = ~model(*rows.take(piece)).isfinite()
            if bool(bad.any()):
                return int(piece[bad][0])
    return None


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Evaluation mode without gradients; every submodule's mode is set back after."""
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for part, training in modes:
            part.training = training
