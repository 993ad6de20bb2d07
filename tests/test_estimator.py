"""FlowDensity: scikit-learn's own checks, its tools, densities in raw units, and bad input."""

import pickle

import numpy as np
import pytest
import torch
from scipy import integrate, stats
from sklearn.base import clone
from sklearn.datasets import load_iris, load_wine
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import pushforward as pf
from pushforward.errors import DataError, FlowError, SpecError
from pushforward.estimator import FlowDensity

SMALL = {"layers": 1, "hidden": 8, "max_iter": 2, "random_state": 0}


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def iris():
    return load_iris().data


@pytest.fixture(scope="module")
def fitted(iris):
    return FlowDensity(layers=2, hidden=16, max_iter=30, random_state=0).fit(iris)


# A repeated row is on both sides of the split and in several batches; a weighted row is one row.
EXPECTED = {
    "check_sample_weight_equivalence_on_dense_data": "batches and the split are drawn from rows, not from weights"
}


@parametrize_with_checks([FlowDensity(**SMALL)], expected_failed_checks=lambda estimator: EXPECTED)
def test_scikit_learn_checks(estimator, check):
    check(estimator)


def test_density_is_in_raw_units_and_has_mass_one():
    rng = np.random.default_rng(0)
    x = 1000 + 5 * rng.gamma(4.0, size=(400, 1))
    model = FlowDensity(layers=1, hidden=8, max_iter=40, random_state=0).fit(x)
    mass, _ = integrate.quad(lambda t: np.exp(model.score_samples([[t]])[0]), 900, 1200, limit=200, epsabs=1e-5)
    assert mass == pytest.approx(1, abs=1e-4)
    held_out = 1000 + 5 * rng.gamma(4.0, size=(400, 1))
    assert model.score(held_out) == pytest.approx(stats.gamma(4, 1000, 5).logpdf(held_out).mean(), abs=0.1)


def test_density_follows_a_change_of_units(iris):
    scale, shift = np.array([1e-3, 10.0, 1e4, 2.0]), np.array([5.0, -100.0, 0.0, 1.0])
    plain = FlowDensity(**SMALL).fit(iris)
    scaled = FlowDensity(**SMALL).fit(iris * scale + shift)
    np.testing.assert_allclose(
        scaled.score_samples(iris * scale + shift), plain.score_samples(iris) - np.log(scale).sum(), atol=1e-3
    )


def test_beats_an_independent_normal_and_samples_look_like_data(iris, fitted):
    normal = stats.norm(iris.mean(0), iris.std(0)).logpdf(iris).sum(1).mean()
    assert fitted.score(iris) > normal + 0.5
    samples = fitted.sample(4000, random_state=1)
    assert samples.shape == (4000, 4)
    assert samples.dtype == np.float64
    np.testing.assert_allclose(samples.mean(0), iris.mean(0), atol=0.15)
    np.testing.assert_allclose(np.corrcoef(samples.T), np.corrcoef(iris.T), atol=0.15)
    np.testing.assert_array_equal(samples, fitted.sample(4000, random_state=1))
    assert not np.array_equal(samples, fitted.sample(4000, random_state=2))


def test_codes_and_rows_are_each_others_inverse(iris, fitted):
    codes = fitted.transform(iris)
    assert codes.shape == iris.shape
    np.testing.assert_allclose(fitted.inverse_transform(codes), iris, atol=1e-9)
    step = 1e-5
    shifts = step * np.eye(4)
    for row, code in zip(iris[::30], codes[::30], strict=True):
        jacobian = (fitted.transform(row + shifts) - fitted.transform(row - shifts)) / (2 * step)
        claimed = stats.norm.logpdf(code).sum() + np.linalg.slogdet(jacobian)[1]
        assert fitted.score_samples([row])[0] == pytest.approx(claimed, abs=1e-3)


def test_labels_by_quantile(iris):
    model = FlowDensity(contamination=0.1, **SMALL).fit(iris)
    labels = model.predict(iris)
    assert set(labels) == {1, -1}
    assert (labels == -1).sum() == 15
    np.testing.assert_array_equal(labels == 1, model.decision_function(iris) >= 0)
    assert model.predict(iris.mean(0, keepdims=True) + 100) == -1
    assert (FlowDensity(contamination=0.0, **SMALL).fit(iris).predict(iris) == 1).all()


def test_constant_columns_add_nothing(iris):
    x = np.column_stack([np.full(len(iris), 7.0), iris[:, :2], np.full(len(iris), 0.1)])
    model = FlowDensity(**SMALL).fit(x)
    np.testing.assert_array_equal(
        model.score_samples(x), FlowDensity(**SMALL).fit(iris[:, :2]).score_samples(iris[:, :2])
    )
    samples = model.sample(5, random_state=0)
    np.testing.assert_array_equal(samples[:, [0, 3]], [[7.0, 0.1]] * 5)
    codes = model.transform(x)
    assert codes.shape == (len(x), 2)
    np.testing.assert_allclose(model.inverse_transform(codes), x, atol=1e-9)
    other = x[:3] + np.array([[0, 0, 0, 0], [0, 0, 0, 1e-6], [1, 0, 0, 0]])
    np.testing.assert_array_equal(np.isfinite(model.score_samples(other)), [True, False, False])
    np.testing.assert_array_equal(model.predict(other)[1:], [-1, -1])
    with pytest.raises(DataError, match="all constant"):
        FlowDensity(**SMALL).fit(np.ones((20, 2)))


def test_grid_search_pipeline_and_cross_validation():
    x = load_wine().data[:, :3]
    search = GridSearchCV(FlowDensity(**SMALL), {"layers": np.array([1, 2]), "system": ["nsf", "realnvp"]}, cv=2)
    search.set_params(estimator__hidden=None, estimator__options=None).fit(x)
    assert np.isfinite(search.best_score_)
    assert search.best_score_ == pytest.approx(max(search.cv_results_["mean_test_score"]))
    assert search.best_estimator_.sample(2).shape == (2, 3)
    pipeline = make_pipeline(StandardScaler(), FlowDensity(**SMALL)).fit(x)
    assert np.isfinite(pipeline.score(x))
    assert pipeline.predict(x).shape == (len(x),)
    assert make_pipeline(FlowDensity(**SMALL), StandardScaler()).fit_transform(x).shape == x.shape
    scores = cross_val_score(FlowDensity(**SMALL), x, cv=3)
    assert np.isfinite(scores).all()


def test_clone_pickle_and_parameters(iris, fitted):
    twin = clone(fitted)
    assert twin.get_params() == fitted.get_params()
    assert not hasattr(twin, "flow_")
    again = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(again.score_samples(iris), fitted.score_samples(iris))


def test_same_seed_same_model_and_torch_is_left_alone(iris):
    torch.manual_seed(5)
    before = torch.get_rng_state()
    first, second = (FlowDensity(**SMALL).fit(iris).score_samples(iris) for _ in range(2))
    third = FlowDensity(**{**SMALL, "random_state": 1}).fit(iris).score_samples(iris)
    assert torch.equal(before, torch.get_rng_state())
    np.testing.assert_array_equal(first, second)
    assert not np.array_equal(first, third)


def test_attributes(iris, fitted):
    assert fitted.n_features_in_ == 4
    assert 1 <= fitted.n_iter_ <= 30
    assert len(fitted.history_) == fitted.n_iter_
    assert fitted.flow_.dtype == torch.float64
    assert isinstance(fitted.flow_, pf.Flow)
    assert list(fitted.get_feature_names_out()) == [f"flowdensity{i}" for i in range(4)]
    assert fitted.fit_transform(iris).shape == iris.shape


def test_column_names():
    polars = pytest.importorskip("polars")
    table = polars.DataFrame({"a": np.arange(30.0), "b": np.arange(30.0)[::-1] ** 2})
    model = FlowDensity(**SMALL).fit(table)
    assert list(model.feature_names_in_) == ["a", "b"]
    assert model.set_output(transform="polars").transform(table).columns == ["flowdensity0", "flowdensity1"]
    with pytest.raises(ValueError, match="feature names"):
        model.score_samples(table.rename({"a": "c"}))


def test_other_systems_and_their_options(iris):
    model = FlowDensity("maf", layers=2, hidden=(8, 8), max_iter=2, options={"batch_norm": True}, random_state=0)
    assert np.isfinite(model.fit(iris).score(iris))
    grid = FlowDensity("mlp-density", hidden=(8,), options={"grid": 33}, max_iter=2, random_state=0).fit(iris[:, :2])
    assert np.isfinite(grid.score(iris[:, :2]))
    assert grid.sample(3).shape == (3, 2)
    with pytest.raises(SpecError, match="'mlp-density', which has none"):
        grid.transform(iris[:, :2])


def test_interrupted_fit_is_fitted_and_still_stops(iris, monkeypatch):
    from pushforward import estimator

    def interrupted(*args, **kwargs):
        result = original(*args, **kwargs)
        result.stopped = "interrupted"
        return result

    original = estimator.fit
    monkeypatch.setattr(estimator, "fit", interrupted)
    model = FlowDensity(**SMALL)
    with pytest.raises(KeyboardInterrupt):
        model.fit(iris)
    assert np.isfinite(model.score(iris))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"system": "nfs"}, "unknown system 'nfs'; did you mean 'nsf'"),
        ({"options": {"bin": 4}}, "no argument 'bin'; did you mean 'bins'"),
        ({"options": {"features": 4}}, "expected 'features' outside `options`"),
        ({"hidden": (8, 9)}, "hidden to be one width"),
        ({"layers": 0}, "layers >= 1, got 0"),
        ({"contamination": 1.0}, r"contamination to be a number in \[0, 1\), got 1.0"),
        ({"validation_fraction": -0.1}, r"validation_fraction to be a number in \[0, 1\), got -0.1"),
        ({"max_iter": 0}, "epochs"),
        ({"lr": -1.0}, "lr"),
        ({"batch_size": 0}, "batch_size"),
        ({"options": {"context": 2}}, "context"),
    ],
)
def test_arguments_out_of_range(iris, arguments, message):
    with pytest.raises(FlowError, match=message) as caught:
        FlowDensity(**{**SMALL, **arguments}).fit(iris)
    assert "\n" not in str(caught.value)


def test_rows_that_cannot_be_used(iris, fitted):
    with pytest.raises(ValueError, match="NaN"):
        FlowDensity(**SMALL).fit(np.where(iris > 7, np.nan, iris))
    with pytest.raises(ValueError, match="minimum of 3"):
        FlowDensity(**SMALL).fit(iris[:2])
    with pytest.raises(DataError, match="variance fits double precision"):
        FlowDensity(**SMALL).fit(iris * 1e200)
    with pytest.raises(ValueError, match="4 features"):
        fitted.score_samples(iris[:, :3])
    with pytest.raises(DataError, match="codes of 4 columns, got 2"):
        fitted.inverse_transform(np.zeros((3, 2)))
    with pytest.raises(SpecError, match="n_samples to be a whole number >= 1, got 0"):
        fitted.sample(0)
    with pytest.raises(NotFittedError):
        FlowDensity().sample()
    assert np.isfinite(FlowDensity(**SMALL, validation_fraction=0.0).fit(iris[:2]).score(iris[:2]))


def test_a_flow_is_chosen_for_the_rows():
    rng = np.random.default_rng(0)
    X = np.concatenate([rng.normal(-4, 1, (150, 2)), rng.normal(4, 0.5, (150, 2))])
    model = FlowDensity(system="auto", max_iter=2, random_state=0)
    labels = model.fit_predict(X)
    assert set(labels) <= {1, -1}
    assert (labels == -1).sum() <= 6
    alone = FlowDensity(system="nsf", max_iter=2, random_state=0).fit(X)
    assert model.score(X) > alone.score(X) + 0.5


def business(rows=300):
    """A table with labels, a date, gaps and numbers, as a dictionary of lists."""
    rng = np.random.default_rng(0)
    city = rng.choice(["Berlin", "Paris"], rows)
    age = np.where(city == "Berlin", 30.0, 60.0) + rng.normal(size=rows)
    age[::7] = np.nan
    day = np.datetime64("2024-01-01") + rng.integers(0, 300, rows)
    return {"city": city, "age": age, "since": day}


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_data_frames_with_labels_dates_and_gaps(library):
    frame_of = pytest.importorskip(library).DataFrame
    frame = frame_of(business())
    model = FlowDensity(layers=1, hidden=16, max_iter=15, lr=1e-2, random_state=0).fit(frame)
    scores = model.score_samples(frame)
    assert scores.shape == (300,)
    assert np.isfinite(scores).all()
    assert set(model.predict(frame)) <= {-1, 1}
    drawn = model.sample(50, random_state=1)
    assert type(drawn) is frame_of
    assert list(drawn.columns) == ["city", "age", "since"]
    assert set(drawn["city"]) <= {"Berlin", "Paris"}
    assert np.isfinite(model.score(drawn))
    given = model.sample(20, random_state=2, given={"city": "Paris", "age": (50, 70)})
    assert set(given["city"]) == {"Paris"}
    other = frame_of({**business(), "city": np.full(300, "Rome")})
    assert np.isneginf(model.score_samples(other)).all()
    assert model.transform(frame).shape == (300, 2)
    assert model.n_features_in_ == 3
    assert list(model.feature_names_in_) == ["city", "age", "since"]


def test_a_data_frame_of_labels_only_and_auto():
    pandas = pytest.importorskip("pandas")
    rng = np.random.default_rng(0)
    side = rng.random(200) < 0.5
    frame = pandas.DataFrame({"a": np.where(side, "x", "y"), "b": np.where(side, "u", "v")})
    model = FlowDensity(system="auto", max_iter=60, lr=1e-2, random_state=0).fit(frame)
    assert model.score(frame) == pytest.approx(-np.log(2), abs=0.15)


def test_a_quick_fit_limits_the_time(iris):
    model = FlowDensity(system="auto", quick=True, max_iter=3, random_state=0).fit(iris)
    assert model.n_iter_ <= 3
    assert FlowDensity(quick=True)._training(0).max_seconds == 15
