"""The diagnostics against SciPy, scikit-learn, closed forms and simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats
from sklearn.datasets import load_iris

from pushforward.errors import DataError
from pushforward.evaluation import (
    NumericView,
    baselines,
    encode_pair,
    holm,
    latent_normality,
    mean_and_error,
    paired_difference,
    table_views,
    two_sample_score,
)
from pushforward.evaluation.gaussian_baseline import fit_gaussian
from pushforward.evaluation.normality import anderson_p


def correlated(n, d, seed):
    rng = np.random.default_rng(seed)
    mix = rng.normal(size=(d, d)) + 2 * np.eye(d)
    return rng.normal(size=(n, d)) @ mix.T + 5, mix @ mix.T


def by_name(scores):
    return {score.name: score for score in scores}


# Means and errors


def test_mean_and_error_is_the_textbook_one():
    x = np.random.default_rng(0).normal(size=50)
    mean, error = mean_and_error(x)
    assert mean == pytest.approx(x.mean())
    assert error == pytest.approx(stats.sem(x))


def test_mean_and_error_of_few_or_infinite_values():
    assert math.isnan(mean_and_error(np.zeros(0)).mean)
    assert mean_and_error(np.ones(1)).mean == 1
    assert math.isnan(mean_and_error(np.ones(1)).standard_error)
    lost = mean_and_error(np.array([0.0, -math.inf]))
    assert lost.mean == -math.inf
    assert math.isnan(lost.standard_error)


def test_paired_difference_cancels_what_is_common():
    rng = np.random.default_rng(1)
    common = 100 * rng.normal(size=400)
    difference = paired_difference(common + 1 + 0.1 * rng.normal(size=400), common)
    assert difference.mean == pytest.approx(1, abs=0.03)
    assert difference.standard_error == pytest.approx(0.005, rel=0.2)
    with pytest.raises(DataError, match="expected two scores for each row"):
        paired_difference(np.zeros(3), np.zeros(4))


# Baselines


def test_gaussian_is_the_maximum_likelihood_gaussian():
    x, _ = correlated(800, 4, 0)
    train, test = x[:600], x[600:]
    score = baselines(train, test)[0]
    truth = stats.multivariate_normal(train.mean(0), np.cov(train.T, ddof=0)).logpdf(test)
    np.testing.assert_allclose(score.per_row, truth, atol=0.05)  # a little shrinkage may pay
    assert score.mean == pytest.approx(truth.mean(), abs=2e-3)
    assert score.standard_error == pytest.approx(stats.sem(truth), rel=1e-2)


def test_scores_are_in_raw_units():
    x, _ = correlated(400, 3, 1)
    scale = np.array([1e-3, 1.0, 1e4])
    plain = baselines(x[:300], x[300:], seed=3)
    scaled = baselines(x[:300] * scale + 7, x[300:] * scale + 7, seed=3)
    for a, b in zip(plain, scaled, strict=True):
        np.testing.assert_allclose(b.per_row, a.per_row - np.log(scale).sum(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("index", [0, 1, 2])
def test_every_baseline_has_mass_one(index):
    rng = np.random.default_rng(2)
    train = np.concatenate([rng.normal(-3, 0.5, 150), rng.normal(2, 1, 150)])[:, None]
    grid = np.linspace(-12, 12, 4001)[:, None]
    density = np.exp(baselines(train, grid)[index].per_row)
    assert np.trapezoid(density, grid[:, 0]) == pytest.approx(1, abs=1e-3)


def test_kernel_density_has_mass_one_in_two_dimensions():
    x, _ = correlated(200, 2, 3)
    side = np.linspace(-20, 30, 200)
    grid = np.stack(np.meshgrid(side, side), -1).reshape(-1, 2)
    density = np.exp(by_name(baselines(x, grid))["kernel density"].per_row)
    assert density.sum() * (side[1] - side[0]) ** 2 == pytest.approx(1, abs=1e-3)


def test_mixture_and_kernels_beat_the_gaussian_on_clusters_and_stay_under_the_truth():
    rng = np.random.default_rng(4)
    centres = np.array([[3, 3], [3, -3], [-3, 3], [-3, -3]])
    x = centres[rng.integers(4, size=900)] + 0.5 * rng.normal(size=(900, 2))
    scores = by_name(baselines(x[:600], x[600:]))
    entropy = math.log(4) + 2 * (math.log(0.5) + 0.5 * math.log(2 * math.pi * math.e))
    assert -scores["Gaussian mixture"].mean == pytest.approx(entropy, abs=0.12)
    assert scores["kernel density"].mean > scores["Gaussian"].mean + 1
    assert scores["Gaussian mixture"].mean > scores["kernel density"].mean


def test_few_rows_of_many_columns_are_shrunk():
    x = np.random.default_rng(5).normal(size=(60, 40))
    score = baselines(x[:40], x[40:])[0]
    assert score.mean > -40 * 1.9  # independent standard normals have -40 * 1.42; the raw covariance is singular


def test_singular_columns_give_finite_scores_and_a_note():
    x, _ = correlated(300, 2, 6)
    x = np.column_stack([x, x[:, 0] - x[:, 1]])
    scores = baselines(x[:200], x[200:])
    assert all(np.isfinite(score.per_row).all() for score in scores)
    assert "almost linear" in scores[0].note


def test_constant_columns_are_known():
    x, _ = correlated(200, 2, 7)
    plain = baselines(x[:150], x[150:])
    wide = np.column_stack([x, np.full(200, 3.0)])
    for a, b in zip(plain, baselines(wide[:150], wide[150:]), strict=True):
        np.testing.assert_allclose(a.per_row, b.per_row)
    wide[199, 2] = 4.0
    score = baselines(wide[:150], wide[150:])[0]
    assert score.per_row[-1] == -math.inf
    assert np.isfinite(score.per_row[:-1]).all()
    only = baselines(np.ones((5, 2)), np.ones((3, 2)))
    assert len(only) == 1
    assert only[0].mean == 0


def test_missing_values_use_the_marginal_of_the_observed_columns():
    x, covariance = correlated(4000, 3, 8)
    rng = np.random.default_rng(8)
    holes = x.copy()
    holes[rng.random(x.shape) < 0.2] = math.nan
    scores = by_name(baselines(holes[:3000], holes[3000:]))
    truth = np.empty(1000)
    for i, row in enumerate(holes[3000:]):
        seen = ~np.isnan(row)
        truth[i] = (
            stats.multivariate_normal(np.full(seen.sum(), 5.0), covariance[np.ix_(seen, seen)]).logpdf(row[seen])
            if seen.any()
            else 0.0
        )
    np.testing.assert_allclose(scores["Gaussian"].per_row, truth, atol=0.4)
    assert scores["Gaussian"].mean == pytest.approx(truth.mean(), abs=0.01)
    for name in ("Gaussian mixture", "kernel density"):
        assert scores[name].mean == pytest.approx(truth.mean(), abs=0.15)


def test_expectation_maximisation_corrects_for_values_that_are_missing_by_another_column():
    rng = np.random.default_rng(9)
    first = rng.normal(size=4000)
    second = 0.8 * first + 0.6 * rng.normal(size=4000)
    second[first > 0] = math.nan
    fitted = fit_gaussian(np.column_stack([first, second]), rng)
    assert fitted.mean == pytest.approx([0, 0], abs=0.08)
    assert fitted.covariance[0, 1] == pytest.approx(0.8, abs=0.1)


def test_baselines_are_reproducible():
    x, _ = correlated(200, 3, 10)
    for a, b in zip(baselines(x[:150], x[150:], seed=1), baselines(x[:150], x[150:], seed=1), strict=True):
        np.testing.assert_array_equal(a.per_row, b.per_row)
        assert a.note == b.note


def test_ties_do_not_make_kernels_of_no_width():
    x = np.round(np.random.default_rng(11).normal(size=(400, 2)), 1)
    scores = by_name(baselines(x[:300], x[300:]))
    assert scores["kernel density"].mean < -2 * 1.3  # the entropy of the unrounded density is 2.84


@pytest.mark.parametrize(
    ("train", "test", "message"),
    [
        (np.zeros((5, 2)), np.zeros((5, 3)), "same columns"),
        (np.zeros((1, 2)), np.zeros((5, 2)), "at least 2 training rows"),
        (np.zeros((5, 2)), np.zeros((0, 2)), "1 held-out row"),
        (np.zeros(5), np.zeros((5, 1)), "array \\(rows, columns\\)"),
        (np.full((5, 1), np.inf), np.zeros((5, 1)), "finite values in train"),
        (NumericView(np.zeros((5, 1)), np.zeros(4)), np.zeros((5, 1)), "log_prob_discrete"),
    ],
)
def test_bad_arrays_are_refused(train, test, message):
    with pytest.raises(DataError, match=message):
        baselines(train, test)


# Tables


def test_labels_cost_their_smoothed_frequencies():
    train = {"colour": np.array(["red", "red", "blue"], dtype=object)}
    test = {"colour": np.array(["red", "green", None], dtype=object)}
    views = table_views(train, test, {"colour": "categorical"})
    np.testing.assert_allclose(views[1].log_prob_discrete, np.log([3 / 7, 1 / 7, 1 / 7]))
    np.testing.assert_allclose(views[0].log_prob_discrete, np.log([3 / 7, 3 / 7, 2 / 7]))
    scores = baselines(*views)
    assert [score.name for score in scores] == ["independent labels", "mixture of labels"]
    np.testing.assert_allclose(scores[0].per_row, views[1].log_prob_discrete)


def test_a_mixture_has_labels_of_its_own_in_each_component():
    rng = np.random.default_rng(0)

    def rows(n):
        side = rng.random(n) < 0.5
        return {"x": np.where(side, 3.0, -3.0) + rng.normal(size=n), "kind": np.where(side, "left", "right")}

    train, test = rows(600), rows(300)
    scores = baselines(*table_views(train, test, {"x": "continuous", "kind": "categorical"}))
    assert [score.name for score in scores] == [
        "independent labels + Gaussian",
        "mixture with labels",
        "independent labels + kernel density",
    ]
    truth = -math.log(2) - 0.5 * math.log(2 * math.pi * math.e)
    assert scores[1].mean == pytest.approx(truth, abs=0.1)
    assert scores[1].mean > scores[2].mean + 0.5


def test_a_mixture_of_labels_and_gaps_has_mass_one():
    rng = np.random.default_rng(1)
    column = np.where(rng.random(200) < 0.3, math.nan, rng.normal(size=200))
    train = {"a": column, "b": rng.normal(size=200), "kind": rng.choice(["u", "v"], 200)}
    grid = np.linspace(-7, 7, 120)
    kinds = {"a": "continuous", "b": "continuous", "kind": "categorical"}
    both, b_only = np.meshgrid(grid, grid), grid
    a = np.concatenate([np.tile(both[0].ravel(), 2), np.full(240, math.nan)])
    b = np.concatenate([np.tile(both[1].ravel(), 2), np.tile(b_only, 2)])
    kind = np.concatenate([np.repeat(["u", "v"], 120**2), np.repeat(["u", "v"], 120)])
    scores = baselines(*table_views(train, {"a": a, "b": b, "kind": kind}, kinds))
    step = grid[1] - grid[0]
    cell = np.where(np.isnan(a), step, step**2)
    for score in scores:
        assert (np.exp(score.per_row) * cell).sum() == pytest.approx(1, abs=0.01), score.name


def test_independent_labels_and_gaussian():
    x, y = load_iris(return_X_y=True)
    order = np.random.default_rng(0).permutation(150)
    x, names = x[order], np.array(["setosa", "versicolor", "virginica"])[y[order]]
    columns = {f"x{i}": x[:, i] for i in range(4)} | {"kind": names}
    train, test = ({name: column[part] for name, column in columns.items()} for part in (slice(100), slice(100, 150)))
    kinds = dict.fromkeys(["x0", "x1", "x2", "x3"], "continuous") | {"kind": "categorical"}
    scores = baselines(*table_views(train, test, kinds))
    plain = baselines(x[:100], x[100:])
    assert scores[0].name == "independent labels + Gaussian"
    counts = {name: (train["kind"] == name).sum() for name in set(names)}
    labels = np.log([(counts[name] + 1) / 103 for name in test["kind"]])
    np.testing.assert_allclose(scores[0].per_row, plain[0].per_row + labels)


def test_dequantised_integers_are_a_lower_bound_on_their_probability():
    rng = np.random.default_rng(12)
    count = rng.poisson(3, size=4000)
    views = table_views({"n": count[:3000]}, {"n": count[3000:]}, {"n": "integer"})
    assert views[0].log_prob_discrete is None
    assert ((views[1].values[:, 0] - count[3000:]) < 1).all()
    truth = stats.poisson(3).logpmf(count[3000:]).mean()
    scores = by_name(baselines(*views))
    assert truth - 0.2 < scores["Gaussian"].mean < truth + 0.01
    assert truth - 0.2 < scores["kernel density"].mean < truth + 0.01


def test_missing_numbers_cost_the_probability_of_their_pattern():
    column = np.array([1.0, 2.0, 3.0, math.nan])
    views = table_views({"a": column}, {"a": column}, {"a": "continuous"})
    np.testing.assert_allclose(views[0].log_prob_discrete, np.log([4 / 6] * 3 + [2 / 6]))


def test_constant_integers_stay_constant():
    views = table_views({"a": np.full(5, 7)}, {"a": np.full(2, 7)}, {"a": "integer"})
    assert (views[0].values == 7).all()
    assert baselines(*views)[0].mean == 0


def test_tables_with_a_missing_column_are_refused():
    with pytest.raises(DataError, match="expected a column 'b' in both tables"):
        table_views({"a": np.zeros(3)}, {"a": np.zeros(3)}, {"a": "continuous", "b": "continuous"})
    with pytest.raises(DataError, match="expected a column 'b' in both tables"):
        encode_pair({"a": np.zeros(3)}, {"a": np.zeros(3)}, {"b": "continuous"})


# Normality of the latent


def test_anderson_and_kolmogorov_against_scipy():
    z = np.random.default_rng(13).normal(size=(300, 3)) * [1, 1.1, 1.3]
    result = latent_normality(z)
    for i in range(3):
        assert result.ks[i] == pytest.approx(stats.kstest(z[:, i], "norm").statistic)
        u = np.sort(stats.norm.cdf(z[:, i]))
        ranks = 2 * np.arange(1, 301) - 1
        direct = -300 - (ranks * (np.log(u) + np.log1p(-u[::-1]))).mean()
        assert result.anderson[i] == pytest.approx(direct)
    # quantiles of the limiting distribution, Marsaglia and Marsaglia 2004
    p = anderson_p(torch.tensor([1.93295783, 2.49236716, 3.87812502]).double())
    np.testing.assert_allclose(p, [0.10, 0.05, 0.01], atol=2e-5)


def test_radius_against_scipy():
    z = np.random.default_rng(14).standard_t(5, size=(200, 4))
    u = np.sort(stats.chi2(4).cdf((z**2).sum(1)))
    direct = -200 - ((2 * np.arange(1, 201) - 1) * (np.log(u) + np.log1p(-u[::-1]))).mean()
    result = latent_normality(z)
    assert result.radius.statistic == pytest.approx(direct, rel=1e-6)
    assert result.mean_squared_radius == pytest.approx((z**2).sum(1).mean() / 4)


@pytest.mark.parametrize(("n", "d"), [(50, 1), (50, 4), (200, 2), (40, 25)])
def test_levels_under_the_null_hypothesis(n, d):
    rng = np.random.default_rng(15)
    repeats = 400
    results = [latent_normality(rng.normal(size=(n, d)), points=3) for _ in range(repeats)]
    tests = {
        "dimensions": [r.adjusted.min() for r in results],
        "radius": [r.radius.p_value for r in results],
        "joint": [r.joint_p_value for r in results],
    }
    if d > 1:
        tests["correlation"] = [r.correlation.p_value for r in results]
    for name, p_values in tests.items():
        for alpha in (0.05, 0.2):
            rate = np.mean(np.array(p_values) < alpha)
            slack = 4 * math.sqrt(alpha * (1 - alpha) / repeats)
            assert rate < alpha + slack, (name, alpha, rate)
            # a Bonferroni step may only lose a little
            assert rate > alpha - slack - 0.03, (name, alpha, rate)


def test_power_against_what_flows_get_wrong():
    rng = np.random.default_rng(16)
    normal = rng.normal(size=(400, 3))
    shifted, wide, heavy = normal + np.array([0.3, 0, 0]), 1.2 * normal, rng.standard_t(3, size=(400, 3))
    for z in (shifted, wide, heavy):
        assert latent_normality(z).adjusted.min() < 0.01
    for z in (wide, heavy):
        assert latent_normality(z).radius.p_value < 0.001
    related = normal.copy()
    related[:, 1] = 0.6 * related[:, 0] + 0.8 * related[:, 1]
    result = latent_normality(related)
    assert result.correlation.p_value < 1e-6
    assert result.adjusted.min() > 0.01
    assert result.largest_correlation > 0.5
    folded = normal.copy()  # normal margins, no correlation, one size
    folded[:, 1] = folded[:, 0] * rng.choice([-1, 1], 400)
    result = latent_normality(folded)
    assert result.adjusted.min() > 0.001
    assert result.joint_p_value < 1e-6


def test_quantiles_and_band():
    z = np.random.default_rng(17).normal(size=(500, 2))
    result = latent_normality(z, points=99)
    assert result.sample_quantiles.shape == (99, 2)
    assert result.quantiles[49] == pytest.approx(0, abs=1e-12)
    inside = np.abs(result.sample_quantiles - result.quantiles[:, None]) < result.band[:, None]
    assert inside.mean() > 0.75
    assert result.rows == 500
    assert result.dimensions == 2


def test_holm_is_the_textbook_one():
    np.testing.assert_allclose(holm(np.array([0.01, 0.04, 0.03, 0.5])), [0.04, 0.09, 0.09, 0.5])
    np.testing.assert_allclose(holm(np.array([0.9, 0.8])), [1, 1])


def test_constant_latents_are_no_crash():
    result = latent_normality(np.zeros((30, 2)))
    assert result.adjusted.max() < 1e-3


@pytest.mark.parametrize(
    ("z", "message"),
    [
        (np.zeros(5), "at least 2 rows"),
        (np.zeros((1, 2)), "at least 2 rows"),
        (np.full((5, 2), np.nan), "finite latents"),
    ],
)
def test_bad_latents_are_refused(z, message):
    with pytest.raises(DataError, match=message):
        latent_normality(z)


# Two samples


def test_equal_distributions_cannot_be_told_apart():
    rng = np.random.default_rng(18)
    scores = [two_sample_score(rng.normal(size=(120, 3)), rng.normal(size=(120, 3)), seed=i) for i in range(25)]
    pulls = np.array([(score.accuracy - 0.5) / score.accuracy_error for score in scores])
    auc_pulls = np.array([(score.auc - 0.5) / score.auc_error for score in scores])
    for values in (pulls, auc_pulls):
        assert abs(values.mean()) < 4 / 5
        assert 0.5 < values.std() < 1.6
    assert sum(score.p_value < 0.05 for score in scores) <= 5


def test_different_distributions_are_told_apart():
    rng = np.random.default_rng(19)
    related = rng.normal(size=(500, 1)) + 0.3 * rng.normal(size=(500, 2))
    independent = np.column_stack([rng.permutation(related[:, 0]), rng.permutation(related[:, 1])])
    score = two_sample_score(related, independent)
    assert score.accuracy > 0.65
    assert score.auc > 0.7
    assert score.p_value < 1e-6
    assert score.rows == 500
    assert two_sample_score(related, independent) == score


def test_auc_and_its_error_against_the_definition():
    rng = np.random.default_rng(20)
    real, samples = rng.normal(size=(400, 2)), rng.normal(size=(400, 2)) + 0.7
    score = two_sample_score(real, samples)
    # shifted normals: the best AUC is Phi(|delta| / sqrt 2), |delta| = 0.7 sqrt 2
    assert 0.55 < score.auc < stats.norm.cdf(0.7) + 3 * score.auc_error
    assert 0.01 < score.auc_error < 0.04
    assert score.accuracy_error == pytest.approx(math.sqrt(score.accuracy * (1 - score.accuracy) / 400))


def test_labels_and_missing_values_are_seen():
    rng = np.random.default_rng(21)
    kinds = {"x": "continuous", "label": "categorical"}
    x = rng.normal(size=400)
    holes = np.where(rng.random(400) < 0.5, math.nan, x)
    labels, others = rng.choice(["a", "b", "c"], 400), rng.choice(["a", "b", "c"], 400, p=[0.8, 0.1, 0.1])
    real, samples, categorical = encode_pair({"x": x, "label": labels}, {"x": x[::-1], "label": others}, kinds)
    assert categorical == [1]
    assert two_sample_score(real, samples, categorical=categorical).accuracy > 0.6
    real, samples, _ = encode_pair({"x": x, "label": labels}, {"x": holes, "label": labels}, kinds)
    assert two_sample_score(real, samples).accuracy > 0.6


def test_many_labels_and_constant_columns_are_no_crash():
    rng = np.random.default_rng(22)
    real = np.column_stack([np.arange(600.0), np.ones(600)])
    score = two_sample_score(real, real[rng.permutation(600)], categorical=[0])
    assert score.accuracy < 0.7


@pytest.mark.parametrize(
    ("real", "samples", "message"),
    [
        (np.zeros((20, 2)), np.zeros((20, 3)), "same columns"),
        (np.zeros((20, 0)), np.zeros((20, 0)), "same columns"),
        (np.zeros((5, 2)), np.zeros((20, 2)), "at least 8 rows"),
        (np.full((20, 2), np.inf), np.zeros((20, 2)), "infinity"),
    ],
)
def test_bad_pairs_are_refused(real, samples, message):
    with pytest.raises(DataError, match=message):
        two_sample_score(real, samples)
