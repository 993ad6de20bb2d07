"""The ancestors of normalising flows: Gaussianization, Tabak and Turner, networks of distribution functions."""

import math

import pytest
import torch

from pushforward.core import Real, initialise
from pushforward.distributions import FreeCDF, ProductCDF
from pushforward.distributions.learned_cdf import cell_mass
from pushforward.errors import SpecError
from pushforward.evaluation import total_mass
from pushforward.objectives import CDFTargets, QuantileGenerator
from pushforward.systems import CDFNetwork, Gaussianization, TabakTurner
from pushforward.training import fit
from pushforward.transforms import DataRotation, Gaussianize, LocalMaps, negentropy


def two_modes(n, seed=0, features=1):
    g = torch.Generator().manual_seed(seed)
    centre = 2 * torch.randint(2, (n, 1), generator=g).double() - 1
    noise = torch.randn(n, features, generator=g, dtype=torch.float64)
    return 1.5 * centre * torch.eye(features, dtype=torch.float64)[0] + 0.5 * noise


def log_truth(x):
    parts = torch.stack([-0.5 * ((x[:, 0] - c) / 0.5).square() for c in (-1.5, 1.5)]).logsumexp(0)
    return parts - math.log(2 * 0.5 * math.sqrt(2 * math.pi))


def test_normal_scores_start_at_the_marginals():
    torch.manual_seed(0)
    layer = Gaussianize(Real((2,)), 4).double()
    x = torch.cat([two_modes(1000), two_modes(1000, 1).exp()], 1)
    layer.init_from(x)
    fresh = torch.cat([two_modes(1000, 2), two_modes(1000, 3).exp()], 1)
    with torch.no_grad():
        z = layer(fresh)[0]
    assert float(negentropy(z).max() - negentropy(torch.randn(1000, 1)).max()) < 0.03
    assert float(negentropy(fresh).min()) > 0.2
    before = layer.free.detach().clone()
    layer.init_from(2 * x)
    assert torch.equal(layer.free, before)


def test_iterative_gaussianization_needs_no_training():
    torch.manual_seed(0)
    x = two_modes(1500, features=2)
    x = torch.stack([x[:, 0] + x[:, 1], x[:, 0] - x[:, 1]], 1)
    flow = Gaussianization(features=2, layers=3, mixture=4).build().double()
    initialise(flow, x)
    base = two_modes(1000, 7, features=2)
    held = torch.stack([base[:, 0] + base[:, 1], base[:, 0] - base[:, 1]], 1)
    truth = log_truth(base) - 0.5 * (base[:, 1] / 0.5).square() - math.log(0.5 * math.sqrt(2 * math.pi)) - math.log(2)
    with torch.no_grad():
        gap = float((truth - flow.log_prob(held)).mean())
        assert 0 < gap < 0.06
        z = flow.chain(held)[0]
        assert float((flow.chain.inverse(z)[0] - held).abs().max()) < 1e-9


def test_short_steps_of_gaussianization_follow_the_rows_less():
    x, held = two_modes(200, features=2), two_modes(2000, 7, features=2)

    def excess(**options):
        torch.manual_seed(0)
        flow = Gaussianization(features=2, layers=2, rotation="random", trained=False, **options).build().double()
        initialise(flow, x)
        with torch.no_grad():
            return float(flow.log_prob(x).mean() - flow.log_prob(held).mean())

    assert excess(step=0.3) < 0.7 * excess()


def test_the_step_of_gaussianization_has_a_range():
    for step in (0.0, -0.5, 1.5):
        with pytest.raises(SpecError, match="step above 0 and at most 1"):
            Gaussianization(features=2, step=step)


def test_rotations_start_at_principal_axes_or_far_from_normal():
    x = two_modes(2000, features=2)
    x = x @ torch.tensor([[0.6, 0.8], [-0.8, 0.6]], dtype=torch.float64)
    for choices in (0, 16):
        layer = DataRotation(Real((2,)), choices=choices).double()
        layer.init_from(x)
        with torch.no_grad():
            z = layer(x)[0]
        assert float(negentropy(z).sum()) > 0.8 * float(negentropy(two_modes(2000, features=2)).sum())
        if not choices:
            covariance = torch.cov(z.mT)
            assert abs(float(covariance[0, 1])) < 1e-9


@pytest.mark.parametrize("form", ["rational", "erf", "axis"])
def test_local_maps_grow_without_a_step_back(form):
    torch.manual_seed(0)
    x = two_modes(800, features=2)
    layer = LocalMaps(Real((2,)), 25, form=form, candidates=6).double()
    layer.init_from(x)
    assert float(layer.curve.diff().min()) >= -1e-12
    assert float(layer.curve[-1] - layer.curve[0]) > 0.1
    with torch.no_grad():
        z, dlogp = layer(x)
        normal = (-0.5 * z.square() - 0.5 * math.log(2 * math.pi)).sum(1)
        assert abs(float((normal + dlogp).mean() - layer.curve[-1])) < 1e-9
        assert float((layer.inverse(z)[0] - x).abs().max()) < 1e-9


def test_tabak_and_turner_fit_by_the_start_alone():
    torch.manual_seed(0)
    flow = TabakTurner(features=1, maps=60).build()
    found = fit(flow, two_modes(1500).float(), max_steps=20, progress=False)
    assert found.steps >= 1
    held = two_modes(1500, 5)
    with torch.no_grad():
        assert float((log_truth(held) - flow.double().eval().log_prob(held)).mean()) < 0.04


@pytest.mark.parametrize("targets", ["smooth", "stochastic"])
def test_monotone_network_learns_the_distribution_function(targets):
    torch.manual_seed(0)
    flow = CDFNetwork(features=1, units=4, targets=targets).build()
    fit(flow, two_modes(1500).float(), max_steps=300, batch_size=500, lr=1e-2, progress=False)
    held = two_modes(1500, 5)
    flow = flow.double().eval()
    with torch.no_grad():
        assert float((log_truth(held) - flow.log_prob(held)).mean()) < 0.08
        u = flow.base.cdf(flow.chain(held)[0]).sort().values
        assert float((u - (torch.arange(1500) + 0.5) / 1500).abs().max()) < 0.06


def test_targets_are_ranks_or_sorted_uniform_numbers():
    model = ProductCDF(Real((2,)), 3).double()
    x = torch.tensor([[0.0, 0.0], [1.0, -1.0], [2.0, 2.0], [3.0, 1.0]], dtype=torch.float64)
    model.init_from(x)
    assert model.counts(x).tolist() == [1, 1, 3, 3]
    smooth = CDFTargets(model)
    assert torch.allclose(smooth.target(model, x), torch.tensor([0.2, 0.2, 0.6, 0.6], dtype=torch.float64))
    stochastic = CDFTargets(model, "stochastic")
    first, second = stochastic.target(model, x), stochastic.target(model, x)
    assert first[0] == first[1]
    assert bool((first[2:] > first[0]).all())
    assert not torch.equal(first, second)
    line = ProductCDF(Real((1,)), 3).double()
    line.init_from(x[:, :1])
    assert line.counts(x[:, :1]).tolist() == [1, 2, 3, 4]


def test_product_network_is_a_joint_distribution_function():
    torch.manual_seed(0)
    model = ProductCDF(Real((2,)), 3).double()
    low, high = torch.tensor([[-0.5, -1.0]], dtype=torch.float64), torch.tensor([[1.0, 0.7]], dtype=torch.float64)
    axes = [torch.linspace(float(a), float(b), 401, dtype=torch.float64) for a, b in zip(low[0], high[0], strict=True)]
    density = model.log_prob(torch.cartesian_prod(*axes)).exp().view(401, 401)
    whole = torch.trapezoid(torch.trapezoid(density, axes[1], dim=1), axes[0])
    assert abs(float(whole.detach() - cell_mass(model, low, high)[0].detach())) < 1e-5
    assert abs(total_mass(model) - 1) < 2e-3


def test_free_network_has_the_mass_of_its_corners():
    torch.manual_seed(0)
    model = FreeCDF(Real((2,)), (8,)).double()
    model.init_from(two_modes(50, features=2))
    axes = [
        torch.linspace(float(a), float(b), 301, dtype=torch.float64) for a, b in zip(model.low, model.high, strict=True)
    ]
    density = model.terms(torch.cartesian_prod(*axes))[-1].view(301, 301)
    whole = torch.trapezoid(torch.trapezoid(density, axes[1], dim=1), axes[0])
    assert abs(float(whole.detach()) - model.mass()) < 1e-4


def test_free_network_draws_by_inversion():
    torch.manual_seed(0)
    x = two_modes(1000)
    model = CDFNetwork(features=1, network="free", hidden=(8,)).build()
    fit(model, x.float(), max_steps=150, batch_size=500, lr=2e-2, progress=False)
    base = model.double().eval().base
    mass = base.mass()
    assert 0.8 < mass < 1.1
    torch.manual_seed(0)
    with torch.no_grad():
        drawn = base.sample(2000).sort(0).values
        u = (base.cdf(drawn) - base.cdf(base.low[None])) / mass
    assert float((u - (torch.arange(2000) + 0.5) / 2000).abs().max()) < 0.05


def test_penalties_are_zero_only_for_a_distribution_function():
    torch.manual_seed(0)
    right = ProductCDF(Real((2,)), 3).double()
    right.low.fill_(-40.0)
    right.high.fill_(40.0)
    wrong = FreeCDF(Real((2,)), (8,)).double()
    assert float(CDFTargets(right)._penalties(right).detach()) < 1e-12
    assert float(CDFTargets(wrong)._penalties(wrong).detach()) > 0.1


def test_direct_generator_draws_the_sample():
    torch.manual_seed(0)
    x = two_modes(1000)[:, 0].float()
    drawn = QuantileGenerator((16,)).learn(x, steps=500).sample(4000)
    distance = (torch.searchsorted(drawn.sort().values, x.sort().values) / 4000 - torch.arange(1000) / 1000).abs().max()
    assert float(distance) < 0.08


def test_bad_arguments_are_refused_in_one_sentence():
    with pytest.raises(SpecError, match="features <= 3"):
        CDFNetwork(features=4)
    with pytest.raises(SpecError, match="no context"):
        TabakTurner.from_data(torch.randn(5, 2), torch.randn(5, 1))
    with pytest.raises(SpecError, match="between 0 and 1"):
        TabakTurner(features=2, share=1.5)
    with pytest.raises(SpecError, match="learned distribution function"):
        CDFTargets(Gaussianization(features=2, layers=1).build())
