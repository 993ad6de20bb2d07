"""The model that is chosen when no system is named."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pushforward.tables import Table, auto, infer_schema
from pushforward.tables.auto import AutoChoice, choose, fresh, improve, label_widths
from pushforward.training import TrainConfig, fit


def table(rows=400, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=rows)
    return Table(
        ("x", "y", "l"), (x, x**2 + rng.normal(size=rows), rng.choice(np.array(["a", "b"], dtype=object), rows))
    )


def encoded(data):
    schema = infer_schema(data)
    return schema, schema.encode(data)


@pytest.mark.dear
def test_small_tables_get_dropout_and_a_mixture_as_base():
    schema, rows = encoded(table())
    choice = choose(schema, rows)
    assert choice.system == "nsf"
    assert choice.arguments["dropout"] > 0
    assert choice.arguments["base"] == "full-mixture"
    assert choice.alternatives[-1] == ("mixture", {"components": choice.arguments["components"]})
    assert "dropout" not in choose(*encoded(table(6000))).arguments


def test_heavy_tails_get_a_student_base():
    rng = np.random.default_rng(0)
    data = Table(("a", "b"), tuple(rng.standard_t(2, size=(2, 1000))))
    assert choose(*encoded(data)).arguments["base"] == "student"


def test_networks_of_labels_grow_with_the_labels():
    rng = np.random.default_rng(0)
    binary = Table(tuple(f"b{i}" for i in range(126)), tuple(rng.integers(0, 2, size=(126, 50)).astype(bool)))
    schema, rows = encoded(binary)
    assert label_widths(schema) == (504,)
    choice = choose(schema, rows)
    assert (choice.system, choice.arguments["hidden"]) == ("made", (504,))
    assert choice.alternatives[0][1]["masks"] > 1
    assert choice.with_label_hidden((7,)).alternatives[0][1]["hidden"] == (7,)
    net = fresh(schema, choice, 0).labels.net
    assert net.dropout.p > 0
    assert net.direct is not None
    assert label_widths(encoded(table())[0]) == (64, 64)


@pytest.mark.dear
def test_the_best_on_validation_rows_is_kept_and_fitted_again():
    schema, rows = encoded(table())
    choice = choose(schema, rows)
    config = TrainConfig(epochs=2, threads=1)
    model = fresh(schema, choice, 0)
    result = fit(model, rows, validation=0.2, config=config, progress=False)
    found = improve(model, result, choice, rows, 0.2, config, seed=0)
    scores = [entry["validation"] for entry in found.tried]
    assert len(scores) == 1 + len(choice.alternatives)
    assert found.system == found.tried[int(np.argmax(scores))]["system"]
    assert found.refitted
    alone = improve(model, result, choice, rows, None, config, seed=0)
    assert alone.model is model


def test_fresh_models_depend_on_the_seed_only():
    schema, _ = encoded(table())
    choice = AutoChoice(system="nsf", arguments={"layers": 1, "hidden": 8}, label_hidden=(8,), label_dropout=0.1)
    first, second = (fresh(schema, choice, 3).state_dict() for _ in range(2))
    assert all(bool((first[name] == second[name]).all()) for name in first)


def test_an_interrupted_comparison_names_the_signal(monkeypatch):
    schema, rows = encoded(table())
    choice = AutoChoice(system="nsf", arguments={"layers": 1, "hidden": 8}, alternatives=(("mixture", {}),))
    config = TrainConfig(epochs=1, threads=1)
    model = fresh(schema, choice, 0)
    result = fit(model, rows, validation=0.2, config=config, progress=False)
    stopped = replace(result, stopped="interrupted", signal=15)
    monkeypatch.setattr(auto, "fit", lambda *_, **__: stopped)
    found = improve(model, result, choice, rows, 0.2, config, seed=0)
    assert found.interrupted == 15
    assert found.model is model
