"""Baselines of unit vectors, and what the command line says about rows that are not."""

import math

import numpy as np
import pytest
import scipy.stats
import torch
from command_line import run

from pushforward.core import Sphere
from pushforward.evaluation.directional_baselines import directional_baselines


def clusters(n, seed):
    draws = [
        scipy.stats.vonmises_fisher(mean, 50).rvs(n, random_state=seed + i)
        for i, mean in enumerate(([1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]))
    ]
    return np.random.default_rng(seed).permutation(np.concatenate(draws))


def test_the_mixture_is_the_best_of_three_on_clusters():
    uniform, single, mixture = directional_baselines(Sphere((3,)), clusters(300, 0), clusters(100, 10))
    assert uniform.mean == pytest.approx(-math.log(4 * math.pi))
    truth = np.mean(
        [
            scipy.special.logsumexp(
                [scipy.stats.vonmises_fisher(m, 50).logpdf(x) for m in ([1.0, 0, 0], [0, 0, -1.0], [0, 1.0, 0])]
            )
            for x in clusters(100, 10)
        ]
    ) - math.log(3)
    assert uniform.mean < single.mean < mixture.mean
    assert mixture.mean == pytest.approx(truth, abs=0.1)
    assert "components" in mixture.note


def test_few_rows_get_one_direction():
    scores = directional_baselines(Sphere((3,)), clusters(1, 0), clusters(1, 1))
    assert [np.isfinite(s.mean) for s in scores] == [True] * 3


def test_a_table_of_unit_vectors_is_compared_on_the_sphere(tmp_path):
    x = clusters(60, 3)
    good, bad = tmp_path / "good.csv", tmp_path / "bad.csv"
    for path, rows in ((good, x), (bad, 1.1 * x)):
        np.savetxt(path, rows, delimiter=",", header="x,y,z", comments="", fmt="%.7f")
    options = ("--flow", "sphere", "--layers", 1, "--epochs", 1, "--out", tmp_path / "m.flow")
    code, out, _ = run("fit", good, *options)
    assert code == 0
    assert "von Mises-Fisher mixture" in out
    assert "Gaussian" not in out
    code, _, err = run("fit", bad, *options)
    assert code == 1
    assert "which is 0.1 away from it" in err
    assert "divide each row by its length" in err


def test_the_score_of_a_uniform_model_is_that_of_the_baseline():
    x = Sphere((3,)).random(50, torch.float64).numpy()
    assert directional_baselines(Sphere((3,)), x, x)[0].per_row.shape == (50,)
