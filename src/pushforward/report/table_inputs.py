"""Contents of the report on a model of a table: held-out rows, samples, latent codes, paths, score of a classifier."""

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
    copula_distances,
    encode_pair,
    follow,
    straightness,
    two_sample_score,
)
from ..evaluation.impossible import check_values
from ..tables import Table, TableModel
from ..tables.coding import to_numbers
from ..tables.describe import shown_number
from ..tables.row_space import TIMES
from ..training.random_state import isolated
from ..transforms import Marginals
from .curved_plots import AngleColumn
from .page import ReportInputs
from .path_plot import Paths

Array = np.ndarray[Any, np.dtype[Any]]
HOUR, YEAR = 3.6e9, 365.2425 * 86400e6
"""Microseconds in an hour, and in a year on average."""
FEWEST_TO_COMPARE = 8
"""Smallest number of rows for the comparison by a classifier."""


def table_inputs(
    model: TableModel,
    rows: Array,
    held_out: Table,
    samples: Table,
    log_prob: Array,
    scores: Sequence[BaselineScore],
    solver: SolverCheck | None,
    seed: int,
    numbers: Array,
    **about: Any,
) -> ReportInputs:
    """Return the inputs of a report on a model of a table.

    Args:
        model: Model, in evaluation mode.
        rows: Encoded rows that the model was not trained on.
        held_out: The same rows as a table.
        samples: Samples of the model, as a table.
        log_prob: Log-likelihood of each held-out row, (N,), in nats.
        scores: Scores of simpler densities on the held-out rows.
        solver: Error that the ODE solver of a continuous flow adds; None for other models.
        seed: Seed of latent codes and of the classifier.
        numbers: Numbers of the held-out rows in their table, from 1.
        about: Other fields of `ReportInputs`, such as `title` and `training`.
    """
    spec = model.spec
    return ReportInputs(
        paper="" if spec is None else spec.paper,
        spec={} if spec is None else spec.to_dict(),
        exactness=model.exactness.symbol,
        kinds=_kinds(model),
        held_out=_columns(model, held_out),
        samples=_columns(model, samples),
        log_prob=log_prob,
        rows=numbers,
        latents=_latents(model, rows, seed),
        baselines=scores,
        paths=_paths(model, rows, solver),
        texts=_texts(model, held_out),
        value_checks=check_values(model.schema, held_out, samples),
        circles=_circles(model),
        positions=[(c.name, c.partner) for c in model.schema.columns if c.axis == "height" and c.partner],
        copula_distances=_copula(model, seed),
        two_sample=_two_sample(model, held_out, samples, seed),
        **about,
    )


def _kinds(model: TableModel) -> dict[str, str]:
    """Return the kinds of the columns; dates and times are plotted as continuous numbers."""
    return {c.name: "continuous" if c.storage in TIMES and c.numeric else c.kind for c in model.schema.columns}


def _circles(model: TableModel) -> list[AngleColumn]:
    """Return the angles that belong to no position; times of day are plotted in hours."""
    return [
        AngleColumn(column.name, 0.0, 24.0)
        if column.storage in TIMES
        else AngleColumn(column.name, column.support[0], column.period)
        for column in model.schema.columns
        if column.axis == "angle" and not column.partner
    ]


def _columns(model: TableModel, table: Table) -> Mapping[str, Array]:
    """Return the columns of a table, with dates and timestamps as years with decimals, and times of day as hours."""
    columns = {}
    for column in model.schema.columns:
        values = table[column.name]
        if column.storage in TIMES:
            microseconds = to_numbers(column.name, table)
            values = microseconds / HOUR if column.storage == "time" else 1970 + microseconds / YEAR
        columns[column.name] = values
    return columns


def _texts(model: TableModel, table: Table) -> dict[str, list[str]]:
    """Return the dates and times of a table as texts."""
    return {
        column.name: ["–" if number != number else shown_number(column, number) for number in numbers.tolist()]
        for column in model.schema.columns
        if column.storage in TIMES
        for numbers in [to_numbers(column.name, table, step=column.step)]
    }


def _latents(model: TableModel, rows: Array, seed: int) -> Array | None:
    """Return the latent codes of the numeric columns; None if the base of the system is not standard normal."""
    if model.numbers is None or not isinstance(model.numbers.base, Normal):
        return None
    with isolated(model.device, seed), torch.no_grad():
        return model.encode(torch.from_numpy(rows).to(model.device)).double().cpu().numpy()


def _copula(model: TableModel, seed: int) -> list[float]:
    """Return the distances of the copula's marginals from the uniform distribution; empty for a model without a copula."""
    if model.numbers is None or not any(isinstance(m, Marginals) for m in model.numbers.modules()):
        return []
    with isolated(model.device, seed):
        return copula_distances(model.numbers)


def _paths(model: TableModel, rows: Array, solver: SolverCheck | None) -> Paths | None:
    """Return the paths of held-out rows from the data to the noise; None for a model that is not a continuous flow."""
    found = follow(model, rows)
    if found is None:
        return None
    names = [column.name for column in model.schema.columns if column.numeric]
    sentence = "" if solver is None else solver.sentence
    return Paths(found.double().cpu().numpy(), names, straightness(model, rows).ratio, sentence)


def _two_sample(model: TableModel, held: Table, samples: Table, seed: int) -> TwoSampleScore | None:
    if min(held.n_rows, samples.n_rows) < FEWEST_TO_COMPARE:
        return None
    kinds = _kinds(model)
    real, drawn, labels = encode_pair(_columns(model, held), _columns(model, samples), kinds)
    return two_sample_score(real, drawn, categorical=labels, seed=seed)
