"""Spikes, grids, equations and identifiers: found in tables, and kept in samples."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from pushforward.errors import DataError
from pushforward.tables import Schema, Table, infer_schema, table_model
from pushforward.tables.drawing import draw_rows
from pushforward.tables.grain import find_grain, find_spikes

RNG = np.random.default_rng(0)
N = 500


def table(**columns):
    return Table(tuple(columns), tuple(map(np.asarray, columns.values())))


def schema_of(**columns):
    return infer_schema(table(**columns), leave_out=True)


def beside(schema):
    return {other.name: other for other in schema.beside}


def test_spikes():
    zeros = np.where(RNG.random(N) < 0.86, 0.0, RNG.gamma(2.0, size=N))
    assert find_spikes(zeros, whole=False) == (0.0,)
    capped = np.minimum(RNG.gamma(2.0, size=N), 4.0)
    assert find_spikes(np.where(RNG.random(N) < 0.3, 0.0, capped), whole=False) == (0.0, 4.0)
    assert find_spikes(RNG.normal(size=N), whole=False) == ()
    assert find_spikes(np.round(RNG.normal(size=N), 1), whole=False) == ()
    assert find_spikes(RNG.poisson(3.0, N).astype(float), whole=True) == ()
    hours = np.where(RNG.random(N) < 0.5, 40.0, RNG.integers(1, 99, N).astype(float))
    assert find_spikes(hours, whole=True) == (40.0,)


def test_grains():
    assert find_grain(np.round(RNG.normal(size=N), 2), whole=False).decimals == 2
    assert find_grain(RNG.normal(size=N), whole=False).decimals is None
    assert find_grain(RNG.integers(-400, 400, N) / 4 + 0.1, whole=False).grid == pytest.approx(0.25)
    assert find_grain(1000.0 * RNG.integers(20, 90, N) + 500, whole=True).grid == 1000
    assert len(find_grain(RNG.choice([0.123456789, 1 / 3, math.pi], N), whole=False).levels) == 3


def test_a_spike_has_its_probability_and_a_density_beside_it():
    rain = np.where(RNG.random(N) < 0.86, 0.0, RNG.gamma(2.0, size=N))
    schema = schema_of(rain=rain, x=RNG.normal(size=N))
    assert schema.columns[0].classes == 2
    torch.manual_seed(0)
    model = table_model(schema, "gaussian")
    model.init_from(torch.from_numpy(schema.encode(table(rain=rain, x=RNG.normal(size=N)))))
    rows = torch.from_numpy(draw_rows(model, 4000))
    share = float((rows[:, 0] == 0).double().mean())
    assert share == pytest.approx((rain == 0).mean(), abs=0.03)
    assert float(rows[:, 0].min()) == 0.0
    # The mass of both parts is one: a sum for the spike, and an integral beside it.
    one = infer_schema(table(rain=rain))
    alone = table_model(one, "gaussian")
    alone.init_from(torch.from_numpy(one.encode(table(rain=rain))))
    grid = torch.linspace(-15, 30, 20_001, dtype=torch.float64)[:, None] + 1e-7
    with torch.no_grad():
        density = torch.stack([alone.log_prob(grid) for _ in range(2)]).mean(0).exp().sum() * (grid[1] - grid[0])
        spike = torch.stack([alone.log_prob(torch.zeros(1, 1, dtype=torch.float64)) for _ in range(400)])
    mass = float(density) + float(spike.exp().mean())
    assert mass == pytest.approx(1.0, abs=0.02)


def test_equations_are_found_and_kept():
    a, b = np.round(RNG.normal(50, 20, N), 2), np.round(RNG.normal(10, 3, N), 2)
    n = RNG.integers(1, 9, N)
    price = np.round(RNG.gamma(3.0, 5.0, N), 2)
    net = np.round(RNG.lognormal(6, 1, N), 2)
    schema = schema_of(
        a=a,
        b=b,
        total=a + b,
        twice=2 * a - b + 3,
        n=n,
        price=price,
        cost=n * price,
        net=net,
        tax=np.round(0.19 * net, 2),
    )
    found = {name: other.identity.text for name, other in beside(schema).items()}
    assert found == {"total": "a + b", "twice": "2 * a - b + 3", "cost": "n * price", "tax": "0.19 * net"}
    model = table_model(schema, "gaussian")
    drawn = schema.decode(draw_rows(model, 200))
    assert drawn.names == ("a", "b", "total", "twice", "n", "price", "cost", "net", "tax")
    np.testing.assert_allclose(drawn["total"], drawn["a"] + drawn["b"], atol=1e-9)
    np.testing.assert_allclose(drawn["tax"], 0.19 * drawn["net"], atol=0.00501)
    off = schema.encode_rows(
        table(**{**dict(zip(drawn.names, drawn.columns, strict=True)), "total": drawn["total"] + 1})
    )
    assert off.bad.all()
    assert "total is not a + b" in off.notes[0]
    assert Schema.from_dict(schema.to_dict()) == schema


def test_noise_is_no_equation():
    a, b = RNG.normal(size=N), RNG.normal(size=N)
    assert schema_of(a=a, b=b, c=a + b + 1e-4 * RNG.normal(size=N)).beside == ()
    few = {f"x{i}": RNG.normal(size=12) for i in range(11)}
    assert schema_of(**few).beside == ()
    whole = {name: RNG.integers(0, 3, N) for name in "abc"}
    assert schema_of(**whole).beside == ()


def test_identifiers_are_left_out_and_drawn_anew():
    schema = schema_of(
        k=np.arange(N) + 7,
        code=np.array([f"A-{i:04d}" for i in range(N)], dtype=object),
        mail=np.array([f"u{i}@x{i}.org" for i in range(N)], dtype=object),
        words=np.array([f"a b c d {i}" for i in range(N)], dtype=object),
        user_id=RNG.permutation(10 * N)[:N],
        x=RNG.normal(size=N),
    )
    roles = {name: other.role for name, other in beside(schema).items()}
    assert roles == {
        "k": "identifier",
        "code": "identifier",
        "mail": "identifier",
        "words": "left out",
        "user_id": "identifier",
    }
    drawn = schema.decode(np.zeros((3, 1)))
    assert drawn.names == ("k", "code", "mail", "user_id", "x")
    assert drawn["k"].tolist() == [N + 7, N + 8, N + 9]
    assert drawn["code"].tolist() == ["A-0500", "A-0501", "A-0502"]
    assert drawn["mail"].tolist() == ["mail-1", "mail-2", "mail-3"]
    assert Schema.from_dict(schema.to_dict()) == schema
    kept = infer_schema(table(k=np.arange(N), x=RNG.normal(size=N)), leave_out=True, kinds={"k": "integer"})
    assert kept.beside == ()
    with pytest.raises(DataError, match="identifiers"):
        infer_schema(table(code=np.array([f"A-{i}" for i in range(N)], dtype=object), x=RNG.normal(size=N)))


def test_draws_stay_in_the_range_that_was_seen():
    x = np.round(RNG.gamma(1.0, size=N), 3)
    schema = schema_of(x=x, y=RNG.normal(size=N))
    model = table_model(schema, "gaussian")
    inside, beyond = (draw_rows(model, 2000, extrapolate=extrapolate) for extrapolate in (False, True))
    drawn = schema.decode(inside)
    assert x.min() <= drawn["x"].min()
    assert drawn["x"].max() <= x.max()
    np.testing.assert_array_equal(drawn["x"], np.round(drawn["x"], 3))
    assert beyond[:, 0].min() < x.min()
