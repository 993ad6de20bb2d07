"""Sample weights of the estimator: the loss, the standardisation, the threshold and the score."""

import numpy as np
import pytest

from pushforward.errors import DataError
from pushforward.estimator import FlowDensity

SMALL = {"layers": 1, "hidden": 8, "max_iter": 2, "random_state": 0}


@pytest.fixture
def x():
    return np.random.default_rng(0).normal(size=(60, 2)) * 3 + 1


def test_rows_of_weight_zero_are_left_out(x):
    weights = np.where(np.arange(60) % 4, np.linspace(0.5, 2, 60), 0.0)
    weighted = FlowDensity(**SMALL).fit(x, sample_weight=weights)
    part = FlowDensity(**SMALL).fit(x[weights > 0], sample_weight=weights[weights > 0])
    np.testing.assert_array_equal(weighted.score_samples(x), part.score_samples(x))
    assert weighted.threshold_ == part.threshold_


def test_equal_weights_are_no_weights(x):
    plain = FlowDensity(**SMALL).fit(x)
    weighted = FlowDensity(**SMALL).fit(x, sample_weight=[2.0] * 60)
    np.testing.assert_allclose(weighted.score_samples(x), plain.score_samples(x), rtol=1e-6)
    assert weighted.score(x, sample_weight=np.full(60, 3.0)) == pytest.approx(weighted.score(x))


def test_columns_are_standardised_by_the_weighted_moments(x):
    weights = np.exp(x[:, 0] / 3)
    model = FlowDensity(**SMALL).fit(x, sample_weight=weights)
    np.testing.assert_allclose(model.scaler_.mean_, np.average(x, axis=0, weights=weights))


def test_the_score_is_the_weighted_mean(x):
    model = FlowDensity(**SMALL).fit(x)
    weights = np.r_[np.zeros(20), np.ones(20), 2 * np.ones(20)]
    scores = model.score_samples(x)
    assert model.score(x, sample_weight=weights) == pytest.approx((scores[20:40].mean() + 2 * scores[40:].mean()) / 3)
    assert model.score(x) == pytest.approx(scores.mean())


def test_outliers_have_their_share_of_the_weight(x):
    weights = np.random.default_rng(1).gamma(1.0, size=60)
    model = FlowDensity(**SMALL, contamination=0.2).fit(x, sample_weight=weights)
    outliers = model.predict(x) == -1
    assert 0.2 - weights.max() / weights.sum() <= weights[outliers].sum() / weights.sum() <= 0.2
    assert (FlowDensity(**SMALL, contamination=0.0).fit(x, sample_weight=weights).predict(x) == 1).all()


def test_bad_weights_are_refused(x):
    with pytest.raises(DataError, match="one weight for each of 60 rows"):
        FlowDensity(**SMALL).fit(x, sample_weight=np.ones(5))
    model = FlowDensity(**SMALL).fit(x)
    with pytest.raises(DataError, match=r"expected finite weights >= 0, got -1.0 in row 0"):
        model.score(x, sample_weight=-np.ones(60))
