"""Monotone operator layers: the formula in one dimension, monotonicity, the estimates, and the system."""

import pytest
import torch

import pushforward as pf
from pushforward.core import Real
from pushforward.errors import SpecError
from pushforward.networks import LipschitzMLP
from pushforward.transforms import MonotoneOperator, Residual

DOUBLE = torch.float64


def made(features, coefficient=0.8, **options):
    torch.manual_seed(0)
    net = LipschitzMLP(features, hidden=(16,), coefficient=coefficient)
    for p in net.parameters():
        p.data.add_(torch.randn_like(p))
    return MonotoneOperator(net, Real((features,)), lipschitz=coefficient, **options).double().eval()


def test_it_is_the_composition_of_two_residual_maps():
    """z = (I - g)((I + g)^-1(2 x)) / 2, with the log-determinant of the composition."""
    layer = made(3)
    x = torch.randn(6, 3, dtype=DOUBLE)
    u, minus = Residual(layer.net, Real((3,)), lipschitz=0.8).inverse(2 * x)
    z, dlogp = layer(x)
    torch.testing.assert_close(z, (u - layer.net(u)) / 2)
    torch.testing.assert_close(x, (u + layer.net(u)) / 2)
    jacobian = torch.autograd.functional.jacobian(lambda v: layer.net(v), u[:1])[0, :, 0]
    torch.testing.assert_close(dlogp[0], torch.linalg.slogdet(torch.eye(3, dtype=DOUBLE) - jacobian)[1] + minus[0])


def test_it_is_monotone_and_stretches_more_than_a_residual_layer():
    layer = made(2, coefficient=0.95)
    x, y = torch.randn(2, 500, 2, dtype=DOUBLE)
    assert bool((((layer(x)[0] - layer(y)[0]) * (x - y)).sum(1) > 0).all())
    # For g(u) = -0.95 u the map is z = 39 x.
    steep = LipschitzMLP(1, hidden=(1,), coefficient=0.95).double()
    steep.linearised = lambda x, context=None, weights=None: (-0.95 * x, lambda v: -0.95 * v, lambda v: -0.95 * v)
    z, dlogp = MonotoneOperator(steep, Real((1,)), lipschitz=0.95)(x[:, :1])
    torch.testing.assert_close(z, 39 * x[:, :1])
    torch.testing.assert_close(dlogp, torch.full_like(dlogp, 39.0).log())


def test_the_roulette_is_unbiased_for_values_and_gradients():
    exact = made(3, coefficient=0.6)
    layer = MonotoneOperator(exact.net, Real((3,)), lipschitz=0.6, logdet="roulette", terms=2)
    x = torch.randn(1, 3, dtype=DOUBLE)
    first = exact.net.layers[0].inner.bias
    (truth,) = torch.autograd.grad(exact(x)[1].sum(), first)
    layer.train()
    with torch.no_grad():
        values = torch.stack([layer(x.expand(100, 3))[1].mean() for _ in range(40)])
    assert abs(float((values.mean() - exact(x)[1]).detach())) < 4 * float(values.std()) / 40**0.5 + 1e-6
    slopes = torch.stack([torch.autograd.grad(layer(x.expand(100, 3))[1].mean(), first)[0] for _ in range(40)])
    error = slopes.std(0) / 40**0.5
    assert bool(((slopes.mean(0) - truth).abs() < 5 * error + 1e-3).all())


def test_the_system_trains_and_inverts():
    torch.manual_seed(0)
    flow = pf.systems.ResidualFlow(features=2, layers=2, hidden=(8,), block="monotone", lipschitz=0.6).build()
    x = 2 * torch.randn(200, 2) + 1
    before = float(flow.log_prob(x).mean().detach())
    pf.fit(flow, x, max_steps=4, epochs=10, lr=1e-2, progress=False)
    with torch.no_grad():
        assert float(flow.log_prob(x).mean()) > before
        torch.testing.assert_close(flow.decode(flow.encode(x)), x, rtol=0, atol=1e-3)
    with pytest.raises(SpecError, match="block"):
        pf.systems.ResidualFlow(features=2, block="convex")
