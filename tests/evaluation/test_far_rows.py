"""Rows far out in the tails: finite or -inf, never NaN, and as exact as rows in the middle."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest
import torch

import pushforward as pf
from pushforward.cli.main import main
from pushforward.estimator import FlowDensity


@pytest.mark.parametrize("system", ["radial", "planar", "nsf", "maf", "realnvp", "nice", "gaussian", "sylvester"])
@pytest.mark.parametrize("reach", [1e15, 1e20, 1e30])
def test_a_density_far_out_is_no_nan(system, reach):
    torch.manual_seed(0)
    flow = pf.build(system, features=3)
    for p in flow.parameters():
        torch.nn.init.normal_(p, std=0.2)
    with torch.no_grad():
        log_prob = flow.log_prob(torch.tensor([[reach] * 3, [-reach, 0.0, 1.0], [0.1, 0.2, 0.3]]))
    assert not bool(log_prob.isnan().any())
    assert bool((log_prob[:2] < -1e4).all())
    assert math.isfinite(log_prob[2])


def test_nan_near_the_middle_stays_nan():
    """Only an overflow is no density; any other NaN is a fault that must be seen."""
    flow = pf.build("gaussian", features=2)
    with torch.no_grad():
        next(iter(flow.parameters())).fill_(math.nan)
    assert bool(flow.log_prob(torch.ones(1, 2)).isnan())


@pytest.mark.parametrize("seed", range(3))
def test_the_estimator_gives_minus_infinity_far_out(seed):
    rows = np.random.default_rng(0).normal(size=(200, 3))
    model = FlowDensity(layers=2, hidden=8, max_iter=2, random_state=seed).fit(rows)
    scores = model.score_samples(np.array([[1e160] * 3, [1e300] * 3, [0.0] * 3]))
    assert scores[0] == scores[1] == -math.inf
    assert math.isfinite(scores[2])


def test_codes_of_heavy_tails_come_back():
    """Student t with 1.5 degrees of freedom: float32 lost up to 7e-2, 1e-3 of a row's largest value."""
    rows = np.random.default_rng(0).standard_t(1.5, size=(1000, 3))
    model = FlowDensity("maf", layers=3, hidden=[16], max_iter=8, random_state=0).fit(rows)
    back = model.inverse_transform(model.transform(rows))
    assert float((np.abs(back - rows).max(1) / np.abs(rows).max(1)).max()) < 1e-7


def test_scores_of_far_rows_are_those_of_float64(tmp_path):
    rows = np.random.default_rng(0).standard_t(1.5, size=(400, 2))
    path = tmp_path / "t.csv"
    path.write_text("a,b\n" + "\n".join(f"{a!r},{b!r}" for a, b in rows.tolist()) + "\n")
    model = tmp_path / "t.flow"
    fit = [
        "fit",
        str(path),
        "--flow",
        "maf",
        "--layers",
        "2",
        "--hidden",
        "16",
        "--max-steps",
        "60",
        "--out",
        str(model),
    ]
    assert main([*fit, "--quiet"]) == 0
    assert main(["score", str(model), str(path), "--out", str(tmp_path / "s.csv"), "--quiet"]) == 0
    scores = np.loadtxt(tmp_path / "s.csv", skiprows=1, delimiter=",", usecols=1)
    saved = pf.load(model)
    with torch.no_grad():
        exact = copy.deepcopy(saved.model).double().log_prob(torch.from_numpy(rows)).numpy()
    far = scores < np.median(scores) - 16
    assert far.any()
    np.testing.assert_allclose(scores[far], exact[far], rtol=1e-10)
    np.testing.assert_allclose(scores, exact, rtol=1e-4)
