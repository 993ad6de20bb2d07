"""Bounds of several samples: their values, and leave-one-out gradients against exact ones."""

import itertools
import math

import pytest
import torch

from pushforward.core import Flow, Real
from pushforward.distributions import Logistic, Normal
from pushforward.errors import SpecError
from pushforward.objectives import EnumeratedLikelihood, ManySamples, enumerated_log_prob
from pushforward.systems import CIF, LWTA
from pushforward.transforms import WinnerCoupling

LINE = Real((1,))


def mixture():
    """A layer with two experts before a base that is not normal, so that the local posterior is not exact."""
    torch.manual_seed(0)
    layer = WinnerCoupling(LINE, [False], 2, spread=0.7).double()
    for p in layer.parameters():
        torch.nn.init.normal_(p, std=0.4)
    return Flow(layer, Logistic(LINE))


def terms(flow, x):
    """Return f and log q of both winners, (2, B) each."""
    layer = flow.chain
    images, joints = layer.every_branch(x)
    log_q = layer._posterior(x, None, layer.experts.parameters_at(x, None))[0][:, 0].log_softmax(-1).mT
    f = joints + flow.base._log_prob(images.flatten(0, 1), None).reshape(2, -1) - log_q
    return f, log_q


def exact_bound(flow, x, samples, importance):
    """Return the mean of the bound over all draws of winners."""
    f, log_q = terms(flow, x)
    total = 0.0
    for draw in itertools.product(range(2), repeat=samples):
        chosen = f[list(draw)]
        value = chosen.logsumexp(0) - math.log(samples) if importance else chosen.mean(0)
        total = total + log_q[list(draw)].sum(0).exp() * value
    return total.mean()


@pytest.mark.parametrize("importance", [False, True])
def test_gradients_have_the_mean_of_the_exact_gradient(importance):
    flow, rows = mixture(), 4000
    x = torch.tensor([[-1.0], [0.3], [0.8], [2.0]], dtype=torch.float64)
    parameters = list(flow.parameters())
    exact = torch.autograd.grad(exact_bound(flow, x, 3, importance), parameters, allow_unused=True)
    objective = ManySamples(flow, samples=3, importance=importance).train()
    torch.manual_seed(1)
    found = []
    for _ in range(30):
        loss = objective((x.repeat(rows // 4, 1),))
        found.append(
            torch.cat([g.flatten() for g in torch.autograd.grad(-loss, parameters, allow_unused=True) if g is not None])
        )
    found = torch.stack(found)
    expected = torch.cat([g.flatten() for g in exact if g is not None])
    error = found.std(0) / len(found) ** 0.5
    assert bool(((found.mean(0) - expected).abs() < 5 * error + 1e-6).all())
    assert float(expected.abs().max()) > 0.05


def test_the_value_is_the_bound_itself():
    flow = mixture()
    x = torch.randn(20_000, 1, dtype=torch.float64)
    for samples, importance in ((2, False), (2, True)):
        objective = ManySamples(flow, samples=samples, importance=importance).train()
        assert -float(objective((x,)).detach()) == pytest.approx(
            float(exact_bound(flow, x, samples, importance).detach()), abs=5e-3
        )
    evaluated = ManySamples(flow, samples=2).eval()
    assert -float(evaluated((x,)).detach()) == pytest.approx(float(exact_bound(flow, x, 2, True).detach()), abs=5e-3)


def test_few_winners_are_summed_over():
    spec = LWTA(features=2, layers=2, units=3, hidden=(8,))
    objective = spec.loss(spec.build())
    assert isinstance(objective, EnumeratedLikelihood)
    x = torch.randn(30, 2)
    flow = objective.model
    torch.testing.assert_close(objective((x,)), -enumerated_log_prob(flow, x).mean())
    weights = torch.rand(30)
    torch.testing.assert_close(objective((x,), weights), -(weights * enumerated_log_prob(flow, x)).mean())
    many = LWTA(features=2, layers=8, units=3, hidden=(8,))
    assert isinstance(many.loss(many.build()), ManySamples)


def test_the_loss_has_a_name_with_its_samples():
    spec = CIF(features=2, samples=5, importance=True)
    assert spec.loss(spec.build()).minimises == "importance-weighted bound of 5 samples, nats per row"


def test_importance_samples_below_one_are_refused():
    with pytest.raises(SpecError, match="at least 1 importance sample, got 0"):
        ManySamples(Flow(WinnerCoupling(LINE, [False], 2), Normal(LINE)), samples=0)


def test_other_random_layers_cannot_be_enumerated():
    flow = CIF(features=2, layers=1).build()
    with pytest.raises(SpecError, match="cannot be enumerated"):
        enumerated_log_prob(flow, torch.zeros(1, 2))
