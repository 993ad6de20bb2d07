"""Fits to densities on spheres: the constant, the verdict, and what is refused."""

import math

import pytest
import torch

from pushforward.core import Real, Sphere
from pushforward.errors import ShapeError, SpecError
from pushforward.posteriors import fit

SPACE = Sphere((3,))
MODES = torch.tensor([[0.0, 0.0, 1.0], [0.0, 0.8, -0.6]])


def two_modes(x):
    return (8 * x @ MODES.to(x).mT).logsumexp(1)


LOG_Z = math.log(2 * 4 * math.pi * math.sinh(8) / 8)


@pytest.mark.slow
@pytest.mark.dear
def test_the_default_flow_finds_the_constant_and_both_modes():
    found = fit(two_modes, SPACE, steps=150, samples=128, draws=2000, progress=False)
    assert found.log_z.value == pytest.approx(LOG_Z, abs=0.03)
    assert found.elbo.value < LOG_Z + 0.02
    assert found.ess > 0.5
    assert found.trustworthy
    draws = found.sample(1000)
    assert bool(SPACE.contains(draws).all())
    assert float((draws @ MODES[0] > 0.5).float().mean()) == pytest.approx(0.5, abs=0.2)
    assert found.log_prob(draws).shape == (1000,)
    assert found.distribution.space == SPACE
    assert found.draws["x"].shape == (4, 500, 3)


def test_flows_by_name_and_of_your_own_are_taken():
    by_name = fit(two_modes, SPACE, flow="exponential-map", layers=3, steps=60, samples=64, draws=400, progress=False)
    assert len(by_name.model.chain) == 3
    own = by_name.model
    again = fit(two_modes, SPACE, flow=own, steps=5, samples=64, draws=400, start="wide", progress=False)
    assert again.model is own


@pytest.mark.slow
def test_uniform_draws_show_a_mode_that_the_flow_lacks():
    # Without annealing and without the forward divergence, a flow that starts at one mode stays there.
    def far(x):
        return (60 * x @ MODES.to(x).mT).logsumexp(1)

    flow = fit(lambda x: 60 * x @ MODES[0].to(x), SPACE, steps=60, samples=64, draws=400, progress=False).model
    found = fit(far, SPACE, flow=flow, start="wide", anneal=0.0, steps=5, samples=64, draws=4000, progress=False)
    assert not found.trustworthy
    assert found.lacking == pytest.approx(0.5, abs=0.3)


def test_what_does_not_fit_is_refused():
    with pytest.raises(SpecError, match="only parameter"):
        fit(lambda p: p["a"][:, 0], {"a": SPACE, "b": Real((1,))}, progress=False)
    with pytest.raises(SpecError, match="langevin=0"):
        fit(two_modes, SPACE, langevin=2, progress=False)
    with pytest.raises(ShapeError, match="expected a flow on Sphere"):
        fit(two_modes, SPACE, flow="nsf", progress=False)
