"""Injective layers and flows: exact densities of linear surfaces and of a curve, the surrogate of the gradient, and tables."""

import math

import numpy as np
import pytest
import torch
from torch import nn

import pushforward as pf
from pushforward.core import Real, initialise
from pushforward.errors import DataError, SpecError
from pushforward.evaluation import check_reconstruction
from pushforward.evaluation.held_out import fit_baselines
from pushforward.systems import InjectiveFlow
from pushforward.transforms import Injective

R3 = Real((3,))


class Matrix(nn.Module):
    """x -> A x."""

    def __init__(self, matrix):
        super().__init__()
        self.matrix = nn.Parameter(matrix)

    def forward(self, x):
        return x @ self.matrix.mT


def plane_and_noise(n, seed):
    generator = torch.Generator().manual_seed(seed)
    weight = torch.tensor([[2.0, 0.0, 1.0, 0.5], [0.0, 1.0, -1.0, 1.0]], dtype=torch.float64)
    noise = 0.1 * torch.randn(n, 4, generator=generator, dtype=torch.float64)
    return torch.randn(n, 2, generator=generator, dtype=torch.float64) @ weight + noise


def test_the_start_is_probabilistic_pca():
    """The density of a projection is the normal one of the first principal components, and samples lie in their plane."""
    x = plane_and_noise(500, 0)
    flow = InjectiveFlow(features=4, hidden=(8,)).build().double().eval()
    initialise(flow, x)
    centred = x - x.mean(0)
    variances, directions = torch.linalg.eigh(centred.mT.cov())
    plane = torch.distributions.MultivariateNormal(torch.zeros(2, dtype=x.dtype), torch.diag(variances[2:]))
    torch.testing.assert_close(flow.log_prob(x), plane.log_prob(centred @ directions[:, 2:]))
    drawn, logp = flow.sample_and_log_prob(20)
    away = (drawn - x.mean(0)) @ directions[:, :2]
    torch.testing.assert_close(away, torch.zeros_like(away), rtol=0, atol=1e-9)
    torch.testing.assert_close(logp, flow.log_prob(drawn))
    left = (variances[:2].sum() * 499 / 500 / 4 / centred.square().mean()).sqrt()
    assert abs(check_reconstruction(flow, x).error - float(left)) < 1e-6


def test_a_second_start_changes_nothing():
    flow = InjectiveFlow(features=4, hidden=(8,)).build().double().eval()
    initialise(flow, plane_and_noise(100, 0))
    before = flow.chain.into.clone()
    initialise(flow, 3 * plane_and_noise(100, 1))
    assert torch.equal(before, flow.chain.into)


def test_the_surrogate_has_the_gradient_of_the_volume():
    """For a linear encoder that is the pseudo-inverse of the decoder, the mean of the estimates is the exact gradient."""
    torch.manual_seed(1)
    matrix = torch.randn(2, 3, dtype=torch.float64)
    layer = Injective(R3, 2, Matrix(matrix), Matrix(torch.linalg.pinv(matrix))).double().train()
    layer.into.data.zero_()
    layer.out_of.data.zero_()
    layer.scale.fill_(2.0)
    _, dlogp = layer(torch.randn(40_000, 3, dtype=torch.float64))
    assert not dlogp.any()
    dlogp.mean().backward()
    free = matrix.clone().requires_grad_()
    torch.linalg.slogdet(free @ free.mT).logabsdet.div(2).backward()
    torch.testing.assert_close(layer.encode.net.matrix.grad, free.grad, rtol=0, atol=0.05)


@pytest.mark.slow
@pytest.mark.dear
@pytest.mark.parametrize("gradient", ["surrogate", "exact"])
def test_the_density_along_a_curve_is_learned(gradient):
    """Points (u, sin 2u) with a normal u: the density along the curve is that of u, divided by the length of the tangent."""
    torch.manual_seed(0)

    def curve(u):
        return torch.stack([u, (2 * u).sin()], 1)

    u = torch.randn(2000)
    flow = InjectiveFlow(features=2, latent_size=1, hidden=(48, 48), gradient=gradient).build()
    pf.fit(
        flow,
        curve(torch.randn(8000)),
        max_steps=900,
        epochs=100,
        lr=5e-3,
        schedule="cosine",
        batch_size=256,
        patience=0,
        progress=False,
    )
    truth = -0.5 * u.square() - 0.5 * math.log(2 * math.pi) - 0.5 * torch.log1p(4 * (2 * u).cos().square())
    found = flow.log_prob(curve(u)).detach()
    assert abs(float((found - truth).mean())) < 0.05
    assert float((found - truth).abs().mean()) < 0.15
    assert check_reconstruction(flow, curve(u)).error < 0.03
    assert flow.exactness.symbol == "~"


def test_densities_follow_the_units():
    """Ten times as large numbers have densities smaller by a factor of 10 for each latent coordinate, also in the estimator."""
    x = plane_and_noise(200, 0).numpy()
    options = {"max_iter": 1, "validation_fraction": 0.0, "random_state": 0, "hidden": (8,)}
    small, large = (pf.FlowDensity(system="injective", **options).fit(rows) for rows in (x, 10 * x))
    np.testing.assert_allclose(large.score_samples(10 * x), small.score_samples(x) - 2 * math.log(10), atol=1e-4)


def test_tables_keep_their_units_and_have_no_baselines():
    x = plane_and_noise(300, 0).numpy() * 10
    columns = dict(zip("abcd", x.T, strict=True))
    fitted = pf.Table(columns).fit("injective", max_steps=5, hidden=(8,), progress=False)
    layers = fitted.model.numbers.chain
    assert [type(layer).__name__ for layer in layers] == ["OnSurface", "Injective"]
    rows = torch.as_tensor(x)
    assert check_reconstruction(fitted.model, rows).error < 0.3
    with pytest.raises(DataError, match="density on a surface"):
        fit_baselines(fitted.schema, x, np.arange(200), np.arange(200, 300), 0, fitted.model)
    with pytest.raises(DataError, match="continuous numbers without bounds"):
        pf.Table({**columns, "k": np.arange(300) % 3}).fit("injective", max_steps=1, progress=False)


def test_mistakes_get_one_sentence():
    with pytest.raises(SpecError, match="latent coordinates from 1 to 2"):
        Injective(R3, 3)
    with pytest.raises(SpecError, match="latent_size from 1 to 1"):
        InjectiveFlow(features=2)
    with pytest.raises(SpecError, match="reconstruction > 0"):
        InjectiveFlow(features=3, reconstruction=0.0)
    with pytest.raises(SpecError, match="'surrogate' or 'exact'"):
        Injective(R3, 1, gradient="none")
