"""Two tables beside each other: distances of columns, copies, nearest rows, a classifier."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from pushforward.evaluation.table_comparison import _column, compare_tables
from pushforward.tables import Table, infer_schema

N = 1200


def table(seed, shift=0.0):
    rng = np.random.default_rng(seed)
    x = rng.normal(shift, 1, N)
    label = rng.choice(np.array(["a", "b", "c"], dtype=object), N, p=[0.5, 0.3, 0.2])
    return Table(("x", "y", "label"), (x, 0.8 * x + 0.6 * rng.normal(size=N), label))


def compared(first, second):
    schema = infer_schema(first)
    return compare_tables(schema, schema.encode(first), schema.encode_rows(second))


def test_tables_of_one_distribution():
    found = compared(table(0), table(1))
    first, second = table(0), table(1)
    assert found.columns[0].distance == pytest.approx(stats.ks_2samp(first["x"], second["x"]).statistic, abs=1e-12)
    for column in found.columns:
        assert column.distance < 2.5 * column.by_chance
    assert abs(found.classifier.auc - 0.5) < 4 * found.classifier.auc_error
    assert found.correlation[0] < 0.1
    assert found.copies == 0
    assert found.nearest[0] == pytest.approx(found.nearest[1], rel=0.15)
    assert found.unusable == 0


def test_chance_distances_are_those_of_simulations():
    rng = np.random.default_rng(0)
    found = {"x": [], "label": []}
    for _ in range(200):
        x, y = rng.normal(size=200), rng.normal(size=300)
        found["x"].append(_column("x", x, y, numeric=True))
        x, y = (rng.choice(3, n, p=[0.5, 0.3, 0.2]).astype(float) for n in (200, 300))
        found["label"].append(_column("label", x, y, numeric=False))
    found = {name: [part.distance / part.by_chance for part in parts] for name, parts in found.items()}
    assert np.mean(found["x"]) == pytest.approx(1, abs=0.12)
    assert np.mean(found["label"]) == pytest.approx(1, abs=0.2)


def test_drift_copies_and_odd_entries_are_found():
    moved = compared(table(0), table(1, shift=0.7))
    assert moved.columns[0].distance > 4 * moved.columns[0].by_chance
    assert moved.classifier.p_value < 1e-4
    copied = compared(table(0), table(0).take(np.arange(300)))
    assert copied.copies == 1
    assert copied.nearest[0] == 0
    odd = table(1)
    odd["label"][:5] = "new"
    assert compared(table(0), odd).unusable == 5
    blind = Table(("x", "y", "label"), (table(2)["x"], np.random.default_rng(9).normal(size=N), table(2)["label"]))
    assert compared(table(0), blind).correlation[0] > 0.6
