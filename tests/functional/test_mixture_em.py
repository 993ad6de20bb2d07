"""Expectation-maximisation of Gaussian mixtures, beside scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats
from sklearn.mixture import GaussianMixture

from pushforward.core import Real
from pushforward.distributions import FullGaussianMixture
from pushforward.functional.mixture_em import (
    best_mixture,
    choose_mixture,
    conditional_log_prob,
    fit_mixture,
    label_frequencies,
    log_joint,
    ridge_slopes,
)


def clusters(seed=0, rows=900):
    rng = np.random.default_rng(seed)
    means = np.array([[-4.0, 0.0], [4.0, 1.0], [0.0, 6.0]])
    k = rng.choice(3, rows, p=[0.5, 0.3, 0.2])
    factors = np.array([[[1.0, 0.0], [0.8, 0.6]], [[0.5, 0.0], [0.0, 1.5]], [[1.0, 0.0], [-0.5, 0.5]]])
    return torch.from_numpy(means[k] + np.einsum("nij,nj->ni", factors[k], rng.normal(size=(rows, 2))))


def test_joint_densities_are_those_of_scipy():
    x = clusters()[:20]
    fit = fit_mixture(clusters(), 3)
    for k in range(3):
        exact = stats.multivariate_normal(fit.means[k].numpy(), fit.covariances[k].numpy()).logpdf(x.numpy())
        np.testing.assert_allclose(log_joint(x, fit)[:, k].numpy(), exact + np.log(float(fit.weights[k])), rtol=1e-9)


def test_the_fit_is_as_good_as_that_of_scikit_learn():
    x = clusters()
    ours = log_joint(x, best_mixture(x, 3, 1e-6)).logsumexp(1).mean()
    theirs = GaussianMixture(3, random_state=0, n_init=5).fit(x.numpy()).score(x.numpy())
    assert float(ours) == pytest.approx(theirs, abs=2e-3)


def test_clusters_are_counted():
    assert choose_mixture(clusters())[0] == 3
    assert choose_mixture(torch.randn(600, 4, generator=torch.Generator().manual_seed(0)))[0] == 1


def test_one_component_is_the_gaussian_of_the_moments():
    x = clusters()
    fit = fit_mixture(x, 1, 0.0)
    torch.testing.assert_close(fit.means[0], x.mean(0))
    torch.testing.assert_close(fit.covariances[0], x.T.cov(correction=0))


@pytest.mark.parametrize("components", [1, 3])
def test_a_base_starts_at_the_fit(components):
    x = clusters().float()
    base = FullGaussianMixture(Real((2,)), components)
    base.init_from(x)
    with torch.no_grad():
        score = float(base.log_prob(x).mean())
    exact = float(log_joint(x, best_mixture(x, components, choose_mixture(x, (components,))[1])).logsumexp(1).mean())
    assert score == pytest.approx(exact, abs=1e-4)
    torch.manual_seed(0)
    draws = base.sample(4000)
    np.testing.assert_allclose(draws.mean(0), x.mean(0), atol=0.2)
    np.testing.assert_allclose(np.cov(draws.T), np.cov(x.T), atol=0.9)


def test_means_follow_the_context():
    c = torch.randn(2000, 1, generator=torch.Generator().manual_seed(1))
    x = torch.cat([2 * c, -c], 1) + 0.1 * torch.randn(2000, 2, generator=torch.Generator().manual_seed(2))
    base = FullGaussianMixture(Real((2,)), 1, context=1)
    base.init_from(x, c)
    with torch.no_grad():
        score = float(base.log_prob(x, c).mean())
    assert score == pytest.approx(2 * (-0.5 - 0.5 * np.log(2 * np.pi) - np.log(0.1)), abs=0.2)


def two_classes(rows=600, seed=0):
    """Rows of two classes with the same mean and different covariances, and their one-hot codes."""
    generator = torch.Generator().manual_seed(seed)
    label = torch.randint(2, (rows,), generator=generator)
    z = torch.randn(rows, 2, generator=generator).double()
    turned = torch.where(label[:, None] == 0, z * torch.tensor([3.0, 0.3]), z * torch.tensor([0.3, 3.0]))
    return turned, torch.nn.functional.one_hot(label, 2).double()


def test_labels_have_probabilities_in_each_component():
    x, codes = two_classes()
    fit = fit_mixture(x, 2, 1e-3, codes=codes, frequencies=label_frequencies(codes))
    torch.testing.assert_close(fit.labels.exp().sum(1), torch.ones(2).double())
    assert float(fit.labels.exp().amax(1).min()) > 0.95
    joint = torch.stack([log_joint(x, fit, c.expand(len(x), 2)).logsumexp(1).exp() for c in torch.eye(2).double()]).sum(
        0
    )
    torch.testing.assert_close(joint, log_joint(x, fit).logsumexp(1).exp())


def test_labels_that_gate_are_chosen_where_classes_differ_in_their_spread():
    x, codes = two_classes()
    shifted, gated = (choose_mixture(x, (2,), codes=codes, gated=gated).score for gated in (False, True))
    assert gated > shifted + 0.3
    mixture = FullGaussianMixture(Real((2,)), 2, context=2).double()
    mixture.init_from(x, codes)
    fit = best_mixture(x, 2, choose_mixture(x, (2,), codes=codes, gated=True).ridge, codes)
    torch.testing.assert_close(mixture.log_prob(x, codes), conditional_log_prob(x, fit, codes))


def test_labels_that_shift_are_chosen_where_classes_differ_in_their_mean():
    generator = torch.Generator().manual_seed(0)
    label = torch.randint(3, (400,), generator=generator)
    x = torch.randn(400, 2, generator=generator).double() + 2.0 * label[:, None]
    codes = torch.nn.functional.one_hot(label, 3).double()
    shifted, gated = (choose_mixture(x, (1, 2), codes=codes, gated=gated).score for gated in (False, True))
    assert shifted > gated


def test_slopes_from_rows_are_those_from_labels():
    codes, x = torch.randn(6, 20, dtype=torch.double), torch.randn(6, 3, dtype=torch.double)
    given, centred = codes - codes.mean(0), x - x.mean(0)
    expected = torch.linalg.solve(given.mT @ given + 0.7 * torch.eye(20, dtype=torch.double), given.mT @ centred)
    torch.testing.assert_close(ridge_slopes(codes, x, 0.7), expected)
