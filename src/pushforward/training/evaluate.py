"""Scores without gradients, in chunks and in evaluation mode."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from ..core import Distribution
from .batches import HeldOutRows
from .data import as_rows, chunks
from .data_loader import LoaderBatches
from .parallel.processes import ProcessRanks
from .random_state import isolated

HeldOut = HeldOutRows | LoaderBatches
"""Validation rows, in memory or in batches of an iterable."""
SCORE_SEED = 20_240_229
"""Seed of every validation pass: noisy scores of two epochs then differ by the weights and not by the noise."""


def evaluate(model: Distribution, x: Any, context: Any = None, batch_size: int = 4096) -> Tensor:
    """Return the log-likelihood of every row, in evaluation mode, without gradients and in chunks.

    Models whose score is noisy draw from the global random state, as `log_prob` does.

    Args:
        model: Any distribution.
        x: Events, (N, *event), an array or a tensor; converted to the model's type and moved to its device.
        context: Contexts, (N, *context), or None for models without one.
        batch_size: Number of rows in a chunk.

    Returns:
        Log-likelihoods, (N,) in nats, on the model's device; -inf outside the support.

    Raises:
        DataError: The rows are not finite numbers, or have the wrong shape.
        ContextError: A context is missing or unexpected.
    """
    rows = as_rows(model, x, context, "the data")
    index = torch.arange(len(rows), device=rows.x.device)
    with evaluating(model):
        scores = [model(*rows.take(piece)) for piece in chunks(index, max(1, batch_size))]
    return torch.cat(scores) if scores else torch.zeros(0, dtype=model.dtype, device=model.device)


def mean_score(objective: nn.Module, held_out: HeldOut, size: int, ranks: ProcessRanks, device: torch.device) -> float:
    """Return minus the mean loss of the validation rows; for the likelihood objective this is the mean in nats per event.

    Args:
        objective: The loss.
        held_out: The validation rows.
        size: Number of rows in a chunk.
        ranks: Processes that share each chunk; all get the result.
        device: Device that the model is on.
    """
    losses, rows = [], 0
    with evaluating(objective), isolated(device, SCORE_SEED + ranks.rank):
        for batch in held_out.chunks(size):
            inputs, share = batch.share(ranks)
            losses.append(objective(*inputs) * (share * len(batch)))
            rows += len(batch)
        return -(ranks.total(torch.stack(losses).cpu().double().sum()) / rows).item()


def first_unscored(model: nn.Module, held_out: HeldOut, size: int, device: torch.device) -> str | None:
    """Return the place of the first validation row whose log-likelihood is not finite; None when there is none."""
    with evaluating(model), isolated(device, SCORE_SEED):
        for batch in held_out.chunks(size):
            bad = ~model(*batch.rows).isfinite()
            if bool(bad.any()):
                return f"row {batch.place(bad.nonzero()[0])} of {held_out.name}"
    return None


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Set evaluation mode without gradients within the block; afterwards restore the mode of each submodule."""
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for part, training in modes:
            part.training = training
