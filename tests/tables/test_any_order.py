"""Any-order models of tables: exact sums, known conditionals, conditions, imputation, gaps, files, and wrong input."""

import math

import numpy as np
import polars as pl
import pytest
import torch

import pushforward as pf
from pushforward.errors import DataError, SpecError
from pushforward.evaluation.explain import entry_probabilities
from pushforward.fitted_table import FittedTable
from pushforward.tables import AnyOrderTable, Column, Schema, infer_schema, table_model

ROWS = 1500
OPTIONS = {"hidden": (32,), "residual": False, "components": 4, "dropout": 0.0}


def people():
    """A label that determines a count and a number, a number with a spike and gaps, and labels with gaps."""
    rng = np.random.default_rng(0)
    kind = rng.integers(0, 2, ROWS)
    rain = np.where(rng.random(ROWS) < 0.4, 0.0, np.exp(rng.standard_normal(ROWS)))
    rain[rng.random(ROWS) < 0.1] = np.nan
    city = np.array(["Oslo", "Rome, west"], dtype=object)[kind]
    city[rng.random(ROWS) < 0.05] = None
    return pl.DataFrame(
        {
            "city": city.tolist(),
            "count": rng.poisson(1 + 5 * kind),
            "height": (100 * kind + 10 * rng.standard_normal(ROWS)).round(1),
            "rain": rain,
            "day": pl.Series(np.datetime64("2024-01-01") + rng.integers(0, 60, ROWS)),
        }
    )


@pytest.fixture(scope="module")
def fitted():
    return pf.Table(people(), seed=1).fit("any-order", max_steps=250, lr=5e-3, baselines=False, **OPTIONS)


@pytest.fixture(scope="module")
def cells():
    """A model with random weights of a label, a count with a spike, and a number with a spike, each of which can be missing."""
    columns = (
        Column(name="label", kind="categorical", categories=("a", "b"), missing=True),
        Column(name="count", kind="integer", low=0.0, high=6.0, loc=0.2, scale=1.5, spikes=(3.0,), missing=True),
        Column(name="fixed", kind="constant", value=7.0),
        Column(name="share", kind="continuous", low=0.0, high=1.0, loc=0.3, scale=1.2, spikes=(0.5,), missing=True),
    )
    torch.manual_seed(0)
    model = table_model(Schema(columns), "any-order", hidden=(16,), residual=False, components=3, orders=3)
    for p in model.parameters():
        p.data.add_(0.3 * torch.randn_like(p))
    return model.eval().requires_grad_(False)


def test_the_total_mass_is_one(cells):
    """Sum over labels, whole numbers, spikes and missing values, and integrate over the other numbers."""
    x, weights = cells.space.quadrature(200)
    assert x.isnan().any(0).tolist() == [True, True, False, True]
    assert float((cells.log_prob(x).exp() * weights).sum()) == pytest.approx(1, abs=1e-4)
    assert cells.exactness.symbol == "="
    assert cells.log_prob(torch.tensor([[0.0, 2.5, 7.0, 0.1]]).double()).item() == -math.inf
    assert cells.log_prob(torch.tensor([[0.0, 2.0, 8.0, 0.1]]).double()).item() == -math.inf


def test_draws_have_the_reported_density(cells):
    torch.manual_seed(0)
    x, logp = cells.sample_and_log_prob(4000)
    torch.testing.assert_close(cells.log_prob(x), logp)
    points, weights = cells.space.quadrature(200)
    mass = cells.log_prob(points).exp() * weights
    for column, value in ((0, 1.0), (1, 3.0), (1, 6.0), (3, 0.5)):
        wanted = float(mass[points[:, column] == value].sum())
        assert float((x[:, column] == value).double().mean()) == pytest.approx(wanted, abs=0.03)
    assert float(x[:, 3].isnan().double().mean()) == pytest.approx(float(mass[points[:, 3].isnan()].sum()), abs=0.03)


def test_a_wide_column_of_whole_numbers_is_exact():
    """Cells that are much narrower than the density keep their digits in float32."""
    column = Column(name="day", kind="integer", low=0.0, high=200_000.0, loc=0.0, scale=1.8)
    model = table_model(Schema((column,)), "any-order", hidden=(8,), residual=False).requires_grad_(False).eval()
    model.init_from(torch.tensor([[1000.0], [199_000.0]]).double())
    logp = model.log_prob(torch.arange(200_001).double()[:, None])
    assert float(logp.exp().sum()) == pytest.approx(1, abs=2e-4)


def test_it_learns_the_conditionals(fitted):
    drawn = fitted.conditional({"city": "Rome, west"}, n=1000)
    assert drawn.exact
    assert drawn.acceptance == 1
    assert drawn.rows["height"].mean() == pytest.approx(100, abs=6)
    assert drawn.rows["count"].mean() == pytest.approx(6, abs=0.7)
    assert set(drawn.rows["city"]) == {"Rome, west"}
    other = fitted.conditional({"height": 0.0}, n=500).rows
    assert (other["city"] == "Oslo").mean() > 0.9
    assert set(other["height"]) == {0.0}


def test_ranges_sets_and_dates(fitted):
    given = {"count": (4, 8), "day": (np.datetime64("2024-02-01"), None), "city": {"Oslo", "Rome, west"}}
    found = fitted.conditional(given, n=300)
    assert 0 < found.acceptance < 0.6
    assert found.rows.height == 300
    assert found.rows["count"].is_between(4, 8).all()
    assert str(found.rows["day"].min()) >= "2024-02-01"
    missing = fitted.conditional({"rain": None, "city": "Oslo"}, n=20).rows
    assert missing["rain"].is_null().all() or missing["rain"].is_nan().all()


def test_values_outside_of_the_training_range(fitted):
    found = fitted.conditional({"height": 400.0}, n=5)
    assert found.rows["height"].to_list() == [400.0] * 5
    assert "outside of" in found.warnings[0]
    for given, words in (
        ({"count": 400}, "probability zero"),
        ({"count": (400, None)}, "probability zero"),
        ({"height": (3, 1)}, "an empty range"),
        ({"city": "Paris"}, "one of the labels"),
        ({"city": {"Oslo", "Paris"}}, "one of the labels"),
        ({"city": (0, 1)}, "a label or a set"),
        ({"town": "Oslo"}, "'town'"),
        ({"height": "tall"}, "a finite number"),
        ({"day": "tomorrow"}, "a date such as"),
        ({"height": None}, "never was in training"),
        ({"city": set()}, "at least one label"),
        ({"city": "Oslo", "count": 1, "height": 0.0, "rain": 0.0, "day": "2024-01-02"}, "a column to draw"),
    ):
        with pytest.raises(DataError, match=words):
            fitted.conditional(given, n=5)


def test_imputation_keeps_what_is_there(fitted):
    frame = people().head(200)
    holes = frame.with_columns(
        pl.when(pl.int_range(200) % 3 == 0).then(None).otherwise(pl.col("height")).alias("height"),
        pl.when(pl.int_range(200) % 4 == 0).then(None).otherwise(pl.col("count")).alias("count"),
    )
    for full in (fitted.impute(holes), fitted.impute(holes, point=True)):
        assert full.columns == holes.columns
        assert full["count"].dtype == pl.Int64
        assert sum(full.null_count().row(0)) == 0
        assert not full["rain"].is_nan().any()
        for name in holes.columns:
            there = holes[name].is_not_null() & ~(
                holes[name].is_nan() if name in ("rain", "height") else pl.Series([False] * 200)
            )
            assert (full[name].filter(there) == holes[name].filter(there)).all()
    gap = pl.int_range(200, eager=True) % 3 == 0
    known = frame["city"].is_not_null()
    error = fitted.impute(holes, point=True)["height"].filter(gap & known) - frame["height"].filter(gap & known)
    assert float((error**2).mean()) ** 0.5 < 16


def test_multiple_imputations_and_absent_columns(fitted):
    frame = people().head(20).drop("height")
    drawn = fitted.impute(frame, draws=3)
    assert drawn.columns == ["draw", *frame.columns, "height"]
    assert drawn["draw"].to_list() == [1] * 20 + [2] * 20 + [3] * 20
    assert drawn["height"].head(20).to_list() != drawn["height"].tail(20).to_list()
    assert (fitted.impute(frame, draws=3)["height"] == drawn["height"]).all()
    with pytest.raises(DataError, match="no spread"):
        fitted.impute(frame, draws=2, point=True)
    with pytest.raises(DataError, match="expected numbers"):
        fitted.impute(frame.with_columns(pl.lit("several").alias("count")))
    with pytest.raises(DataError, match="some of the columns"):
        fitted.impute(pl.DataFrame({"other": [1.0]}))


def test_surprise_names_the_odd_entry(fitted):
    odd = people().filter(pl.col("city") == "Oslo").head(1).with_columns(pl.lit(100.0).alias("height"))
    found = fitted.surprise(odd)
    assert found.columns == odd.columns
    assert found["height"][0] > found["day"][0] + 2
    chances = entry_probabilities(fitted.model, fitted.schema.encode(odd))
    names = list(fitted.schema.names)
    assert chances[0, names.index("height")] < 0.05
    assert chances[0, names.index("day")] > 0.05


def test_rows_with_gaps_have_the_density_of_the_other_entries(fitted):
    rows = fitted.schema.encode(people().head(3))
    rows[:, 1:] = np.nan  # all but the city; rain can be missing, and is a fact then
    found = fitted.score(people().head(2).with_columns(pl.lit(None).cast(pl.Int64).alias("count")))
    assert found["log_prob"].is_finite().all()
    assert "not given" in found["note"][0]
    columns = fitted.schema.columns
    assert not columns[1].missing
    spread = fitted.model.order_spread(fitted.schema.encode(people().head(50)))
    assert (spread > 0).all()
    # The marginal of a column without missing values sums to one on its own.
    counts = np.full((int(columns[1].support[1]) + 1, 1), np.nan)
    single = table_model(Schema((columns[1], columns[2])), "any-order", **OPTIONS).eval().requires_grad_(False)
    x = np.column_stack([np.arange(len(counts)), counts])
    assert float(single.log_prob(torch.as_tensor(x)).exp().sum()) == pytest.approx(1, abs=1e-5)


def test_files(fitted, tmp_path):
    fitted.save(tmp_path / "m.flow")
    again = FittedTable.load(tmp_path / "m.flow")
    assert isinstance(again.model, AnyOrderTable)
    rows = fitted.schema.encode(people().head(20))
    assert (again.model.entry_log_prob(rows, 2) == fitted.model.entry_log_prob(rows, 2)).all()
    assert fitted.report(tmp_path / "r.html").endswith("r.html")


def test_what_does_not_fit():
    frame = people()
    schema = infer_schema(frame)
    with pytest.raises(SpecError, match="labels and numbers together"):
        table_model(schema, "any-order", labels="discrete")
    with pytest.raises(SpecError, match="follows from the table's columns"):
        table_model(schema, "any-order", features=3)
    with pytest.raises(SpecError, match="for this table"):
        AnyOrderTable(schema, pf.systems.AnyOrder(features=2))
    model = table_model(schema, "any-order", **OPTIONS)
    with pytest.raises(DataError, match="a flow to encode"):
        model.encode(torch.as_tensor(schema.encode(frame.head(2))))
    other = pf.Table(frame).fit("gaussian", max_steps=2, baselines=False)
    for ask in (other.impute, other.surprise):
        with pytest.raises(DataError, match="fit the table with --flow any-order"):
            ask(frame)
    assert not other.conditional({"city": "Oslo"}, n=3).exact
