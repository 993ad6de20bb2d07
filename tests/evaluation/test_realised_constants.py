"""Realised bi-Lipschitz constants and the bounds that constants imply."""

import math

import pytest
import torch

from pushforward.core import Chain, Flow, Real
from pushforward.distributions import Normal
from pushforward.errors import SpecError
from pushforward.evaluation import (
    bi_lipschitz,
    concentration_total_variation,
    gap_total_variation,
    guaranteed_inverse,
    leaked_mass,
)
from pushforward.systems import CIF, LWTA, RealNVP, ResidualFlow
from pushforward.transforms import Linear


def phi(x):
    return 0.5 * (1 + math.erf(x / 2**0.5))


def test_constants_of_a_linear_flow_are_its_singular_values():
    space = Real((3,))
    layer = Linear(space)
    torch.nn.init.normal_(layer.weight)
    flow = Flow(Chain(layer), Normal(space)).double()
    values = torch.linalg.svdvals(layer.weight.detach().double())
    found = bi_lipschitz(flow, torch.randn(5, 3, dtype=torch.float64))
    assert found.upper == pytest.approx(float(values[0]), rel=1e-6)
    assert found.lower == pytest.approx(1 / float(values[-1]), rel=1e-6)
    assert "5 events" in found.sentence


@pytest.mark.parametrize(
    "spec", [RealNVP(features=4, layers=3, hidden=(8,)), ResidualFlow(features=3, layers=2, hidden=(8,))]
)
def test_power_iteration_agrees_with_whole_jacobians(spec):
    torch.manual_seed(0)
    flow = spec.build().double()
    for p in flow.parameters():
        p.data.add_(0.3 * torch.randn_like(p))
    x = torch.randn(8, spec.features, dtype=torch.float64)
    whole, iterated = bi_lipschitz(flow, x), bi_lipschitz(flow, x, dense=0, steps=300)
    torch.testing.assert_close(iterated.forward, whole.forward, rtol=1e-3, atol=0)
    torch.testing.assert_close(iterated.inverse, whole.inverse, rtol=1e-3, atol=0)


def test_a_residual_flow_stays_below_its_guarantee():
    flow = ResidualFlow(features=2, layers=4, hidden=(16,), lipschitz=0.6, norm=False).build()
    for p in flow.parameters():
        p.data.mul_(5.0)
    found = bi_lipschitz(flow, torch.randn(200, 2))
    assert found.upper <= 1.6**4 + 1e-4
    assert found.lower <= guaranteed_inverse(0.6, 4) + 1e-4


@pytest.mark.parametrize("spec", [LWTA(features=2, layers=2, hidden=(8,)), CIF(features=2, layers=2, hidden=(8,))])
def test_winners_and_indices_are_held_fixed(spec):
    torch.manual_seed(0)
    found = bi_lipschitz(spec.build(), torch.randn(50, 2))
    assert 0.2 < found.upper < 50
    assert 0.2 < found.lower < 50


def test_bounds_of_a_gap():
    for constant, total_variation, leaked in (
        (1, 0.49997, 0.9545),
        (2, 0.4772, 0.6827),
        (5, 0.2881, 0.3108),
        (10, 0.1554, 0.1585),
        (50, 0.0319, 0.0319),
    ):
        assert gap_total_variation(4, constant) == pytest.approx(total_variation, abs=1e-4)
        assert leaked_mass(4, constant) == pytest.approx(leaked, abs=1e-4)
    assert leaked_mass(4, 2, first=phi(-1)) == pytest.approx(leaked_mass(4, 2))
    assert leaked_mass(4, 2, first=0.5) == pytest.approx(gap_total_variation(4, 2))


def test_bound_of_a_concentrated_density():
    assert concentration_total_variation(1.0, 1.0, 2.0, 10) == pytest.approx(0.947, abs=1e-3)
    assert concentration_total_variation(0.1, 10.0, 1.0, 2) == 0.0


@pytest.mark.parametrize(
    "call",
    [
        lambda: gap_total_variation(-1, 1),
        lambda: leaked_mass(1, 0),
        lambda: leaked_mass(1, 1, first=1.0),
        lambda: concentration_total_variation(2, 1, 1, 1),
        lambda: guaranteed_inverse(1.0, 3),
    ],
)
def test_arguments_out_of_range_are_refused(call):
    with pytest.raises(SpecError, match="expected"):
        call()


def test_models_without_a_jacobian_are_refused():
    with pytest.raises(SpecError, match="expected a flow"):
        bi_lipschitz(Normal(Real((2,))), torch.zeros(1, 2))
    with pytest.raises(SpecError, match="bijective flow"):
        bi_lipschitz(LWTA(features=2, layers=2, hidden=(8,)).build(), torch.zeros(1, 2), dense=1)
