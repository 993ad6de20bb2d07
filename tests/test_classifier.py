"""FlowClassifier: scikit-learn's checks, rows without labels, calibration; Gaussians of classes and mixtures of flows."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.datasets import make_blobs, make_moons
from sklearn.utils.estimator_checks import parametrize_with_checks

import pushforward as pf
from pushforward.core import Real
from pushforward.distributions import ClassGaussians, MixtureOf, Normal, ResampledNormal, StudentT
from pushforward.errors import DataError, ShapeError, SpecError
from pushforward.evaluation import calibrate_classes, calibration_error, class_log_probs
from pushforward.functional.k_means import k_means
from pushforward.functional.label_spreading import spread_labels
from pushforward.objectives import ReverseKL, SemiSupervised, StratifiedKL
from pushforward.systems import FlowGMM, MixtureOfFlows

QUICK = {"layers": 2, "hidden": (16,), "max_iter": 15, "lr": 5e-3, "random_state": 0}


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


EXPECTED = {
    "check_classifiers_classes": "it uses -1 as a class, except for the semi-supervised classifiers of scikit-learn, by name"
}


@parametrize_with_checks([pf.FlowClassifier(**QUICK)], expected_failed_checks=lambda _: EXPECTED)
def test_scikit_learn_checks(estimator, check):
    check(estimator)


def test_few_labels_are_enough_for_blobs():
    x, y = make_blobs(400, centers=[[-4, 0], [4, 0], [0, 6]], random_state=0)
    few = np.full(400, -1)
    for label in range(3):
        few[np.flatnonzero(y == label)[:2]] = label
    model = pf.FlowClassifier(**QUICK).fit(100 * x, few)
    assert model.score(100 * x, y) > 0.98
    assert list(model.classes_) == [0, 1, 2]
    assert np.allclose(model.predict_proba(x).sum(1), 1)
    drawn = model.sample(2, 50, random_state=0)
    assert (model.predict(drawn) == 2).mean() > 0.9
    # The log-density is in the units of the columns: times 100 for each of two columns.
    assert model.score_samples(100 * x[:1])[0] < pf.FlowClassifier(**QUICK).fit(x, few).score_samples(x[:1])[0] - 8
    with pytest.raises(DataError, match=r"one of the classes 0, 1, 2, got 7"):
        model.sample(7)


def test_labels_can_be_texts_and_arguments_are_checked():
    x, y = make_moons(60, random_state=0)
    names = np.array(["up", "down"], dtype=object)[y]
    model = pf.FlowClassifier(**QUICK).fit(x, names)
    assert set(model.predict(x)) <= {"up", "down"}
    assert clone(model).get_params()["hidden"] == (16,)
    with pytest.raises(DataError, match="got -1 for all of them"):
        pf.FlowClassifier(**QUICK).fit(x, np.full(60, -1))
    with pytest.raises(SpecError, match="unlabelled_weight >= 0"):
        pf.FlowClassifier(unlabelled_weight=-1).fit(x, y)


def test_labels_spread_along_the_moons():
    x, y = make_moons(300, noise=0.05, random_state=0)
    labels = torch.full((300,), 2)
    for label in (0, 1):
        labels[int(np.flatnonzero(y == label)[0])] = label
    found = spread_labels(torch.tensor(x), labels, 2)
    assert float((found.argmax(1).numpy() == y).mean()) > 0.95
    torch.testing.assert_close(found.sum(1), torch.ones(300).double())
    nothing = spread_labels(torch.zeros(1, 2), torch.tensor([2]), 2)
    assert nothing.tolist() == [[0.5, 0.5]]


def test_gaussians_of_classes():
    """Bayes' rule by hand, simplex means at equal distances, draws of one class, an unknown class."""
    torch.manual_seed(0)
    base = ClassGaussians(Real(3), 4, distance=5.0).double()
    apart = torch.cdist(base.means, base.means)
    assert torch.allclose(apart[~torch.eye(4).bool()], torch.tensor(5.0).double(), atol=1e-5)
    base.logits.data.copy_(torch.tensor([0.1, 0.2, 0.3, 0.4]).log())
    z = torch.randn(6, 3, dtype=torch.float64) + base.means[1]
    weights = torch.tensor([0.1, 0.2, 0.3, 0.4]).double()
    densities = torch.stack([base.log_prob(z, torch.full((6,), k)) for k in range(4)], 1).exp()
    unknown = base.log_prob(z, torch.full((6,), 4)).exp()
    torch.testing.assert_close(unknown, densities @ weights)
    torch.testing.assert_close(base.log_posterior(z).exp(), densities * weights / unknown[:, None])
    drawn = base.sample((), torch.full((500,), 2))
    assert float((drawn.mean(0) - base.means[2]).abs().max()) < 0.3
    with torch.no_grad():
        shares = base.log_posterior(base.sample((), torch.full((4000,), 4))).exp().mean(0)
    assert float((shares - weights).abs().max()) < 0.03
    rows = torch.randn(4, 3, dtype=torch.float64)
    start = float((base.means * (rows - rows.mean(0))).sum())
    base.init_from(rows, torch.arange(4))
    assert float((base.means * (rows - rows.mean(0))).sum()) > start
    apart = torch.cdist(base.means, base.means)
    assert torch.allclose(apart[~torch.eye(4).bool()], torch.tensor(5.0).double(), atol=1e-5)
    many = ClassGaussians(Real(2), 9, distance=5.0).means
    assert float((torch.cdist(many, many) + 99 * torch.eye(9)).min()) == pytest.approx(5, abs=0.01)


def test_calibration_finds_the_widening():
    """Codes drawn with four times the variances ask for a factor near four; certain codes leave the variances alone."""
    torch.manual_seed(0)
    flow = FlowGMM(features=2, classes=2, layers=1, distance=4.0).build().eval()
    y = torch.arange(4000) % 2
    x = flow.base.means[y] + 2 * torch.randn(4000, 2)
    before = calibration_error(class_log_probs(flow, x).exp(), y)
    assert calibrate_classes(flow, x, y) == pytest.approx(4, rel=0.2)
    assert calibration_error(class_log_probs(flow, x).exp(), y) < min(0.02, before / 3)
    with pytest.raises(DataError, match="rows with labels"):
        calibrate_classes(flow, x[:3], torch.full((3,), 2))
    with pytest.raises(SpecError, match="one Gaussian for each class"):
        class_log_probs(pf.build("nsf", features=2), x)


def test_calibration_error_by_hand():
    p = torch.tensor([[0.95, 0.05], [0.95, 0.05], [0.35, 0.65], [0.35, 0.65]])
    y = torch.tensor([0, 1, 1, 1])
    assert calibration_error(p, y) == pytest.approx((abs(1 - 1.9) + abs(2 - 1.3)) / 4)


def test_the_consistency_loss_adds_the_noisy_copies():
    torch.manual_seed(0)
    spec = FlowGMM(features=2, classes=2, layers=1, noise=1e-6, consistency=0.5)
    flow = spec.build()
    x, y = torch.randn(8, 2), torch.tensor([0, 1, 2, 2, 0, 1, 2, 2])
    loss = spec.loss(flow)
    assert isinstance(loss, SemiSupervised)
    guess = torch.where(y == 2, flow.base.log_joint(flow.chain(x, y)[0]).argmax(1), y)
    expected = -flow(x, y).mean() - 0.5 * flow(x, guess).mean()
    assert float(loss.train()((x, y)).detach()) == pytest.approx(float(expected.detach()), abs=1e-3)
    assert float(loss.eval()((x, y)).detach()) == pytest.approx(float(-flow(x, y).mean().detach()), abs=1e-6)


def test_specs_of_classes_refuse_what_they_cannot_have():
    assert FlowGMM.from_data(np.zeros((5, 2)), np.array([0, 1, 2, 3, 0])).classes == 3
    with pytest.raises(SpecError, match="labels as the context"):
        FlowGMM.from_data(np.zeros((5, 2)))
    with pytest.raises(SpecError, match="no base for flowgmm"):
        FlowGMM(features=2, base="student")
    with pytest.raises(SpecError, match="noise"):
        FlowGMM(features=2, noise=-1.0)
    with pytest.raises(SpecError, match="a system of vectors for the components"):
        MixtureOfFlows(features=2, member="glow")
    with pytest.raises(SpecError, match="a context or classes for gated weights"):
        MixtureOfFlows(features=2, gated=True)
    with pytest.raises(ShapeError, match="components on"):
        MixtureOf(Normal(Real(2)), Normal(Real(3)))
    with pytest.raises(SpecError, match="at least one component"):
        MixtureOf()
    with pytest.raises(SpecError, match="power of 2"):
        ResampledNormal(Real(2), points=100)
    with pytest.raises(SpecError, match="a mixture of distributions"):
        StratifiedKL(Normal(Real(2)), lambda x, _: x.sum(1))


def test_components_start_at_clusters_and_dead_ones_are_found():
    torch.manual_seed(0)
    centres = torch.tensor([[-9.0, 0.0], [0.0, 9.0], [9.0, 0.0]])
    x = centres[torch.arange(600) % 3] + 0.5 * torch.randn(600, 2)
    cluster = k_means(x, 3)
    assert sorted(torch.bincount(cluster).tolist()) == [200, 200, 200]
    mixture = MixtureOfFlows(features=2, components=3, layers=1).build()
    pf.core.initialise(mixture, x)
    assert mixture.dead(x) == []
    entropy = math.log(3) + math.log(2 * math.pi * math.e * 0.25)
    assert float(-mixture.log_prob(x).mean().detach()) == pytest.approx(entropy, abs=0.1)
    assert mixture.dead(x[cluster != 0]) == [0]
    pair = MixtureOf(Normal(Real(2)), StudentT(Real(2)))
    assert pair.sample(7).shape == (7, 2)
    assert pair.sample(0).shape == (0, 2)


def test_stratified_draws_train_the_weights():
    """The gradient of the weights is that of the divergence; draws of the mixture have none."""
    torch.manual_seed(0)
    parts = [torch.distributions.Normal(mean * torch.ones(1), 0.5 * torch.ones(1)) for mean in (-3.0, 3.0)]

    def target(x, _):
        return torch.logaddexp(math.log(0.8) + parts[0].log_prob(x[:, 0]), math.log(0.2) + parts[1].log_prob(x[:, 0]))

    components = [pf.core.Flow(pf.transforms.Standardise(Real(1), p.mean, p.stddev), Normal(Real(1))) for p in parts]
    model = MixtureOf(*components)
    optimizer = torch.optim.Adam([model.logits], 0.1)
    loss = StratifiedKL(model, target)
    for _ in range(100):
        optimizer.zero_grad()
        loss(200).backward()
        optimizer.step()
    assert float(model.log_weights(None, 1).exp()[0, 0].detach()) == pytest.approx(0.8, abs=0.01)
    assert float(loss(2000).detach()) == pytest.approx(0, abs=0.01)
    model.logits.grad = None
    ReverseKL(model, target)(200).backward()
    assert float(model.logits.grad.abs().max()) < 1


def test_the_normaliser_of_a_resampled_base_is_reported():
    torch.manual_seed(0)
    base = ResampledNormal(Real(2), (8,)).double()
    for p in base.parameters():
        torch.nn.init.normal_(p)
    mean, error = base.normaliser()
    drawn = base.acceptance(torch.randn(200_000, 2).double()).detach()
    assert abs(mean - float(drawn.mean())) < 4 * float(drawn.std()) / 200_000**0.5 + 4 * error
    assert error < 2e-3
