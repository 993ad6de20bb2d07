"""Tables as people have them: fitted, sampled, scored and reported at the first try, without options."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from command_line import run
from messy_tables import TABLES, make_table

from pushforward.tables import infer_schema, read_table
from pushforward.tables.hints import Reading
from pushforward.tables.row_space import TIMES

DRAWS = 10_000


def impossible_values(data, drawn):
    """Columns of samples with values that the data show to be impossible, each with an example."""
    schema = infer_schema(data, leave_out=True)
    found = []
    for column in schema.columns:
        name = column.name
        real, made = (table[name] for table in (data, drawn))
        if column.categories or column.kind == "constant":
            strange = set(made.tolist()) - set(real.tolist())
        elif column.storage in TIMES:
            strange = made[~np.isnat(made) & ((made < np.nanmin(real)) | (made > np.nanmax(real)))].tolist()
        else:
            real, made = real.astype(float), made.astype(float)
            present = made[np.isfinite(made)]
            decimals = next((d for d in range(9) if np.array_equal(np.round(real, d), real, equal_nan=True)), None)
            strange = present[(present < np.nanmin(real)) | (present > np.nanmax(real))].tolist()
            if decimals is not None:
                strange += present[np.round(present, decimals) != present].tolist()
            if np.isnan(made).any() and not np.isnan(real).any():
                strange.append("missing")
            for spike in column.spikes:
                shares = [float((values[np.isfinite(values)] == spike).mean()) for values in (real, made)]
                if abs(shares[0] - shares[1]) > 0.1:
                    strange.append(f"{shares[1]:.0%} of {spike:g} instead of {shares[0]:.0%}")
        if strange:
            found.append((name, next(iter(strange))))
    numbers = {c: drawn[c].astype(float) for c in drawn.names if drawn[c].dtype.kind in "if"}
    for beside in schema.beside:
        if beside.identity is not None:
            off = np.abs(beside.identity.values(numbers) - numbers[beside.name])
            if np.nanmax(off) > beside.identity.tolerance * 1.001 + 1e-9:
                found.append((beside.name, float(np.nanmax(off))))
    return found


EVERY_DAY = {"ledger"}
"""The table of `make test`; the others are dear."""


@pytest.mark.parametrize(
    "name", [name if name in EVERY_DAY else pytest.param(name, marks=pytest.mark.dear) for name in TABLES]
)
def test_a_messy_table_works_at_the_first_try(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PUSHFORWARD_FIT_MAX_STEPS", "60")
    source = make_table(name, tmp_path)
    code, out, err = run("fit", source, "--out", "m.flow")
    assert code == 0, err
    assert "nats per row" in out
    for target in ("s.csv", "s.parquet", "s.npz"):
        code, _, err = run("sample", "m.flow", "-n", DRAWS if target == "s.csv" else 300, "--out", target)
        assert code == 0, err
        code, _, err = run("score", "m.flow", target, "--out", "p.csv")
        assert code == 0, err
        scores = pl.read_csv("p.csv")
        assert scores["log_prob"].is_finite().all(), scores.filter(~pl.col("log_prob").is_finite())
    data = read_table(source)
    hints = Reading(hints=infer_schema(data, leave_out=True).hints)
    assert impossible_values(data, read_table("s.csv", reading=hints)) == []
    code, _, err = run("score", "m.flow", source, "--out", "p.csv")
    assert code == 0, err
    scores = pl.read_csv("p.csv")
    assert scores.height == read_table(source).n_rows
    assert scores["log_prob"].is_finite().all()


@pytest.mark.dear
@pytest.mark.parametrize("name", TABLES)
def test_a_messy_table_has_a_report(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PUSHFORWARD_FIT_MAX_STEPS", "20")
    source = make_table(name, tmp_path)
    assert run("fit", source, "--out", "m.flow")[0] == 0
    code, _, err = run("report", "m.flow", source, "--out", "r.html")
    assert code == 0, err
