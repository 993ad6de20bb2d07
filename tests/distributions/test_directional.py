"""Von Mises-Fisher and von Mises distributions beside SciPy, and their starts at data."""

import numpy as np
import pytest
import scipy.stats
import torch

from pushforward.core import Circle, Sphere, Torus, initialise
from pushforward.distributions import VonMises, VonMisesFisher, VonMisesFisherMixture
from pushforward.errors import SpecError


def with_kappa(distribution, kappa):
    distribution.free.data.fill_(torch.logit(torch.tensor(kappa / distribution.largest, dtype=torch.float64)))
    distribution.free.data.add_(np.log(distribution.largest))
    return distribution


@pytest.mark.parametrize("n", [2, 3, 4, 7])
@pytest.mark.parametrize("kappa", [0.01, 3.0, 1e4])
def test_the_density_is_that_of_scipy(n, kappa):
    torch.manual_seed(0)
    model = with_kappa(VonMisesFisher(Sphere((n,))).double(), kappa)
    mean = model.mean.detach().numpy()
    x = model.sample(50)
    expected = scipy.stats.vonmises_fisher(mean / np.linalg.norm(mean), model.kappa.item()).logpdf(x.numpy())
    assert model.log_prob(x).detach().numpy() == pytest.approx(expected, abs=1e-6)


def test_draws_of_a_concentrated_distribution_are_normal_around_the_mean():
    torch.manual_seed(0)
    model = with_kappa(VonMisesFisher(Sphere((3,))).double(), 1e4)
    x = model.sample(4000)
    along = (x @ Sphere((3,)).tangent(model.mean.detach()[None])[0]) * 100
    assert scipy.stats.kstest(along[:, 0].numpy(), "norm").pvalue > 1e-3
    assert scipy.stats.kstest(along[:, 1].numpy(), "norm").pvalue > 1e-3


def test_gradients_of_draws_raise_the_concentration():
    torch.manual_seed(0)
    for n in (2, 3, 4):
        model = with_kappa(VonMisesFisher(Sphere((n,))).double(), 2.0)
        x = model.rsample(4000)
        closeness = (x @ model.mean.detach()).mean()
        (slope,) = torch.autograd.grad(closeness, model.free)
        kappa = model.kappa.detach().requires_grad_()
        # The mean of m.x is 1 + d log Z / dk, because Z contains the factor exp(-k).
        from pushforward.functional.von_mises_fisher import log_normaliser

        (mean,) = torch.autograd.grad(log_normaliser(kappa, model.rule).sum(), kappa, create_graph=True)
        (expected,) = torch.autograd.grad(mean, kappa)
        assert slope.item() == pytest.approx((expected * kappa).item(), rel=0.15)


def test_angles_follow_scipy():
    torch.manual_seed(0)
    model = VonMises(Circle()).double()
    model.free.data.fill_(np.log(3.0))
    x = model.sample(3000)[:, 0].numpy()
    frozen = scipy.stats.vonmises(model.kappa.item(), loc=model.mean.item())
    wrapped = (x - model.mean.item() + np.pi) % (2 * np.pi) - np.pi
    assert scipy.stats.kstest(wrapped, scipy.stats.vonmises(model.kappa.item()).cdf).pvalue > 1e-3
    points = torch.linspace(0, 6.2, 20, dtype=torch.float64)[:, None]
    assert model.log_prob(points).detach().numpy() == pytest.approx(frozen.logpdf(points[:, 0].numpy()), abs=1e-9)
    assert VonMises(Torus((2,))).sample(5).shape == (5, 2)


@torch.no_grad()
def test_a_fresh_mixture_starts_at_the_data():
    torch.manual_seed(0)
    means = Sphere((3,)).random(4)
    x = Sphere((3,)).nearest(means.repeat(200, 1) + 0.05 * torch.randn(800, 3))
    model = VonMisesFisherMixture(Sphere((3,)), 4)
    before = float(model.log_prob(x).mean())
    initialise(model, x)
    after = float(model.log_prob(x).mean())
    assert after > before + 2
    initialise(model, -x)  # a second start has no effect
    assert float(model.log_prob(x).mean()) == after
    single = VonMisesFisher(Sphere((3,)))
    initialise(single, x)
    mean, kappa = scipy.stats.vonmises_fisher.fit(x.double().numpy() / x.double().norm(dim=1, keepdim=True).numpy())
    assert single.mean.detach().numpy() == pytest.approx(mean, abs=1e-3)
    assert single.kappa.item() == pytest.approx(kappa, rel=1e-2)


def test_arguments_out_of_range_are_refused():
    with pytest.raises(SpecError, match="largest concentration in"):
        VonMisesFisher(Sphere((3,)), largest=1e9)
    with pytest.raises(SpecError, match="at least 1 component"):
        VonMisesFisherMixture(Sphere((3,)), 0)
