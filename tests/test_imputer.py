"""FlowImputer: scikit-learn's own checks, pipelines, means and draws, entries that do not change, and bad input."""

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks

from pushforward import FlowDensity, FlowImputer
from pushforward.errors import SpecError

SMALL = {"hidden": (8,), "components": 2, "max_iter": 2, "random_state": 0}


@parametrize_with_checks([FlowImputer(**SMALL)])
def test_scikit_learn_checks(estimator, check):
    check(estimator)


@pytest.fixture(scope="module")
def correlated():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((800, 2)) @ [[1.0, 0.9], [0.0, 0.3]]
    full = np.column_stack([10 * x[:, 0], x[:, 1] - 5, np.full(800, 7.0)])
    holes = full.copy()
    holes[rng.random((800, 3)) < 0.2] = np.nan
    return full, holes


@pytest.fixture(scope="module")
def imputer(correlated):
    return FlowImputer(hidden=(32,), components=3, max_iter=40, random_state=0).fit(correlated[1])


def test_means_follow_the_regression(correlated, imputer):
    full, holes = correlated
    found = imputer.transform(holes)
    here = ~np.isnan(holes)
    assert (found[here] == holes[here]).all()
    assert (found[:, 2] == 7).all()
    gap = np.isnan(holes[:, 1]) & ~np.isnan(holes[:, 0])
    error = np.sqrt(np.mean((found[gap, 1] - full[gap, 1]) ** 2))
    # The best possible error is 0.3, and that of the mean of the column is 0.95.
    assert error < 0.4
    assert (imputer.transform(holes) == found).all()


def test_draws_keep_the_spread(correlated, imputer):
    _, holes = correlated
    drawing = FlowImputer(hidden=(32,), components=3, max_iter=40, draw=True, random_state=0).fit(holes)
    empty = np.full((500, 3), np.nan)
    drawn, means = drawing.transform(empty), imputer.transform(empty)
    assert drawn[:, 0].std() > 7
    assert means[:, 0].std() < 1e-9
    assert np.corrcoef(drawn[:, 0], drawn[:, 1])[0, 1] > 0.7


def test_pipelines(correlated):
    full, holes = correlated
    pipeline = make_pipeline(FlowImputer(**SMALL), LinearRegression()).fit(holes[:, :2], full[:, 0])
    assert np.isfinite(pipeline.predict(holes[:, :2])).all()


def test_bad_input(correlated):
    _, holes = correlated
    with pytest.raises(SpecError, match="validation_fraction"):
        FlowImputer(validation_fraction=2).fit(holes)
    with pytest.raises(ValueError, match="rescale them"):
        FlowImputer(**SMALL).fit(holes * 1e250)
    found = FlowImputer(**SMALL).fit_transform(np.array([[1.0, np.nan], [1.0, np.nan], [np.nan, np.nan]]))
    assert (found == [[1, 0], [1, 0], [1, 0]]).all()


def test_samples_given_columns(correlated):
    full = correlated[0][:, :2]
    model = FlowDensity("any-order", hidden=(32,), options={"residual": False}, max_iter=30, random_state=0).fit(full)
    drawn = model.sample(300, random_state=0, given={0: 10.0})
    assert (np.abs(drawn[:, 0] - 10) < 1e-9).all()
    assert abs(drawn[:, 1].mean() - (0.9 - 5)) < 0.2
    for given, words in (({2: 1.0}, "given columns 0 to 1"), ({0: np.nan}, "a value"), ({0: 1.0, 1: 1.0}, "to draw")):
        with pytest.raises(SpecError, match=words):
            model.sample(3, given=given)
    with pytest.raises(SpecError, match="has no conditionals"):
        FlowDensity("gaussian", max_iter=1, random_state=0).fit(full).sample(3, given={0: 1.0})
