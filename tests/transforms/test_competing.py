"""Competing experts: the local posterior against enumeration, and inverses given the winners."""

import math
from functools import partial

import pytest
import torch
from torch import nn

from pushforward.core import Chain, Exactness, Flow, Real
from pushforward.distributions import Normal
from pushforward.errors import SpecError
from pushforward.evaluation import decode, encode, log_likelihoods
from pushforward.networks import MLP
from pushforward.objectives import enumerated_log_prob
from pushforward.transforms import Checkerboard, WinnerCoupling, WinnerGate, checkerboard_mask, half_mask
from pushforward.transforms.experts import WINNERS

PLANE = Real((2,))


def network():
    return partial(MLP, hidden=(8,), activation="tanh", zero=False)


def model(layers=1, units=3, correction=None, space=PLANE, block=1):
    torch.manual_seed(0)
    masks = [half_mask(space.size, flip=i % 2 == 1) for i in range(layers)]
    chain = Chain(*(WinnerCoupling(space, mask, units, network(), correction, block=block) for mask in masks))
    return Flow(chain, Normal(space)).double()


def test_the_bound_of_one_layer_before_a_normal_base_is_the_likelihood():
    flow = model()
    x = 2 * torch.randn(50, 2, dtype=torch.float64)
    exact = enumerated_log_prob(flow, x)
    for _ in range(3):
        torch.testing.assert_close(flow.log_prob(x), exact)
    assert flow.exactness == Exactness.NOISY | Exactness.LOWER


def test_one_layer_on_the_line_is_a_mixture_of_gaussians():
    layer = WinnerCoupling(Real((1,)), [False], 4).double()
    for p in layer.parameters():
        nn.init.normal_(p, std=0.5)
    flow = Flow(layer, Normal(Real((1,))))
    x = torch.linspace(-4, 4, 30, dtype=torch.float64)[:, None]
    logits, scales, shifts = (v[0, 0] for v in layer.experts.parameters_at(x[:1], None))
    mixture = torch.distributions.MixtureSameFamily(
        torch.distributions.Categorical(logits=logits), torch.distributions.Normal(shifts, scales.exp())
    )
    torch.testing.assert_close(flow.log_prob(x), mixture.log_prob(x[:, 0]))


@pytest.mark.dear
@pytest.mark.parametrize("correction", [None, network()])
def test_importance_weighted_bounds_tend_to_the_sum_over_winners(correction):
    flow = model(layers=3, units=2, correction=correction)
    x = torch.randn(20, 2, dtype=torch.float64)
    exact = enumerated_log_prob(flow, x).detach()
    one, many = (log_likelihoods(flow, x, samples=n) for n in (1, 1500))
    assert float(one.mean()) < float(exact.mean()) - 0.01
    assert float((many - exact).abs().mean()) < 0.05


def test_winners_in_blocks_have_the_exact_posterior_of_the_block():
    flow = model(units=3, space=Real((4,)), block=2)
    x = torch.randn(20, 4, dtype=torch.float64)
    torch.testing.assert_close(flow.log_prob(x), enumerated_log_prob(flow, x))
    assert flow.chain[0].branches == 3
    assert model(units=3, space=Real((4,))).chain[0].branches == 9


@pytest.mark.parametrize("space", [PLANE, Real((5,))])
def test_given_the_winners_the_inverse_is_exact(space):
    layer = WinnerCoupling(space, half_mask(space.size), 3, network()).double()
    x = 3 * torch.randn(100, space.size, dtype=torch.float64)
    z, log_p, log_q, winners = layer.forward_with_winners(x)
    torch.testing.assert_close(layer.inverse_of_winners(z, winners), x)
    assert bool((log_q <= 0).all())
    assert log_p.shape == (100,)
    assert len(set(winners.flatten().tolist())) == 3


def test_the_codes_of_a_flow_hold_the_winners():
    flow = model(layers=4)
    x = torch.randn(30, 2, dtype=torch.float64)
    codes = encode(flow, x)
    assert [code.dtype for code in codes] == [torch.int64] * 4 + [torch.float64]
    torch.testing.assert_close(decode(flow, codes), x)


def test_winners_of_pictures_have_their_positions():
    space = Real((2, 4, 4))
    convolution = lambda inputs, outputs: nn.Conv2d(inputs, outputs, 3, padding=1)  # noqa: E731
    layer = WinnerCoupling(space, checkerboard_mask(4, 4), 2, convolution)
    x = torch.randn(3, 2, 4, 4)
    z, _, _, winners = layer.forward_with_winners(x)
    assert winners.shape == (3, 2, 8)
    torch.testing.assert_close(layer.inverse_of_winners(z, winners), x)
    seen = Checkerboard(space)(x)[0]
    assert seen.numel() == x.numel()


def test_experts_win_about_equally_often_at_the_start():
    layer = WinnerCoupling(PLANE, half_mask(2), 4)
    winners = layer.forward_with_winners(torch.randn(5000, 2))[3]
    shares = torch.bincount(winners.flatten(), minlength=4) / 5000
    assert float(shares.min()) > 0.08


def test_forward_reports_the_probability_of_its_winners():
    layer = WinnerCoupling(PLANE, half_mask(2), 2)
    x = torch.zeros(4000, 2)
    log_q = layer.forward_aux(x)[2][WINNERS].detach()
    assert math.isclose(float(log_q.exp().mean()), 0.5, abs_tol=0.02)


def test_a_gate_depends_on_the_noise_and_not_on_what_it_maps():
    gate = WinnerGate(2, [True, False], 3, network()).double()
    x = torch.randn(50, 5, dtype=torch.float64)
    moved = x.clone()
    moved[:, 1] += 1.0
    slope = (gate(moved)[0] - gate(x)[0])[:, 1]
    torch.testing.assert_close(slope.log(), gate(x)[1])
    other = x.clone()
    other[:, 2:] = torch.randn(50, 3, dtype=torch.float64)
    assert not torch.equal(gate(other)[0][:, 1], gate(x)[0][:, 1])


@pytest.mark.parametrize("options", [{"units": 1}, {"block": 2}, {"block": 0}])
def test_impossible_numbers_of_experts_and_blocks_are_refused(options):
    with pytest.raises(SpecError, match="competing experts"):
        WinnerCoupling(PLANE, half_mask(2), **options)


def test_too_many_combinations_are_refused():
    with pytest.raises(SpecError, match="at most 8 combinations of winners, got 9"):
        enumerated_log_prob(model(layers=2), torch.zeros(1, 2, dtype=torch.float64), most=8)
