"""Normalisers, moments, quantiles and mixtures of von Mises-Fisher distributions, beside SciPy."""

import math

import numpy as np
import pytest
import scipy.integrate
import scipy.special
import torch

from pushforward.core import Sphere
from pushforward.functional.von_mises_fisher import (
    _quantile_slope,
    concentration,
    distance_moments,
    draw_angles,
    height_rule,
    log_normaliser,
)
from pushforward.functional.von_mises_fisher_em import (
    DirectionalFit,
    best_directional,
    directional_log_joint,
    fit_directional,
)

KAPPAS = (0.0, 1e-6, 1e-3, 0.1, 1.0, 10.0, 100.0, 1e3, 1e4, 1e5)


def reference(kappa, n):
    """Return log of exp(-k) (2 pi)^(n/2) I_nu(k) / k^nu, nu = n / 2 - 1, and its derivative, from scaled Bessel functions."""
    nu = n / 2 - 1
    if kappa == 0:
        return math.log(2) + n / 2 * math.log(math.pi) - math.lgamma(n / 2), -1.0
    scaled = scipy.special.ive(nu, kappa)
    log_z = n / 2 * math.log(2 * math.pi) + math.log(scaled) - nu * math.log(kappa)
    return log_z, scipy.special.ive(nu + 1, kappa) / scaled - 1


@pytest.mark.parametrize("n", [2, 3, 4, 10, 50])
def test_the_normaliser_and_its_gradient_agree_with_bessel_functions(n):
    kappa = torch.tensor(KAPPAS, dtype=torch.float64, requires_grad=True)
    log_z = log_normaliser(kappa, height_rule(n))
    (slope,) = torch.autograd.grad(log_z.sum(), kappa)
    for k, value, gradient in zip(KAPPAS, log_z.tolist(), slope.tolist(), strict=True):
        expected, expected_slope = reference(k, n)
        assert value == pytest.approx(expected, abs=1e-12, rel=1e-12)
        assert gradient == pytest.approx(expected_slope, rel=1e-9)
    in_float32 = log_normaliser(kappa.detach().float(), height_rule(n).float())
    assert torch.allclose(in_float32.double(), log_z.detach(), atol=2e-5)


@pytest.mark.parametrize("n", [2, 3, 5])
def test_draws_have_the_mean_and_the_variance(n):
    torch.manual_seed(0)
    rule = height_rule(n)
    for kappa in (1e-9, 0.5, 5.0, 300.0, 1e5):
        angle = draw_angles(torch.full((40_000,), kappa, dtype=torch.float64), n, rule)
        distance = 2 * (angle / 2).sin().square()
        mean, variance = distance_moments(torch.tensor(kappa, dtype=torch.float64), rule)
        assert abs(float((distance.mean() - mean) / (variance / len(distance)).sqrt())) < 4
        assert float(distance.var() / variance) == pytest.approx(1.0, abs=0.05)


@pytest.mark.parametrize("n", [2, 3, 4])
@pytest.mark.parametrize("kappa", [0.5, 30.0])
def test_the_gradient_of_a_draw_is_that_of_the_quantile(n, kappa):
    def mass(angle, k):
        def density(t):
            return math.sin(t) ** (n - 2) * math.exp(-k * (1 - math.cos(t)))

        part, whole = (scipy.integrate.quad(density, 0, end, epsrel=1e-12, epsabs=0)[0] for end in (angle, math.pi))
        return part / whole

    for angle in (0.1, 0.5, 1.0, 2.0):
        step = 1e-4 * kappa
        change = (mass(angle, kappa + step) - mass(angle, kappa - step)) / (2 * step)
        density = (mass(angle + 1e-5, kappa) - mass(angle - 1e-5, kappa)) / 2e-5
        if density < 1e-6:
            continue
        found = _quantile_slope(
            torch.tensor([angle], dtype=torch.float64),
            torch.tensor([kappa], dtype=torch.float64),
            n,
            height_rule(n),
        )
        assert float(found) == pytest.approx(-change / density, rel=1e-4)


def test_the_concentration_has_the_mean_distance():
    distance = torch.tensor([1.0, 0.9, 0.5, 0.1, 1e-3, 1e-5], dtype=torch.float64)
    for n in (2, 3, 20):
        rule = height_rule(n)
        kappa = concentration(distance, rule, n, 1e6)
        assert torch.allclose(distance_moments(kappa, rule)[0], distance, rtol=1e-8)
    assert float(concentration(torch.tensor([1e-9], dtype=torch.float64), height_rule(3), 3, 50.0)) == 50.0


def test_a_single_component_is_the_estimate_of_scipy():
    draws = scipy.stats.vonmises_fisher([0.0, 0.6, 0.8], 20).rvs(500, random_state=0)
    mean, kappa = scipy.stats.vonmises_fisher.fit(draws)
    fit = fit_directional(torch.from_numpy(draws), 1, 0.0, 1e5)
    assert fit.means[0].numpy() == pytest.approx(mean, abs=1e-9)
    assert float(fit.kappa) == pytest.approx(kappa, rel=1e-4)


def test_a_mixture_is_found_again():
    means = np.array([[1.0, 0.0, 0.0], [0.0, -1.0, 0.0], [0.0, 0.6, 0.8]])
    draws = [
        scipy.stats.vonmises_fisher(mean, kappa).rvs(n, random_state=i)
        for i, (mean, kappa, n) in enumerate(zip(means, (20, 100, 500), (600, 300, 100), strict=True))
    ]
    x = torch.from_numpy(np.concatenate(draws))
    fit = best_directional(x, 3, 1e4)
    nearest = (fit.means @ torch.from_numpy(means).mT).max(0)
    assert bool((nearest.values > 0.99).all())
    assert fit.weights[nearest.indices].tolist() == pytest.approx([0.6, 0.3, 0.1], abs=0.05)
    weights, kappa = torch.tensor([0.6, 0.3, 0.1]).double(), torch.tensor([20.0, 100.0, 500.0]).double()
    truth = DirectionalFit(weights, torch.from_numpy(means), kappa)
    scores = [float(directional_log_joint(x, f, height_rule(3)).logsumexp(1).mean()) for f in (fit, truth)]
    assert scores[0] > scores[1] - 1e-3


def test_repeated_points_reach_the_bound_only():
    x = Sphere((3,)).random(5, torch.float64).repeat(20, 1)
    fit = fit_directional(x, 5, 0.0, 1234.0, torch.Generator().manual_seed(0))
    assert float(fit.kappa.max()) == 1234.0
