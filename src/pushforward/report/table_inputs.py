"""What the report shows of a model of a table: held-out rows beside samples, latent codes, paths, a classifier."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from ..distributions import Normal
from ..evaluation import (
    BaselineScore,
    SolverCheck,
    TwoSampleScore,
    encode_pair,
    follow,
    straightness,
    two_sample_score,
)
from ..tables import Table, TableModel
from ..training.random_state import isolated
from .page import ReportInputs
from .path_plot import Paths

Array = np.ndarray[Any, np.dtype[Any]]
FEWEST_TO_COMPARE = 8
"""Rows below which no classifier is asked to tell them from samples."""


def table_inputs(
    model: TableModel,
    held_out: Table,
    samples: Table,
    log_prob: Array,
    scores: Sequence[BaselineScore],
    solver: SolverCheck | None,
    seed: int,
    **about: Any,
) -> ReportInputs:
    """Return the inputs of a report on a model of a table.

    Args:
        model: The model, in evaluation mode.
        held_out: Rows that it was not trained on.
        samples: Rows that it made.
        log_prob: Log-likelihood of each held-out row, (N,), nats.
        scores: Scores of simpler densities on the held-out rows.
        solver: Error that the solver of a continuous flow adds; None where there is none.
        seed: Seed of latent codes and of the classifier.
        about: Other fields of `ReportInputs`, such as `title` and `training`.
    """
    rows, spec = model.schema.encode(held_out), model.spec
    return ReportInputs(
        paper="" if spec is None else spec.paper,
        spec={} if spec is None else spec.to_dict(),
        exactness=model.exactness.symbol,
        kinds={column.name: column.kind for column in model.schema.columns},
        held_out=_columns(model, held_out),
        samples=_columns(model, samples),
        log_prob=log_prob,
        latents=_latents(model, rows, seed),
        baselines=scores,
        paths=_paths(model, rows, solver),
        two_sample=_two_sample(model, held_out, samples, seed),
        **about,
    )


def _columns(model: TableModel, table: Table) -> Mapping[str, Array]:
    return {name: table[name] for name in model.schema.names}


def _latents(model: TableModel, rows: Array, seed: int) -> Array | None:
    """Codes of the numeric columns, where the system takes them for standard normal."""
    if model.numbers is None or not isinstance(model.numbers.base, Normal):
        return None
    with isolated(model.device, seed), torch.no_grad():
        return model.encode(torch.from_numpy(rows).to(model.device)).double().cpu().numpy()


def _paths(model: TableModel, rows: Array, solver: SolverCheck | None) -> Paths | None:
    """Held-out rows on their way to noise, of continuous flows."""
    found = follow(model, rows)
    if found is None:
        return None
    names = [column.name for column in model.schema.columns if column.numeric]
    sentence = "" if solver is None else solver.sentence
    return Paths(found.double().cpu().numpy(), names, straightness(model, rows).ratio, sentence)


def _two_sample(model: TableModel, held: Table, samples: Table, seed: int) -> TwoSampleScore | None:
    if min(held.n_rows, samples.n_rows) < FEWEST_TO_COMPARE:
        return None
    kinds = {column.name: column.kind for column in model.schema.columns}
    real, drawn, labels = encode_pair(_columns(model, held), _columns(model, samples), kinds)
    return two_sample_score(real, drawn, categorical=labels, seed=seed)
