"""Maps of the circle, against complex arithmetic, and layers of angles."""

from __future__ import annotations

import math

import pytest
import torch

from pushforward.core import Circle, Flow, Product, Real, Torus
from pushforward.distributions import UniformTorus
from pushforward.errors import ShapeError, SpecError
from pushforward.networks import MaskedMLP
from pushforward.systems import MixedFlow, TorusFlow
from pushforward.transforms import (
    Affine,
    Autoregressive,
    CircularSpline,
    Coupling,
    Elementwise,
    MoebiusMixture,
    PerCoordinate,
    Projection,
    RationalQuadratic,
)

TURN = 2 * math.pi


def angles(n=500):
    return TURN * torch.rand(n, dtype=torch.float64)


def test_a_moebius_map_is_that_of_the_unit_disc():
    """h(z) = (1 - |w|^2) / |z - w|^2 (z - w) - w, turned so that 1 goes to 1 (Rezende et al. 2020, eq. 8-9)."""
    torch.manual_seed(0)
    x, raw = angles(), torch.randn(2, dtype=torch.float64)
    scalar = MoebiusMixture(1, phase=False, spread=0.0)
    z = scalar.forward(x, torch.cat([raw.new_zeros(1), raw]).expand(500, 3))[0]
    vector = 0.99 * raw / (1 + raw.square().sum()).sqrt()
    w = torch.complex(vector[0], vector[1])

    def h(point):
        return (1 - abs(w) ** 2) / (point - w).abs().square() * (point - w) - w

    point = torch.polar(torch.ones_like(x), x)
    expected = (h(point) / h(torch.ones(1, dtype=point.dtype))).angle()
    assert float(Circle().difference(z, expected).abs().max()) < 1e-12


def test_a_projection_scales_the_tangent():
    """2 arctan(alpha tan(x / 2 - pi / 2) + beta) + pi (Rezende et al. 2020, section 2.1.3)."""
    x = torch.linspace(0.01, TURN - 0.01, 300, dtype=torch.float64)
    scale, shift = math.log(1.7), 0.6
    scalar = Projection(1, phase=False, bound=1e9, spread=0.0)
    z = scalar.forward(x, torch.tensor([0.0, scale, shift], dtype=torch.float64).expand(300, 3))[0]
    expected = 2 * torch.atan(math.exp(scale) * torch.tan(x / 2 - math.pi / 2) + shift) + math.pi
    assert float((z - expected).abs().max()) < 1e-10


@pytest.mark.parametrize("scalar", [CircularSpline(5), MoebiusMixture(4), Projection(3), Projection(1)], ids=str)
def test_maps_of_the_circle_are_bijections_up_to_the_ends(scalar):
    """Increasing, around the circle once, inverted from 1e-15 to a full turn, also by steep maps."""
    torch.manual_seed(1)
    p = 2 * torch.randn(scalar.n, dtype=torch.float64)
    x = torch.cat(
        [
            torch.linspace(0, TURN, 1001, dtype=torch.float64)[:-1],
            torch.tensor([1e-15, TURN - 1e-15], dtype=torch.float64),
        ]
    )
    z, slope = scalar.forward(x, p.expand(len(x), -1))
    assert bool(((z >= 0) & (z < TURN)).all())
    steps = Circle().difference(z[1:1000], z[:999])
    assert float(steps.min()) > 0
    assert float(steps.sum()) < TURN
    # The slopes integrate to one turn.
    fine = (torch.arange(20_000, dtype=torch.float64) + 0.5) * TURN / 20_000
    assert float(scalar.forward(fine, p.expand(20_000, -1))[1].exp().mean()) == pytest.approx(1, abs=1e-5)
    back, opposite = scalar.inverse(z, p.expand(len(x), -1))
    assert float((Circle().difference(back, x) * slope.exp()).abs().max()) < 1e-9
    assert float((slope + opposite).abs().max()) < 1e-5


def test_second_derivatives_of_an_inverse():
    scalar, z = MoebiusMixture(3), angles(4).requires_grad_()
    p = torch.randn(4, scalar.n, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda z, p: scalar.inverse(z, p), (z, p))
    assert torch.autograd.gradgradcheck(lambda z, p: scalar.inverse(z, p), (z, p))


def test_maps_say_which_space_they_need():
    with pytest.raises(SpecError, match=r"CircularSpline needs angles: expected Torus\(2,\), got Real"):
        Elementwise(CircularSpline(4), Real(2))
    with pytest.raises(SpecError, match=r"Affine needs the real line.*Torus"):
        Elementwise(Affine(), Torus(2))
    with pytest.raises(SpecError, match="2 to 500 bins"):
        CircularSpline(1)
    with pytest.raises(SpecError, match="at least one component"):
        MoebiusMixture(0)
    with pytest.raises(SpecError, match="a map for each coordinate"):
        Elementwise(PerCoordinate((CircularSpline(4), RationalQuadratic(4))), Product(Circle(), Real(2)))
    with pytest.raises(SpecError, match="features of width 2"):
        Autoregressive(CircularSpline(4), Torus(3), MaskedMLP(3, 13, hidden=(8,)))


def test_conditioners_see_cosines_and_sines():
    """A coupling of angles does not jump where an angle passes a full turn."""
    torch.manual_seed(0)
    layer = Coupling(CircularSpline(4), Torus(2), [True, False]).double()
    for p in layer.parameters():
        torch.nn.init.normal_(p, std=0.5)
    x = torch.tensor([[1e-9, 1.0], [TURN - 1e-9, 1.0]], dtype=torch.float64)
    with torch.no_grad():
        z, dlogp = layer(x)
    assert float(Torus(2).difference(z[0], z[1]).abs().max()) < 1e-7
    assert float((dlogp[0] - dlogp[1]).abs()) < 1e-7
    assert next(layer.net.parameters()).shape[1] == 2


def test_systems_of_angles_train():
    """A mixture of two bumps on the torus, entropy about 2 log(2 pi sigma^2 e) / 2 + log 2, is learned to 0.05 nats."""
    torch.manual_seed(0)
    centre = torch.tensor([[0.1, 6.0], [3.0, 2.0]])[torch.randint(2, (4000,))]
    x = Torus(2).nearest(centre + 0.4 * torch.randn(4000, 2))
    model = TorusFlow(features=2, layers=2, hidden=(32,), bins=8, structure="coupling").build()
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    for _ in range(200):
        loss = -model(x[torch.randint(4000, (256,))]).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    entropy = math.log(2 * math.pi * 0.16) + 1 + math.log(2)
    assert float(-model.log_prob(x).mean().detach()) < entropy + 0.06
    assert bool(Torus(2).contains(model.sample(100)).all())


def test_specs_of_mixed_coordinates():
    spec = MixedFlow(features=3, kinds=("number", "angle", "height"))
    flow = spec.build()
    assert isinstance(flow, Flow)
    x = flow.sample(10)
    assert bool(flow.space.contains(x).all())
    with pytest.raises(SpecError, match=r"mixed.kinds of 3 coordinates, got 1"):
        MixedFlow(features=3, kinds=("angle",))
    assert MixedFlow(features=2).space == Real(2)
    assert isinstance(TorusFlow(features=2).build().base, UniformTorus)
    with pytest.raises(ShapeError):
        flow.log_prob(torch.zeros(4, 2))
