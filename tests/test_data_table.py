"""`pushforward.Table`: from a data frame to samples, scores, conditions and a report."""

from __future__ import annotations

import numpy as np
import pandas as pd
import polars as pl
import pytest

import pushforward as pf
from pushforward.errors import DataError
from pushforward.fitted_table import FittedTable

ROWS = 300
RNG = np.random.default_rng(0)
COLUMNS = {
    "id": np.arange(ROWS) + 5,
    "age": np.array(["?" if v < 0.1 else str(int(20 + 50 * v)) for v in RNG.random(ROWS)], dtype=object),
    "city": RNG.choice(np.array(["Rome", "Oslo"], dtype=object), ROWS),
    "x": np.round(RNG.normal(size=ROWS), 2),
}


@pytest.fixture(scope="module")
def fitted():
    return pf.Table(pl.DataFrame(COLUMNS), kinds={"x": "continuous"}).fit(max_steps=30)


def test_the_schema_is_shown():
    shown = repr(pf.Table(pd.DataFrame(COLUMNS)))
    assert "Table of 300 rows" in shown
    assert "identifier" in shown
    assert "read as missing" in shown


def test_frames_of_polars(fitted, tmp_path):
    drawn = fitted.sample(50, seed=1)
    assert isinstance(drawn, pl.DataFrame)
    assert drawn.columns == ["id", "age", "city", "x"]
    assert drawn.equals(fitted.sample(50, seed=1))
    assert drawn["x"].is_between(COLUMNS["x"].min(), COLUMNS["x"].max()).all()
    scores = fitted.score()
    assert scores.columns == ["row", "id", "log_prob", "percentile", "outlier"]
    odd = pl.DataFrame({"age": [30], "city": ["Lima"], "x": [0.5]})
    assert fitted.score(odd)["note"].to_list() == ["city has a label that was not in training: 'Lima'"]
    assert "nats per test row" in repr(fitted)
    fitted.save(tmp_path / "m.flow")
    again = FittedTable.load(tmp_path / "m.flow")
    assert again.score(pl.DataFrame(COLUMNS))["log_prob"].to_list() == pytest.approx(
        scores["log_prob"].to_list(), abs=1e-4
    )
    with pytest.raises(DataError, match="expected rows"):
        again.score()


def test_frames_of_pandas():
    frame = pd.DataFrame({**COLUMNS, "when": pd.date_range("2020-01-01", periods=ROWS, tz="Europe/Berlin")})
    model = pf.Table(frame).fit("maf", max_steps=10, layers=1, baselines=False)
    drawn = model.sample(5)
    assert isinstance(drawn, pd.DataFrame)
    assert str(drawn["when"].dt.tz) == "Europe/Berlin"
    assert model.score(frame.head(3)).shape[0] == 3


def test_conditions(fitted):
    found = fitted.conditional({"city": "Oslo", "x": (0, None)}, n=40)
    assert found.rows.height == 40
    assert set(found.rows["city"]) == {"Oslo"}
    assert found.rows["x"].min() >= 0
    assert 0.05 < found.acceptance < 0.6
    with pytest.raises(DataError, match="'town'"):
        fitted.conditional({"town": "Oslo"})
    with pytest.raises(DataError, match="expected one of the labels 'Oslo', 'Rome' in column 'city', got 'Lima'"):
        fitted.conditional({"city": "Lima"})
    with pytest.raises(DataError, match="give wider ranges"):
        fitted.conditional({"x": (50, None)}, rounds=1)


def test_the_report(fitted, tmp_path):
    page = fitted.report(tmp_path / "r.html", title="People")
    text = (tmp_path / "r.html").read_text()
    assert page == str(tmp_path / "r.html")
    assert "Impossible values" in text
