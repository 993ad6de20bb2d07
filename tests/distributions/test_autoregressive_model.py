"""Autoregressive models: factors, the order of entries in pictures, and the average over masks."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats
import torch

from pushforward.compression import EventCoder
from pushforward.core import Categories, Integers, Real
from pushforward.distributions import (
    AutoregressiveModel,
    BernoulliFactor,
    CategoricalFactor,
    LogisticLevelsFactor,
    MixtureFactor,
    OrderAverage,
    label_factor,
)
from pushforward.errors import SpecError
from pushforward.networks import CausalLSTM, CausalTransformer, MaskedMLP, MaskEnsemble, NADENetwork


def shaken(model, spread=0.5):
    torch.manual_seed(0)
    for p in model.parameters():
        torch.nn.init.normal_(p, std=spread)
    return model.double().eval().requires_grad_(False)


NETWORKS = {
    "made": lambda d, f: MaskedMLP(d, f.n, width=f.width, hidden=(16,), direct=True),
    "nade": lambda d, f: NADENetwork(d, f.n, width=f.width, hidden=8),
    "lstm": lambda d, f: CausalLSTM(f.width, f.n, hidden=8),
    "transformer": lambda d, f: CausalTransformer(f.width, f.n, length=d, hidden=8, blocks=1, heads=2),
}


@pytest.mark.parametrize("network", NETWORKS)
def test_probabilities_of_all_vectors_of_bits_sum_to_one(network):
    space, factor = Integers((12,), 0, 1), BernoulliFactor()
    model = shaken(AutoregressiveModel(space, factor, NETWORKS[network](12, factor)))
    x, _ = space.quadrature()
    assert float(model.log_prob(x).exp().sum()) == pytest.approx(1, abs=1e-10)


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("levels", ["categorical", "logistic", "colours"])
def test_probabilities_of_all_pictures_sum_to_one_and_draws_are_scored(network, levels):
    shape = (2, 1, 2) if levels == "colours" else (1, 2, 2)
    space = Integers(shape, 0, 2)
    factor = {
        "categorical": CategoricalFactor((3,) * 4, code="number"),
        "logistic": LogisticLevelsFactor(3, 2),
        "colours": LogisticLevelsFactor(3, 2, channels=2),
    }[levels]
    length = 2 if levels == "colours" else 4
    model = shaken(AutoregressiveModel(space, factor, NETWORKS[network](length, factor)))
    x, _ = space.quadrature()
    assert float(model.log_prob(x).exp().sum()) == pytest.approx(1, abs=1e-10)
    drawn, logp = model.sample_and_log_prob(200)
    torch.testing.assert_close(model.log_prob(drawn), logp)


@pytest.mark.parametrize(
    ("kind", "peer"),
    [("gaussian", scipy.stats.norm), ("laplace", scipy.stats.laplace), ("logistic", scipy.stats.logistic)],
)
def test_mixtures_have_the_density_of_scipy(kind, peer):
    factor = MixtureFactor(3, kind)
    torch.manual_seed(0)
    p, x = torch.randn(4, 1, 9).double(), torch.linspace(-3, 3, 4).double()[:, None]
    log_weights, means, log_scales = (part.numpy() for part in factor.parts(p))
    each = np.exp(log_weights) * peer.pdf(x.numpy()[..., None], means, np.exp(log_scales))
    np.testing.assert_allclose(factor.log_prob(x, p).numpy(), np.log(each.sum(-1)), rtol=1e-10)


def test_the_gradient_of_a_mean_is_multiplied_by_its_scale():
    p = torch.tensor([[[0.0, 0.3, math.log(0.1)]]]).double().requires_grad_()
    x = torch.tensor([[0.5]]).double()
    plain, scaled = MixtureFactor(1, scaled_means=False), MixtureFactor(1)
    values, slopes = [], []
    for factor in (plain, scaled):
        value = factor.log_prob(x, p)
        values.append(value)
        slopes.append(torch.autograd.grad(value.sum(), p)[0].flatten())
    torch.testing.assert_close(values[0].detach(), values[1].detach())
    scale = float(plain.parts(p.detach())[2].exp())
    assert float((slopes[1][1] / slopes[0][1]).detach()) == pytest.approx(scale)
    assert float(slopes[1][2]) == pytest.approx(float(slopes[0][2]))


def test_logistic_levels_are_differences_of_the_cdf_with_tails():
    factor = LogisticLevelsFactor(5, 2)
    p = torch.randn(1, 1, factor.n, generator=torch.Generator().manual_seed(0)).double()
    weights, means, scales, _ = factor._parts(p)
    mean, scale = 2 * (means[0, 0, 0] + 1), (scales[0, 0, 0] + math.log(2)).exp()
    edges = torch.tensor([-math.inf, 0.5, 1.5, 2.5, 3.5, math.inf]).double()
    cdf = torch.sigmoid((edges[:, None] - mean) / scale) @ weights[0, 0].exp()
    x = torch.arange(5).double()[:, None]
    torch.testing.assert_close(factor.log_prob(x, p.expand(5, 1, -1))[:, 0].exp(), cdf.diff())


@pytest.mark.parametrize("counts", [(2, 2, 2), (3, 2, 4)])
def test_training_starts_at_the_frequencies(counts):
    space = Categories((3,), counts)
    factor = label_factor(space)
    model = AutoregressiveModel(space, factor, MaskedMLP(3, factor.n, width=factor.width, hidden=(8,))).eval()
    torch.manual_seed(0)
    x = torch.stack([torch.randint(k, (500,)) for k in counts], 1) // 2
    model.init_from(x)
    states, _ = space.quadrature()
    expected = sum(
        torch.log((x[:, i, None] == states[None, :, i]).sum(0) + 1.0) - math.log(500 + k) for i, k in enumerate(counts)
    )
    torch.testing.assert_close(model.log_prob(states), expected)


def test_mixtures_start_on_a_grid_over_the_data():
    factor = MixtureFactor(4)
    model = AutoregressiveModel(Real((2,)), factor, MaskedMLP(2, factor.n, hidden=(8,)))
    x = torch.tensor([[0.0, -5.0], [8.0, 5.0], [4.0, 0.0]])
    model.init_from(x)
    _, means, log_scales = factor.parts(model.parameters_of(x)[0])
    torch.testing.assert_close(means[0], torch.tensor([1.0, 3.0, 5.0, 7.0]))
    torch.testing.assert_close(log_scales[0].exp(), torch.full((4,), 2.0))


def test_mixtures_start_at_the_quantiles_of_values_with_outliers():
    factor = MixtureFactor(10, start_from="quantiles")
    model = AutoregressiveModel(Real((1,)), factor, MaskedMLP(1, factor.n, hidden=(8,)))
    torch.manual_seed(0)
    x = torch.randn(2000, 1)
    x[0] = 1000.0
    model.init_from(x)
    entropy = 0.5 * math.log(2 * math.pi * math.e)
    assert float(model.log_prob(x[1:]).mean().detach()) == pytest.approx(-entropy, abs=0.15)


def test_an_average_over_masks_is_the_mean_of_its_members():
    space = Integers((6,), 0, 1)
    net = MaskEnsemble(6, 1, masks=3, hidden=(9,))
    model = shaken(OrderAverage(space, BernoulliFactor(), net), 1.0)
    x, _ = space.quadrature()
    members = [AutoregressiveModel(space, BernoulliFactor(), net.member(s)).eval() for s in range(3)]
    expected = torch.stack([member.log_prob(x).exp() for member in members]).mean(0).detach()
    torch.testing.assert_close(model.log_prob(x).exp(), expected)
    assert float(expected.sum()) == pytest.approx(1)
    torch.manual_seed(0)
    drawn = model.sample(20_000)
    number = (drawn.long() * 2 ** torch.arange(6).flip(0)).sum(1)
    assert float((torch.bincount(number, minlength=64) / 20_000 - expected).abs().max()) < 0.02


def test_the_coder_reads_pixels_of_two_channels_back():
    factor = LogisticLevelsFactor(16, 3, channels=2)
    model = AutoregressiveModel(
        Integers((2, 3, 2), 0, 15), factor, CausalTransformer(2, factor.n, length=6, hidden=8, blocks=1, heads=2)
    )
    torch.manual_seed(0)
    codec = EventCoder(model.double(), rows=8)
    x = torch.randint(16, (5, 2, 3, 2)).double()
    data = codec.encode(x)
    assert torch.equal(codec.decode(data, 5), x)


@pytest.mark.parametrize(
    ("factor", "space"),
    [
        (BernoulliFactor(), Integers((3,), 0, 2)),
        (CategoricalFactor((3, 3)), Categories((2,), 4)),
        (MixtureFactor(2), Integers((2,), 0, 1)),
        (LogisticLevelsFactor(4, 2), Integers((1, 2, 2), 0, 7)),
        (LogisticLevelsFactor(4, 2, channels=3), Integers((1, 2, 2), 0, 3)),
    ],
)
def test_a_factor_refuses_a_space_of_another_kind(factor, space):
    with pytest.raises(SpecError, match="expected a space"):
        AutoregressiveModel(space, factor, MaskedMLP(2, factor.n, hidden=(4,)))
