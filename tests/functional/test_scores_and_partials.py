"""Functions behind the ancestors of normalising flows, against quadrature, autograd and SciPy."""

import pytest
import torch
from scipy.special import log_ndtr
from torch import nn

from pushforward.functional.mixed_partials import (
    PARTITIONS,
    activated,
    inputs,
    linear,
    sigmoid_derivatives,
    tanh_derivatives,
)
from pushforward.functional.normal_score import logit_to_normal, normal_to_logit
from pushforward.functional.radial_profiles import local_root, profile


def double(*values):
    return torch.tensor(values, dtype=torch.float64)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_normal_scores_keep_their_digits_at_every_distance(dtype):
    logit = torch.tensor([0.0, 1e-6, -1e-3, 0.5, -2, 8, -30, 59, 61, 100, -500, 1e4, -1e6, 1e8], dtype=dtype)
    z, log_slope = logit_to_normal(logit)
    eps = torch.finfo(dtype).eps
    back, log_back = normal_to_logit(z)
    assert float(((back - logit) / (1 + logit.abs())).abs().max()) < 10 * eps
    assert float((log_slope + log_back).abs().max()) < 10 * eps
    exact = torch.from_numpy(log_ndtr(z.double().numpy()) - log_ndtr(-z.double().numpy()))
    assert float(((exact - logit) / (1 + logit.abs())).abs().max()) < 20 * eps


def test_normal_scores_have_two_derivatives():
    logit = double(-3.0, 0.0, 0.4, 5.0, 80.0).requires_grad_()
    assert torch.autograd.gradcheck(logit_to_normal, (logit,))
    assert torch.autograd.gradgradcheck(logit_to_normal, (double(-3.0, 0.4).requires_grad_(),))
    (slope,) = torch.autograd.grad(logit_to_normal(logit)[0].sum(), logit)
    assert torch.allclose(slope.log(), logit_to_normal(logit)[1], atol=1e-9)


@pytest.mark.parametrize("name", ["rational", "erf"])
def test_local_maps_have_the_slope_of_their_profile_and_an_inverse(name):
    s = double(0.0, 1e-5, 9e-3, 1.1e-2, 0.3, 1.0, 4.0, 30.0).requires_grad_()
    for strength in (-0.99, -0.3, 0.5, 20.0):
        b = torch.full_like(s, strength)
        h, g = profile(s, name)
        target = s * (1 + b * h)
        (slope,) = torch.autograd.grad(target.sum(), s)
        assert torch.allclose(slope, 1 + b * g, atol=1e-9)
        assert torch.allclose(local_root(target, b, name), s, rtol=1e-9, atol=1e-11)
    target, b = double(0.4, 2.0).requires_grad_(), double(-0.5, 3.0).requires_grad_()
    assert torch.autograd.gradcheck(lambda t, b: local_root(t, b, name), (target, b))


def test_partitions_are_counted_by_bell_numbers():
    assert [len(PARTITIONS[subset]) for subset in (0, 1, 3, 7)] == [1, 1, 2, 5]


def test_mixed_partials_are_those_of_autograd():
    torch.manual_seed(0)
    first, second = (nn.Linear(a, b).double() for a, b in ((3, 5), (5, 1)))
    x = torch.randn(7, 3, dtype=torch.float64, requires_grad=True)
    terms = linear(inputs(x), first.weight, first.bias)
    terms = linear(activated(terms, tanh_derivatives(terms[0])), second.weight, second.bias)
    terms = activated(terms, sigmoid_derivatives(terms[0]))
    value = torch.sigmoid(second(torch.tanh(first(x))))
    for subset in range(8):
        wanted = value
        for i in range(3):
            if subset >> i & 1:
                wanted = torch.autograd.grad(wanted.sum(), x, create_graph=True)[0][:, i : i + 1]
        assert torch.allclose(terms[subset], wanted, atol=1e-12), subset
