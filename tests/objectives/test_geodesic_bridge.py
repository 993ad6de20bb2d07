"""Bridges along great circles, and what flow matching on the sphere learns with them."""

import math

import pytest
import torch

import pushforward as pf
from pushforward.core import Sphere
from pushforward.distributions import UniformSphere, VonMisesFisher
from pushforward.objectives.geodesic_bridge import Geodesic

SPACE = Sphere((3,))


def test_a_bridge_runs_along_the_great_circle_at_constant_speed():
    torch.manual_seed(0)
    x, z = SPACE.random(50, torch.float64), SPACE.random(50, torch.float64)
    bridge = Geodesic(UniformSphere(SPACE))
    ends = [bridge.between(torch.full((50, 1), t, dtype=torch.float64), x, z)[0] for t in (0.0, 1.0)]
    assert torch.allclose(ends[0], x)
    assert torch.allclose(ends[1], z, atol=1e-10)
    t = torch.rand(50, 1, dtype=torch.float64)
    y, u = bridge.between(t, x, z)
    step = 1e-6
    numeric = (bridge.between(t + step, x, z)[0] - bridge.between(t - step, x, z)[0]) / (2 * step)
    assert torch.allclose(u, numeric, atol=1e-8)
    assert torch.allclose(y.norm(dim=1), torch.ones(50, dtype=torch.float64))
    assert torch.allclose(u.norm(dim=1), torch.acos((x * z).sum(1)), atol=1e-10)


def test_equal_and_opposite_ends_give_finite_velocities():
    x = SPACE.random(5)
    for z in (x, -x):
        y, u = Geodesic(UniformSphere(SPACE)).between(torch.full((5, 1), 0.5), x, z)
        assert bool(y.isfinite().all() and u.isfinite().all())


def test_optimal_pairs_are_closer():
    torch.manual_seed(0)
    x, z = SPACE.random(300), SPACE.random(300)
    bridge = Geodesic(UniformSphere(SPACE), optimal=True)
    paired = bridge.pair(x, z)
    assert bridge.pairs_rows
    assert sorted(paired[:, 0].tolist()) == sorted(z[:, 0].tolist())
    assert float((x - paired).norm(dim=1).mean()) < 0.7 * float((x - z).norm(dim=1).mean())


def test_the_noise_is_that_of_the_base():
    torch.manual_seed(0)
    base = VonMisesFisher(SPACE)
    base.free.data.fill_(math.log(100.0))
    z = Geodesic(base).drawn(torch.zeros(500, 3))
    assert float((z @ base.mean.detach()).mean()) > 0.98
    assert not z.requires_grad


@pytest.mark.parametrize("base", ["uniform", "mixture"])
def test_flow_matching_learns_a_density_on_the_sphere(base):
    torch.manual_seed(0)
    truth = VonMisesFisher(SPACE)
    truth.direction.data = torch.tensor([0.0, 0.6, 0.8])
    truth.free.data.fill_(math.log(20.0))
    x = truth.sample(2000)
    flow = pf.build(
        "riemannian-flow-matching", features=3, hidden=(32, 32), base=base, centres=2, bridge="independent", steps=8
    )
    pf.fit(flow, x, epochs=12, batch_size=100, lr=5e-3, schedule="cosine", progress=False)
    test = truth.sample(1000)
    with torch.no_grad():
        gap = float((truth.log_prob(test) - flow.eval().log_prob(test)).mean())
    assert gap < 0.15
