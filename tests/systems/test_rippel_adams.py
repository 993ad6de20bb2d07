"""Deep density models: the decoder beside plain sigmoids, Beta distributions from moments, training and scores."""

import pytest
import torch
from torch.distributions import Beta, kl_divergence

from pushforward.core import Real
from pushforward.distributions import LogitBeta, Normal
from pushforward.errors import SpecError
from pushforward.functional.beta_moments import beta_divergence, beta_of_moments
from pushforward.objectives import DeepDensity
from pushforward.systems import ImageRippelAdams, RippelAdams
from pushforward.training import fit
from pushforward.transforms import ExtendedLogit, SigmoidDecoder


def test_fitted_beta_has_the_moments_of_the_sample():
    torch.manual_seed(0)
    z, weights = torch.rand(50, 3, dtype=torch.float64) ** 2, torch.rand(50, dtype=torch.float64)
    found = Beta(*beta_of_moments(z, weights))
    share = (weights / weights.sum())[:, None]
    mean = (share * z).sum(0)
    assert torch.allclose(found.mean, mean)
    assert torch.allclose(found.variance, (share * (z - mean) ** 2).sum(0))
    assert torch.allclose(torch.stack(beta_of_moments(z)), torch.stack(beta_of_moments(z, torch.ones(50))))


@pytest.mark.parametrize(
    "z", [torch.full((5, 1), 0.3), torch.tensor([[0.0], [1.0]]), torch.zeros(4, 1), torch.rand(1, 1)]
)
def test_moments_without_a_beta_distribution_give_the_nearest_one(z):
    z = z.clone().requires_grad_()
    divergence = beta_divergence(*beta_of_moments(z), 2.0, 2.0)
    assert 0.5 < float(divergence.detach()) < 1e8
    divergence.sum().backward()
    assert bool(z.grad.isfinite().all())


def test_divergence_of_beta_distributions_is_that_of_quadrature():
    a, b = torch.tensor([0.7, 2.0, 5.0], dtype=torch.float64), torch.tensor([1.3, 2.0, 0.9], dtype=torch.float64)
    found = beta_divergence(a, b, 2.0, 3.0)
    own, target = Beta(a, b), Beta(*torch.tensor([2.0, 3.0], dtype=torch.float64))
    assert torch.allclose(found, kl_divergence(own, target))
    z = torch.linspace(-40, 40, 20_001, dtype=torch.float64)[:, None].sigmoid().clamp(1e-300, 1 - 1e-16)
    step = (80 / 20_000) * z * (1 - z)
    direct = (own.log_prob(z).exp() * (own.log_prob(z) - target.log_prob(z)) * step).sum(0)
    assert torch.allclose(found, direct, atol=1e-5)
    assert abs(float(beta_divergence(a, b, 2.0, 2.0)[1])) < 1e-12


def test_decoder_is_that_of_plain_sigmoids_inside_of_the_margin():
    torch.manual_seed(0)
    decoder = SigmoidDecoder(Real((3,)), 3, margin=1e-6).double()
    z = torch.rand(20, 3, dtype=torch.float64)
    y = z
    for weight, matrix in zip(decoder.weights(), decoder._matrices, strict=True):
        y = (y @ weight.mT + matrix.bias).sigmoid()
    x = decoder.inverse(z.logit())[0]
    assert torch.allclose(x.sigmoid(), y)
    assert torch.allclose(decoder(x)[0].sigmoid(), z)


def test_every_point_has_latent_variables_and_the_ends_are_tangents():
    scalar, m = ExtendedLogit(0.1), 0.1
    x = torch.tensor([-3.0, 0.1, 0.5, 0.9, 1.0, 7.0], dtype=torch.float64)
    z, slopes = scalar.forward(x, x[:, None])
    assert torch.allclose(z[1:4], x[1:4].logit())
    assert torch.allclose(z[4:] - z[3], (x[4:] - 0.9) / (m * (1 - m)))
    assert torch.allclose(slopes[[0, 4, 5]].exp(), torch.tensor(1 / (m * (1 - m))).double())
    decoder = SigmoidDecoder(Real((2,)), 2).double()
    far = torch.tensor([[1e3, -1e3], [40.0, 0.0]], dtype=torch.float64)
    with torch.no_grad():
        assert torch.allclose(decoder.inverse(decoder(far)[0])[0], far)


def test_logits_of_beta_draws_have_the_moments_of_the_beta_distribution():
    torch.manual_seed(0)
    z = LogitBeta(Real((1,)), 2.0, 6.0).double().sample(20_000).sigmoid()
    assert abs(float(z.mean()) - 0.25) < 0.005
    assert abs(float(z.var()) - 2 * 6 / (8**2 * 9)) < 0.001


def nines(n, seed=0):
    """Rows on a curve in four dimensions, with little noise."""
    g = torch.Generator().manual_seed(seed)
    t = 4 * torch.rand(n, 1, generator=g) - 2
    return torch.cat([t, t.square() - 1, t.sin(), -t], 1) + 0.05 * torch.randn(n, 4, generator=g)


@pytest.mark.parametrize(("learn", "least"), [("losses", 0.8), ("likelihood", 0.9)])
def test_held_out_rows_have_a_higher_density_than_shuffled_ones(learn, least):
    torch.manual_seed(0)
    model = RippelAdams(features=4, hidden=(32,), learn=learn).build()
    fit(model, nines(300), validation=None, max_steps=150, lr=5e-3, batch_size=300, ema=0.0, progress=False)
    held = nines(200, 1)
    broken = torch.stack([column[torch.randperm(200)] for column in held.T], 1)
    with torch.no_grad():
        own, other = model.log_prob(held), model.log_prob(broken)
        assert float((own[:, None] > other).float().mean()) > least
        if learn == "losses":
            u = model.chain.encode(held)
            assert float(beta_divergence(*beta_of_moments(u.sigmoid()), 2.0, 2.0).mean()) < 0.1
            assert float((model.chain.inverse(u)[0].sigmoid() - held.sigmoid()).abs().mean()) < 0.05


def test_pictures_are_squashed_and_flattened():
    torch.manual_seed(0)
    x = torch.randint(0, 4, (40, 1, 2, 3))
    model = ImageRippelAdams.from_data(x, levels=4, hidden=(8,)).build()
    fit(model, x, validation=None, epochs=1, progress=False)
    assert model.sample(3).shape == (3, 1, 2, 3)
    assert bool(model.log_prob(x).isfinite().all())


def test_bad_arguments_are_refused_in_one_sentence():
    with pytest.raises(SpecError, match="between 0 and 1/2"):
        RippelAdams(features=2, margin=0.5)
    with pytest.raises(SpecError, match=r">= 0\.1"):
        RippelAdams(features=2, a=0.0)
    with pytest.raises(SpecError, match="conditioning >= 0"):
        RippelAdams(features=2, conditioning=-1.0)
    with pytest.raises(SpecError, match="no labels"):
        ImageRippelAdams(shape=(1, 2, 2), classes=3)
    with pytest.raises(SpecError, match="SigmoidDecoder"):
        DeepDensity(Normal(Real((2,))))
    with pytest.raises(SpecError, match="an encoder"):
        DeepDensity(RippelAdams(features=2, learn="likelihood").build())
    with pytest.raises(SpecError, match="finite parameters"):
        LogitBeta(Real((2,)), 0.01)
