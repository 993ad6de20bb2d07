"""Columns of angles and positions: densities in their units, wrapping, files, and what a wrong declaration gets."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch
from command_line import run

import pushforward as pf
from pushforward.core import Circle, Product, Real
from pushforward.core.exactness import Exactness
from pushforward.errors import DataError
from pushforward.tables import Schema, infer_schema, table_model
from pushforward.tables.column_layers import FillMissing, column_layers
from pushforward.tables.curved_layers import CurveColumns, space_of_axes
from pushforward.tables.describe import schema_notes
from pushforward.tables.schema_file import read_choices, schema_text
from pushforward.tables.table import table_from

rng = np.random.default_rng(0)
N = 400
HOUR = rng.integers(0, 24, N)
WIND = rng.uniform(0, 360, N)
SPEED = rng.normal(5, 2, N)
LAT = np.degrees(np.arcsin(rng.uniform(-1, 1, N)))
LON = rng.uniform(-180, 180, N)
KIND = np.array(["a", "b"], dtype=object)[rng.integers(0, 2, N)]


def model_of(schema, spread=0.3, **options):
    torch.manual_seed(0)
    fields = {"layers": 2, "hidden": (8,), "bins": 4, **options}
    model = table_model(schema, "mixed", label_hidden=(8,), **fields).double().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(spread * torch.randn_like(parameter))
    return model


def log_prob(model, rows):
    with torch.no_grad():
        return model.log_prob(torch.as_tensor(np.asarray(rows, dtype=np.float64))).numpy()


def test_a_fresh_model_has_the_uniform_density_of_the_units():
    """1 / 360 per degree for an angle, cos(latitude) / (4 pi) (pi / 180)^2 per square degree for a position."""
    schema = infer_schema({"wind": WIND, "lat": LAT, "lon": LON}, kinds={"wind": "angle", "lat,lon": "position"})
    model = model_of(schema, spread=0.0)
    assert model.exactness == Exactness.EXACT
    expected = -math.log(360) + np.log(np.cos(np.radians(LAT)) / (4 * math.pi) * math.radians(1) ** 2)
    np.testing.assert_allclose(
        log_prob(model, schema.encode({"wind": WIND, "lat": LAT, "lon": LON})), expected, atol=1e-9
    )


def test_whole_hours_have_probabilities():
    schema = infer_schema({"hour": HOUR}, kinds={"hour": "angle:24"})
    (column,) = schema.columns
    assert (column.kind, column.low, column.high, column.period, column.storage) == ("integer", 0, 23, 24, "int64")
    fresh = model_of(schema, spread=0.0)
    np.testing.assert_allclose(log_prob(fresh, HOUR[:, None]), -math.log(24), atol=1e-9)
    model = model_of(schema)
    hours = np.repeat(np.arange(24.0), 2000)
    total = np.exp(log_prob(model, hours[:, None])).reshape(24, -1).mean(1)
    assert total.sum() == pytest.approx(1, abs=0.02)
    torch.manual_seed(0)
    counts = np.bincount(model.sample(20_000)[:, 0].numpy().astype(int), minlength=24) / 20_000
    assert np.abs(counts - total).max() < 0.012


def test_mass_is_one_over_a_position():
    schema = infer_schema({"lat": LAT, "lon": LON}, kinds={"lat,lon": "position"})
    model = model_of(schema)
    lat = -90 + 180 * (np.arange(400) + 0.5) / 400
    lon = -180 + 360 * (np.arange(400) + 0.5) / 400
    rows = np.stack(np.meshgrid(lat, lon, indexing="ij"), -1).reshape(-1, 2)
    mass = np.exp(log_prob(model, rows)).reshape(400, 400) * (180 / 400) * (360 / 400)
    assert mass.sum() == pytest.approx(1, abs=2e-3)
    torch.manual_seed(0)
    drawn = model.sample(20_000).numpy()
    assert np.abs(drawn[:, 0]).max() < 90
    shares = np.histogram2d(drawn[:, 0], drawn[:, 1], [5, 5], [[-90, 90], [-180, 180]])[0] / 20_000
    assert np.abs(shares - mass.reshape(5, 80, 5, 80).sum((1, 3))).max() < 0.01


def test_missing_angles_and_heights_are_filled_by_their_own_noise():
    holes = np.where(np.arange(N) % 4 == 0, np.nan, WIND)
    south = np.where(np.arange(N) % 5 == 0, np.nan, LAT)
    table = {"wind": holes, "lat": south, "lon": LON}
    schema = infer_schema(table, kinds={"wind": "angle", "lat,lon": "position"})
    model = model_of(schema, spread=0.0)
    rows = schema.encode(table)
    got = log_prob(model, rows)
    with torch.no_grad():
        labels = model.labels.log_prob(model._split(torch.from_numpy(rows))[0]).numpy()
    wind = np.where(np.isnan(holes), 0, -math.log(360))
    lat = np.where(np.isnan(south), 0, np.log(np.cos(np.radians(south)) / 2 * math.radians(1)))
    np.testing.assert_allclose(got, labels + wind + lat - math.log(360), atol=1e-9)
    torch.manual_seed(0)
    assert bool(model.sample(200).isnan().any(0)[:2].all())


def test_layers_of_curved_columns_invert_each_other():
    schema = infer_schema(
        {"hour": HOUR, "speed": SPEED, "lat": LAT, "lon": LON}, kinds={"hour": "angle:24", "lat,lon": "position"}
    )
    columns = schema.columns[1:]
    assert space_of_axes(schema.columns) == Product(Circle(), Real(1), *space_of_axes(schema.columns[2:]).parts)
    layer = column_layers(columns)[0]
    assert isinstance(layer, CurveColumns)
    x = torch.from_numpy(np.stack([SPEED, LAT, LON], 1))
    z, dlogp = layer(x)
    back, opposite = layer.inverse(z)
    torch.testing.assert_close(back, x)
    torch.testing.assert_close(opposite, -dlogp)
    rows = x[:5].clone().requires_grad_()
    jacobian = torch.autograd.functional.jacobian(lambda v: layer(v)[0].sum(0), rows).movedim(1, 0)
    torch.testing.assert_close(torch.linalg.slogdet(jacobian)[1], dlogp[:5])
    poles = torch.tensor([[0.0, 90.0, 180.0], [0.0, -90.0, -180.0]]).double()
    assert bool(layer(poles)[1].isfinite().all())
    assert bool(layer.inverse(layer(poles)[0])[1].isfinite().all())
    assert not any(isinstance(layer, FillMissing) for layer in column_layers(columns))


def test_angles_are_wrapped_with_a_count(tmp_path):
    wind = np.concatenate([WIND, [-10.0, 370.0, 360.0]])
    table = table_from({"wind": wind})
    schema = infer_schema(table, kinds={"wind": "angle"})
    rows = schema.encode(table)
    np.testing.assert_allclose(rows[-3:, 0], [350, 10, 0])
    assert schema_notes(schema, table, rows)["wind"] == "3 entries outside the period from 0 to 360, wrapped into it"
    drawn = schema.decode(rows)["wind"]
    assert drawn.min() >= 0
    assert drawn.max() < 360


@pytest.mark.parametrize(
    ("values", "kind", "low", "period", "whole"),
    [
        (np.arange(1, 13).repeat(5), "angle:12", 1, 12, True),
        (np.arange(24).repeat(5), "angle:24", 0, 24, True),
        (rng.uniform(-math.pi, math.pi, 50), "angle", -math.pi, 2 * math.pi, False),
        (rng.uniform(0, 2 * math.pi, 50), "angle:radians", 0, 2 * math.pi, False),
        (rng.uniform(-180, 180, 50), "angle:degrees", -180, 360, False),
        (np.arange(1, 366), "angle:365.25", 1, 365.25, False),
        (rng.uniform(-300, 300, 50), "angle", 0, 360, False),
    ],
)
def test_the_period_starts_where_the_values_do(values, kind, low, period, whole):
    (column,) = infer_schema({"a": values}, kinds={"a": kind}).columns
    assert (column.low, column.period) == pytest.approx((low, period))
    assert (column.kind == "integer") == whole


def test_days_of_the_year_come_back_as_days():
    days = np.arange(500) % 365 + 1
    schema = infer_schema({"day": days}, kinds={"day": "angle:365.25"})
    drawn = schema.decode(np.array([[1.2], [365.9], [366.2], [100.0]]))["day"]
    assert drawn.tolist() == [1, 366, 366, 100]
    assert drawn.dtype.kind == "i"


def test_a_time_of_day_is_an_angle_of_one_day():
    times = (rng.integers(0, 24 * 60, 300) * 60_000_000).astype("timedelta64[us]")
    schema = infer_schema({"at": times}, kinds={"at": "angle"})
    (column,) = schema.columns
    assert (column.storage, column.axis, column.low, column.period) == ("time", "angle", 0, 24 * 60)
    assert Schema.from_dict(json.loads(json.dumps(schema.to_dict()))) == schema
    assert schema.decode(np.array([[61.0]]))["at"][0] == np.timedelta64(61, "m")


def test_schemas_of_curved_columns_survive_files(tmp_path):
    table = table_from({"hour": HOUR, "lat": LAT, "lon": LON, "kind": KIND})
    schema = infer_schema(table, kinds={"hour": "angle:24", "lat,lon": "position"})
    assert [column.shown_kind for column in schema.columns] == ["angle", "position", "position", "categorical"]
    assert Schema.from_dict(json.loads(json.dumps(schema.to_dict()))) == schema
    path = tmp_path / "s.toml"
    path.write_text(schema_text(schema, {}))
    again = infer_schema(table, kinds=read_choices(str(path)).kinds)
    assert again.columns == schema.columns
    broken = schema.to_dict()
    broken["columns"][1]["axis"] = "sideways"
    with pytest.raises(DataError, match="axis"):
        Schema.from_dict(broken)


@pytest.mark.parametrize(
    ("kinds", "message"),
    [
        ({"lat": "position"}, "two columns for a position"),
        ({"lat,long": "position"}, "none called 'long'"),
        ({"lat": "latitude:lon"}, "the longitude that belongs to the latitude 'lat'"),
        ({"lat,lon": "angle"}, "expected position as the kind of the pair"),
        ({"lon,lat": "position"}, r"latitude beyond 90 degrees: .* exchanged\?"),
        ({"lon": "angle:x"}, "period of the angle 'lon' as a number above 0"),
        ({"lon": "angle:-3"}, "period of the angle 'lon' as a number above 0"),
        ({"kind": "angle"}, "expected numbers in column 'kind'"),
        ({"lon": "circle"}, "to be one of .* angle, position, got 'circle'"),
    ],
)
def test_wrong_declarations_get_one_sentence(kinds, message):
    with pytest.raises(DataError, match=message):
        infer_schema({"lat": LAT, "lon": LON, "kind": KIND}, kinds=kinds)


def test_flows_of_numbers_refuse_angles():
    schema = infer_schema({"wind": WIND, "speed": SPEED}, kinds={"wind": "angle"})
    with pytest.raises(DataError, match="such as 'mixed' for this table, because column 'wind' is an angle, got 'maf'"):
        table_model(schema, "maf")
    torus = infer_schema({"wind": WIND, "lon": LON}, kinds={"wind": "angle", "lon": "angle"})
    assert table_model(torus, "torus").numbers.base.space.size == 2


def test_the_command_line_fits_scores_draws_and_reports(tmp_path):
    n = 300
    hour = rng.normal(23.5, 2, n) % 24
    lon = (rng.normal(179, 5, n) + 180) % 360 - 180
    table = {"hour": hour.astype(int), "temp": np.round(10 + np.cos(hour), 2), "lat": rng.normal(40, 3, n), "lon": lon}
    path = tmp_path / "t.csv"
    path.write_text(
        "hour,temp,lat,lon\n" + "\n".join(",".join(map(str, row)) for row in zip(*table.values(), strict=True)) + "\n"
    )
    model = tmp_path / "m.flow"
    kinds = ("--kind", "hour=angle:24", "--kind", "lat,lon=position")
    code, out, err = run("fit", path, *kinds, "--epochs", "3", "--no-baselines", "--out", model)
    assert code == 0, err
    assert "mixed" in out + err
    bad = tmp_path / "bad.csv"
    bad.write_text("hour,temp,lat,lon\n25,10,40,100\n3,10,91,100\n3,10,90,540\n")
    code, out, err = run("score", model, bad, "--out", tmp_path / "scores.csv")
    assert code == 0, err
    assert "hour: 1 entry outside the period from 0 to 24, wrapped into it" in out + err
    assert "beyond 90 degrees" in (tmp_path / "scores.csv").read_text()
    run("sample", model, "--rows", "200", "--out", tmp_path / "drawn.csv")
    drawn = np.genfromtxt(tmp_path / "drawn.csv", delimiter=",", names=True)
    assert set(np.unique(drawn["hour"])) <= set(range(24))
    assert np.abs(drawn["lat"]).max() <= 90
    assert np.abs(drawn["lon"]).max() <= 180
    code, _, err = run("report", model, path, "--no-baselines", "--out", tmp_path / "r.html")
    assert code == 0, err
    page = (tmp_path / "r.html").read_text()
    assert "Circular histograms of angles" in page
    assert "keeps areas" in page


def test_in_python(tmp_path):
    table = pf.Table({"wind": WIND, "speed": SPEED}, kinds={"wind": "angle"})
    model = table.fit(epochs=2, baselines=False)
    drawn = model.sample(50)
    assert np.asarray(drawn["wind"]).max() < 360
