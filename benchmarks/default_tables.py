"""The default model of a table beside simple densities, on bundled and on made tables.

`python benchmarks/default_tables.py --out benchmarks/TABLES.md` fits each table without options and compares the held-out
score, row by row, with a Gaussian, a mixture, a kernel estimate and, where it is installed, a flow of zuko. It also compares
far quantiles of samples, and how well a classifier tells samples from rows. Binary tables are scored on published test rows.
"""

from __future__ import annotations

import argparse
import os
import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from zuko_tables import zuko_log_prob

import pushforward as pf
from pushforward.evaluation import two_sample_score
from pushforward.evaluation.baselines import paired_difference
from pushforward.evaluation.held_out import fit_baselines, row_scores

Array = np.ndarray[Any, np.dtype[Any]]


def bundled(name: str) -> dict[str, Array]:
    """Return the columns of a table of scikit-learn, with its classes as labels."""
    from sklearn import datasets

    data = getattr(datasets, f"load_{name}")()
    columns = {str(column): values for column, values in zip(data.feature_names, data.data.T, strict=True)}
    if hasattr(data, "target_names"):
        columns["class"] = np.array([str(label) for label in data.target_names], dtype=object)[data.target]
    return columns


def made(rows: int) -> dict[str, Array]:
    """Return eight columns with a parabola, a sine and a changing spread."""
    rng = np.random.default_rng(1)
    z = rng.normal(size=(rows, 8))
    z[:, 1] += z[:, 0] ** 2
    z[:, 3] = np.sin(2 * z[:, 2]) + 0.2 * z[:, 3]
    z[:, 5] *= np.exp(0.5 * z[:, 4])
    return {f"x{i}": column for i, column in enumerate(z.T)}


def heavy(rows: int) -> dict[str, Array]:
    """Return ten dependent and skewed columns with the tails of Student's t with 3 degrees of freedom."""
    rng = np.random.default_rng(0)
    z = rng.standard_t(3, size=(rows, 10))
    z[:, 1:] += 0.5 * z[:, :1]
    z = np.where(z > 0, 1.5 * z, z)
    return {f"r{i}": column for i, column in enumerate(z.T)}


def stored(file: str, name: str) -> dict[str, Array]:
    """Return a table of the folder that the environment variable PUSHFORWARD_DATA names."""
    values = np.load(Path(os.environ["PUSHFORWARD_DATA"]) / file)[name]
    return {f"x{i}": column for i, column in enumerate(values.astype(float).T)}


TABLES: dict[str, Callable[[], dict[str, Array]]] = {
    "wine": lambda: bundled("wine"),
    "iris": lambda: bundled("iris"),
    "diabetes": lambda: bundled("diabetes"),
    "breast cancer": lambda: bundled("breast_cancer"),
    "made, 150 rows": lambda: made(150),
    "made, 900 rows": lambda: made(900),
    "made, 5000 rows": lambda: made(5000),
    "heavy tails, 2000 rows": lambda: heavy(2000),
    "digits": lambda: bundled("digits"),
}
STORED: dict[str, Callable[[], dict[str, Array]]] = {
    "red wine": lambda: stored("uci_rnade.npz", "redwine"),
    "white wine": lambda: stored("uci_rnade.npz", "whitewine"),
}
BINARY = {"mushrooms": 9.68, "dna": 83.63, "adult": 13.12, "nltcs": 6.00, "plants": 12.3}
"""Negative log-likelihood of a published MADE with one mask, in nats; the last two are of a public reproduction."""


def compared(name: str) -> dict[str, Any]:
    """Return the scores of the default model and of the baselines on a table."""
    columns = {**TABLES, **STORED}[name]()
    start = time.process_time()
    table = pf.Table(columns)
    model = table.fit(baselines=False)
    seconds = time.process_time() - start
    held, others = table.parts.held, table.parts.others
    log_prob = row_scores(model.model, table.encoded[held], 0)
    scores = [s for s in fit_baselines(table.schema, table.encoded, others, held, 0) if not s.skipped]
    best = max(scores, key=lambda score: score.mean)
    gain = paired_difference(log_prob, best.per_row)
    drawn = model.draw(10_000)
    rows = table.schema.encode(drawn)
    theirs = zuko_log_prob(table)
    beside = None if theirs is None else paired_difference(log_prob, theirs)
    labels = [i for i, column in enumerate(table.schema.columns) if column.kind == "categorical"]
    every = table.encoded
    apart = two_sample_score(every, rows[: len(every)], categorical=labels)
    ratios = [
        float(np.nanquantile(np.abs(rows[:, i]), 0.999) / np.nanquantile(np.abs(every[:, i]), 0.999))
        for i, column in enumerate(table.schema.columns)
        if column.kind == "continuous"
    ]
    return {
        "table": name,
        "rows": table.table.n_rows,
        "columns": len(table.schema.names),
        "kept": f"{model.system}{', fitted again' if model.training.get('refitted') else ''}",
        "score": float(log_prob.mean()),
        "best": best.name.removeprefix("independent labels + "),
        "baseline": best.mean,
        "gain": gain.mean,
        "error": gain.standard_error,
        "zuko": "" if theirs is None else f"{theirs.mean():.2f}",
        "beside": "" if beside is None else f"{beside.mean:+.2f} ± {beside.standard_error:.2f}",
        "auc": apart.auc,
        "quantile": float(np.median(ratios)) if ratios else float("nan"),
        "seconds": seconds,
    }


def binary(name: str) -> dict[str, Any]:
    """Return the test score of the default model of a binary table, fitted to its training and validation rows."""
    z = np.load(Path(os.environ["PUSHFORWARD_DATA"]) / "debd_binary.npz")
    rows = np.concatenate([z[f"{name}_train"], z[f"{name}_valid"]]).astype(bool)
    # Some columns have one label in these rows and two in the test rows. Two more rows make both labels known.
    rows = np.concatenate([rows, np.zeros_like(rows[:1]), np.ones_like(rows[:1])])
    start = time.process_time()
    table = pf.Table({f"b{i}": column for i, column in enumerate(rows.T)}, test=0.0)
    model = table.fit(baselines=False)
    seconds = time.process_time() - start
    test = z[f"{name}_test"].astype(bool)
    frame = pf.Table({f"b{i}": column for i, column in enumerate(test.T)}).table
    log_prob = row_scores(model.model, model.schema.encode(frame), 0)
    return {"rows": len(rows), "columns": rows.shape[1], "nll": -float(log_prob.mean()), "seconds": seconds}


def main() -> None:
    """Fit every table, print a row for each, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, help="page to write, such as benchmarks/TABLES.md")
    known = [*TABLES, *(list(STORED) + list(BINARY) if os.environ.get("PUSHFORWARD_DATA") else [])]
    parser.add_argument("--only", nargs="*", default=known, help="names of tables")
    options = parser.parse_args()
    torch.set_num_threads(1)
    lines = [
        "# The default model of a table beside simple densities",
        "",
        "Made by `python benchmarks/default_tables.py --out benchmarks/TABLES.md`. Scores are nats per held-out row (a tenth",
        "of the rows), higher is better; the gain over the best baseline is paired over the rows, with its standard error.",
        "AUC: a classifier that tells samples from all rows, .5 is guessing. Quantile: the 99.9 % quantile of absolute values",
        "of samples over that of the table, median over the columns. Seconds are CPU seconds of one thread. The flow of zuko",
        "is its NSF with 3 layers of (128, 128) and a loop with early stopping (`benchmarks/zuko_tables.py`).",
        "",
        "| table | rows | columns | kept | score | best baseline | gain | zuko | gain | AUC | quantile | CPU s |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name in [name for name in options.only if name not in BINARY]:
        r = compared(name)
        ours = (
            f"{r['kept']} | {r['score']:.2f} | {r['best']}, {r['baseline']:.2f} | {r['gain']:+.2f} ± {r['error']:.2f}"
        )
        lines.append(
            f"| {name} | {r['rows']} | {r['columns']} | {ours} | {r['zuko']} | {r['beside']} | {r['auc']:.2f} | "
            f"{r['quantile']:.2f} | {r['seconds']:.0f} |"
        )
        print(lines[-1], flush=True)
    bits = [name for name in options.only if name in BINARY]
    if bits:
        lines += [
            "",
            "Binary tables: test negative log-likelihood in nats on the published test rows, beside a published MADE of one",
            "mask (a public reproduction for nltcs and plants).",
            "",
            "| table | rows | columns | default | MADE | ratio | CPU s |",
            "| --- | --- | --- | --- | --- | --- | --- |",
        ]
    for name in bits:
        r = binary(name)
        lines.append(
            f"| {name} | {r['rows']} | {r['columns']} | {r['nll']:.2f} | {BINARY[name]:.2f} | {r['nll'] / BINARY[name]:.3f} | "
            f"{r['seconds']:.0f} |"
        )
        print(lines[-1], flush=True)
    lines += [
        "",
        f"torch {torch.__version__}, Python {platform.python_version()}, one thread of {platform.machine()}, CPU only.",
    ]
    if options.out is not None:
        options.out.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
