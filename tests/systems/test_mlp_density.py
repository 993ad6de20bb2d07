"""The MLP density baseline: mass, bias, draws, gradients, and the divergence of the loss without a normaliser."""

import math

import numpy as np
import pytest
import torch
from scipy import integrate, stats

import pushforward as pf
from pushforward.errors import ContextError, SpecError
from pushforward.systems.mlp_density import MLPDensity, unnormalised_loss


def rough(spec, seed=0, scale=1.0):
    """The spec's model in float64, with a last layer that is not zero."""
    torch.manual_seed(seed)
    model = spec.build().double()
    with torch.no_grad():
        model.network.out.weight.normal_(0, scale)
    return model


def two_modes(n, seed):
    generator = torch.Generator().manual_seed(seed)
    sign = torch.randint(0, 2, (n, 1), generator=generator) * 2.0 - 1
    return 3 * sign + 0.3 * torch.randn(n, 2, generator=generator)


TWO_MODES_ENTROPY = math.log(2) + math.log(2 * math.pi * math.e * 0.09)


def adam(model, loss, steps, lr=1e-2):
    optimiser = torch.optim.Adam(model.parameters(), lr=lr)
    losses = []
    for _ in range(steps):
        optimiser.zero_grad()
        value = loss()
        value.backward()
        optimiser.step()
        losses.append(value.item())
    return losses


@pytest.mark.parametrize("activation", ["tanh", "silu"])
def test_total_mass_1d(activation):
    model = rough(MLPDensity(features=1, bound=4.0, grid=401, activation=activation))

    def density(x):
        return model.log_prob(torch.tensor([x], dtype=torch.float64)).exp().item()

    mass, _ = integrate.quad(density, -4, 4, limit=200)
    assert mass == pytest.approx(1, abs=2e-4)


def test_total_mass_2d():
    model = rough(MLPDensity(features=2, bound=3.0, grid=201))
    # Gauss and Legendre's rule shares no point with the model's own.
    points, weights = map(torch.as_tensor, np.polynomial.legendre.leggauss(80))
    grid = 3 * torch.cartesian_prod(points, points)
    mass = (9 * torch.outer(weights, weights).flatten() * model.log_prob(grid).exp()).sum().item()
    assert mass == pytest.approx(1, abs=2e-4)


def test_the_bias_falls_with_the_square_of_the_step():
    def bias(grid):
        model = rough(MLPDensity(features=1, bound=3.0, grid=grid), scale=0.5)
        exact, _ = integrate.quad(lambda x: math.exp(-model.energy(torch.tensor([[x]]).double()).item()), -3, 3)
        return abs(model.log_normaliser().item() - math.log(exact))

    assert bias(21) / bias(41) == pytest.approx(4, rel=0.1)


def test_exactness_says_that_the_side_is_unknown():
    model = MLPDensity(features=1).build()
    assert model.exactness == pf.Exactness.LOWER | pf.Exactness.UPPER
    assert model.exactness.symbol == "~"


def test_starts_almost_flat_and_is_empty_outside():
    model = MLPDensity(features=2, bound=2.0, ridge=0.0).build()
    inside = model.log_prob(torch.tensor([[0.0, 0.0], [1.9, -2.0]]))
    torch.testing.assert_close(inside, torch.full((2,), -math.log(16.0)))
    assert model.log_prob(torch.tensor([2.1, 0.0])).item() == -math.inf


@pytest.mark.parametrize("spec", list(MLPDensity.cases()))
def test_gradients_are_finite_and_reach_every_layer(spec):
    model = rough(spec)
    model.log_prob(model.space.random(16, torch.float64)).mean().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad.isfinite().all(), name
        # The last bias cancels against log Z.
        assert name == "network.out.bias" or parameter.grad.abs().max() > 0, name


def test_gradient_of_log_normaliser_is_minus_the_mean_of_the_energy_gradient():
    model = rough(MLPDensity(features=1, hidden=(8,), bound=3.0, grid=801))
    weight = model.network.out.weight
    (gradient,) = torch.autograd.grad(model.log_normaliser(), weight)
    torch.manual_seed(1)
    x = model.sample(200_000)
    (energy_gradient,) = torch.autograd.grad(model.energy(x).mean(), weight)
    torch.testing.assert_close(gradient, -energy_gradient, atol=0.01, rtol=0)


def test_draws_in_1d_follow_the_density():
    model = rough(MLPDensity(features=1, bound=3.0, grid=401))
    torch.manual_seed(2)
    x, logp = model.sample_and_log_prob(100_000)
    torch.testing.assert_close(logp, model.log_prob(x))
    axis = torch.linspace(-3, 3, 4001, dtype=torch.float64)
    cdf = torch.cumulative_trapezoid(model.log_prob(axis.unsqueeze(-1)).detach().exp(), axis)

    def claimed(t):
        return torch.cat([torch.zeros(1), cdf])[torch.searchsorted(axis, torch.as_tensor(t)).clamp_max(4000)].numpy()

    assert stats.kstest(x.squeeze(-1).numpy(), claimed).pvalue > 0.01


def test_draws_in_2d_follow_the_density():
    model = rough(MLPDensity(features=2, bound=3.0, grid=129), scale=2.0)
    torch.manual_seed(3)
    x, logp = model.sample_and_log_prob(50_000)
    assert model.space.contains(x).all()
    # E[1/p] over the draws is the box's area when the draws follow p.
    ratio = (-logp).exp() / 36
    error = ratio.std() / math.sqrt(len(ratio))
    assert abs(ratio.mean().item() - 1) < 4 * error + 1e-3
    fine, _ = model.nodes()
    p = model.log_prob(fine).exp()
    mean = (p.unsqueeze(-1) * fine).sum(0) / p.sum()
    torch.testing.assert_close(x.mean(0), mean, atol=0.03, rtol=0)


def test_no_draws_and_no_rows():
    model = MLPDensity(features=2, grid=9).build()
    assert model.sample(0).shape == (0, 2)
    assert model.log_prob(torch.zeros(0, 2)).shape == (0,)


def test_the_normalised_likelihood_has_an_optimum():
    x, held_out = two_modes(512, 0), two_modes(2048, 1)
    torch.manual_seed(0)
    model = MLPDensity(features=2, hidden=(32, 32), bound=5.0, grid=81).build()
    adam(model, lambda: -model.log_prob(x).mean(), 300)
    nll = -model.log_prob(held_out).mean().item()
    assert TWO_MODES_ENTROPY - 0.03 < nll < TWO_MODES_ENTROPY + 0.25


def test_the_loss_without_a_normaliser_falls_without_bound():
    x = two_modes(512, 0)
    torch.manual_seed(0)
    model = MLPDensity(features=2, hidden=(32, 32), bound=5.0, grid=81).build()
    losses = adam(model, lambda: unnormalised_loss(model, x), 400)
    # Far below any negative log-likelihood of these data, and no hundred steps slow the fall down.
    falls = [losses[i] - losses[i + 99] for i in (0, 100, 200, 300)]
    assert losses[-1] < -50
    assert min(falls) > 20
    # What it has learned is no density of the data.
    assert -model.log_prob(x).mean().item() > TWO_MODES_ENTROPY + 1


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"features": 3}, "features <= 2, got 3.*161\\^3"),
        ({"features": 1, "grid": 1}, "grid >= 2, got 1"),
        ({"features": 1, "bound": -1.0}, "bound to be positive and finite, got -1.0"),
        ({"features": 1, "ridge": -0.1}, "ridge >= 0, got -0.1"),
        ({"features": 1, "activation": "relu"}, "activation to be one of 'tanh', 'silu', got 'relu'"),
        ({"features": 1, "context": 2}, "no argument 'context'"),
    ],
)
def test_arguments_out_of_range(fields, message):
    with pytest.raises(SpecError, match=message):
        pf.build("mlp-density", **fields)


def test_refuses_a_context():
    with pytest.raises(ContextError, match="takes none"):
        MLPDensity(features=1).build().log_prob(torch.zeros(3, 1), torch.zeros(3, 2))


def test_registered_and_round_trips_through_a_dictionary():
    spec = pf.systems.MLPDensity(features=2, hidden=[4])
    assert pf.systems.spec.spec_from_dict(spec.to_dict()) == spec
