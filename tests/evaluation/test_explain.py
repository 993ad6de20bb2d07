"""Why a row is unlikely, beside closed forms; ranks among training rows; impossible values."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from pushforward.evaluation.explain import entry_probabilities, explained
from pushforward.evaluation.impossible import check_values
from pushforward.evaluation.ranks import ScoreRanks
from pushforward.tables import Table, infer_schema, table_model

RNG = np.random.default_rng(0)
N = 3000
X = RNG.normal(size=N)
Y = 0.8 * X + 0.6 * RNG.normal(size=N)


def gaussian_model():
    table = Table(("x", "y"), (X, Y))
    schema = infer_schema(table)
    rows = schema.encode(table)
    model = table_model(schema, "mixture", components=1)
    torch.manual_seed(0)
    model.init_from(torch.from_numpy(rows))
    return model.double().eval(), rows


def test_entries_have_the_probabilities_of_their_conditional_gaussians():
    model, rows = gaussian_model()
    asked = np.array([[0.0, 0.0], [1.0, 2.5], [3.0, 2.4], [-1.0, 1.0]])
    cov, mean = np.cov(rows.T), rows.mean(0)
    exact = np.empty(asked.shape)
    for i, j in ((0, 1), (1, 0)):
        centre = mean[i] + cov[i, j] / cov[j, j] * (asked[:, j] - mean[j])
        sd = np.sqrt(cov[i, i] - cov[i, j] ** 2 / cov[j, j])
        exact[:, i] = 2 * stats.norm.sf(np.abs(asked[:, i] - centre) / sd)
    np.testing.assert_allclose(entry_probabilities(model, asked), exact, atol=0.12 * 0.6)
    texts = explained(model, asked)
    assert texts[0].startswith("no single entry")
    assert "y = 1" in texts[3]


def test_labels_and_gaps_are_summed():
    label = np.array(["a"] * 950 + ["b"] * 45 + ["c"] * 5, dtype=object)
    table = Table(("l", "m"), (label, np.array(["u", "v"] * 500, dtype=object)))
    schema = infer_schema(table)
    model = table_model(schema, label_hidden=(8,))
    model.init_from(torch.from_numpy(schema.encode(table)))
    chances = entry_probabilities(model, np.array([[0.0, 0.0], [1.0, 0.0], [2.0, 1.0]]))
    np.testing.assert_allclose(chances[:, 0], [1.0, 0.05, 0.005], atol=2e-3)
    np.testing.assert_allclose(chances[:, 1], 1.0, atol=1e-6)


def test_ranks():
    scores = RNG.normal(size=5000)
    ranks = ScoreRanks.of({"quantiles": ScoreRanks.from_scores(scores).to_list()})
    at = np.array([-10.0, np.median(scores), 10.0, -np.inf])
    np.testing.assert_allclose(ranks.percentiles(at), [0, 50, 100, 0], atol=0.1)
    assert (scores < ranks.threshold(0.01)).mean() == pytest.approx(0.01, abs=1e-3)
    assert ScoreRanks.of({"quantiles": [1, 2]}) is None
    assert ScoreRanks.of({}) is None


def test_impossible_values_are_counted():
    price = np.round(RNG.gamma(2.0, 5.0, 500), 2)
    data = Table(
        ("price", "twice", "label", "rain"),
        (
            price,
            2 * price,
            RNG.choice(np.array(["a", "b"], dtype=object), 500),
            np.where(RNG.random(500) < 0.5, 0.0, RNG.normal(5, 1, 500)),
        ),
    )
    schema = infer_schema(data, leave_out=True)
    assert sum(check.impossible for check in check_values(schema, data, data)) == 0
    bad = Table(
        data.names,
        (
            np.where(np.arange(500) < 7, 1e6, price + 0.001 * (np.arange(500) == 9)),
            data["twice"] + (np.arange(500) < 3),
            np.array(["new", *data["label"][1:]], dtype=object),
            data["rain"],
        ),
    )
    found = {(check.column, check.check.split()[0]): check for check in check_values(schema, data, bad)}
    assert found["price", "within"].impossible == 7
    assert found["price", "at"].impossible == 1
    assert found["label", "one"].impossible == 1
    assert found["twice", "equal"].impossible == 8
    assert "in data" in found["rain", "often"].note
