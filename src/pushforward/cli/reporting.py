"""`pushforward report`: one page about a model and the rows that it was not fitted to."""

from __future__ import annotations

import datetime
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from ..distributions import Normal
from ..evaluation import (
    BaselineScore,
    SolverCheck,
    TwoSampleScore,
    check_solver,
    encode_pair,
    follow,
    straightness,
    two_sample_score,
)
from ..report import Paths, ReportInputs, write_report
from ..tables import Table, digest
from ..terminal import write_output
from ..training.random_state import isolated
from .display import print_json, tell
from .files import require_writable
from .holdout import Holdout, fit_baselines, score_record
from .models import LoadedTable, open_model, row_scores, start
from .options import MachineOptions, ReadOptions
from .summary import score_text

Array = np.ndarray[Any, np.dtype[Any]]

FEWEST_SAMPLES, MOST_SAMPLES = 1000, 10_000
FEWEST_TO_COMPARE = 8
"""Rows below which no classifier is asked to tell them from samples."""


def report_table(
    model_path: str,
    table_path: str,
    out: str,
    drop: Sequence[str],
    title: str | None,
    reading: ReadOptions,
    machine: MachineOptions,
    *,
    baselines: bool,
    json: bool,
) -> int:
    """Score, sample, compare, and write the page.

    Raises:
        FlowError: see the package for the exit codes.
    """
    require_writable(out, "--out", [model_path, table_path])
    loaded = open_model(model_path, start(machine))
    table = loaded.read(table_path, drop, reading)
    rows = loaded.schema.encode(table)
    what, held, others, choice = _choose_rows(loaded, rows, table_path)
    tell(choice, quiet=machine.quiet)
    log_prob = row_scores(loaded.model, rows[held], machine.seed)
    scores: list[BaselineScore] = []
    note = "not asked for" if len(others) else "the rows that the model was fitted to are not in this table"
    if baselines and len(others):
        scores, note = fit_baselines(loaded.schema, table, others, held, machine.seed), ""
    size = min(MOST_SAMPLES, max(FEWEST_SAMPLES, len(held)))
    with isolated(loaded.model.device, machine.seed):
        samples = loaded.schema.decode(loaded.model.sample(size))
    solver = check_solver(loaded.model, rows[held])
    spec = loaded.model.spec
    name = os.path.basename(table_path) if table_path != "-" else "standard input"
    inputs = ReportInputs(
        title=title or name,
        system=loaded.system,
        paper="" if spec is None else spec.paper,
        spec={} if spec is None else spec.to_dict(),
        training=loaded.training,
        exactness=loaded.model.exactness.symbol,
        kinds={column.name: column.kind for column in loaded.schema.columns},
        held_out=_columns(loaded, table.take(held)),
        samples=_columns(loaded, samples),
        log_prob=log_prob,
        rows=held + 1,
        latents=_latents(loaded, rows[held], machine.seed),
        baselines=scores,
        paths=_paths(loaded, rows[held], solver),
        two_sample=_two_sample(loaded, table.take(held), samples, machine.seed),
        settings={"model": model_path, "table": table_path, "rows": choice, "seed": machine.seed, "samples": size},
        versions=loaded.training.get("versions", {}),
        created=f"{datetime.datetime.now():%Y-%m-%d %H:%M}",
    )
    write_report(inputs, out)
    record = score_record(what, inputs.exactness, log_prob, scores, others, note, solver)
    if json:
        print_json({"report": out, "model": model_path, "system": loaded.system, "scores": record})
    elif not machine.quiet:
        write_output(score_text(loaded.system, record))
    tell(f"wrote {out}", quiet=machine.quiet)
    return 0


def _choose_rows(loaded: LoadedTable, rows: Array, path: str) -> tuple[str, Array, Array, str]:
    """Name and numbers of the rows to score, the rows that the model was fitted to, and a sentence about the choice."""
    every, none = np.arange(len(rows)), np.arange(0)
    holdout = Holdout.of(loaded.training)
    if holdout is None or holdout.digest != digest(rows):
        return "all", every, none, f"{path} is not the table of the fit, so all its {len(rows):,} rows are used"
    parts = holdout.parts()
    if len(parts.held) == 0:
        return "all", every, none, f"no rows of {path} were held out, so its score is that of the training rows"
    sentence = f"{path} is the table of the fit, so its {len(parts.held):,} {parts.held_name} rows are used"
    return parts.held_name, parts.held, parts.others, sentence


def _columns(loaded: LoadedTable, table: Table) -> dict[str, Array]:
    return {name: table[name] for name in loaded.schema.names}


def _latents(loaded: LoadedTable, rows: Array, seed: int) -> Array | None:
    """Codes of the numeric columns, where the system says that they are standard normal."""
    model = loaded.model
    if model.numbers is None or not isinstance(model.numbers.base, Normal):
        return None
    with isolated(model.device, seed), torch.no_grad():
        return model.encode(torch.from_numpy(rows).to(model.device)).double().cpu().numpy()


def _paths(loaded: LoadedTable, rows: Array, solver: SolverCheck | None) -> Paths | None:
    """Held-out rows on their way to noise, of continuous flows."""
    found = follow(loaded.model, rows)
    if found is None:
        return None
    names = [column.name for column in loaded.schema.columns if column.numeric]
    return Paths(
        found.double().cpu().numpy(),
        names,
        straightness(loaded.model, rows).ratio,
        "" if solver is None else solver.sentence,
    )


def _two_sample(loaded: LoadedTable, held: Table, samples: Table, seed: int) -> TwoSampleScore | None:
    if min(held.n_rows, samples.n_rows) < FEWEST_TO_COMPARE:
        return None
    kinds = {column.name: column.kind for column in loaded.schema.columns}
    real, drawn, labels = encode_pair(_columns(loaded, held), _columns(loaded, samples), kinds)
    return two_sample_score(real, drawn, categorical=labels, seed=seed)
