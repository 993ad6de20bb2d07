"""Orderless models: exact sums over states, one order's joint, conditionals, marginals, the loss, and normal masses."""

import itertools
import math

import pytest
import torch

import pushforward as pf
from pushforward.distributions import LabelCoding, Orderless
from pushforward.errors import SpecError
from pushforward.functional.normal_mass import log_normal_mass
from pushforward.objectives import OrderlessLikelihood
from pushforward.systems import AnyOrder


def moved(model, seed=0, spread=0.5):
    """The model in float64, with random weights and without gradients."""
    torch.manual_seed(seed)
    for p in model.parameters():
        p.data.add_(spread * torch.randn_like(p))
    return model.double().eval().requires_grad_(False)


def states(*counts):
    return torch.tensor(list(itertools.product(*map(range, counts))))


@pytest.fixture(scope="module")
def labels():
    return moved(AnyOrder(classes=(2, 3, 4), hidden=(16,), orders=3).build())


def test_bits_sum_to_one():
    model = moved(AnyOrder(classes=(2,) * 10, hidden=(16,), orders=4).build())
    assert float(model.log_prob(states(*[2] * 10)).exp().sum()) == pytest.approx(1, abs=1e-12)


def test_an_order_is_the_product_of_its_conditionals(labels):
    x = states(2, 3, 4)
    each = labels.order_log_probs(x)
    for order, logp in zip(labels.orders.tolist(), each, strict=True):
        total, known = torch.zeros(len(x)).double(), torch.zeros(len(x), 3, dtype=torch.bool)
        for entry in order:
            total += labels.all_terms(x, known)[:, entry]
            known[:, entry] = True
        torch.testing.assert_close(total, logp)
    torch.testing.assert_close(labels.log_prob(x), each.logsumexp(0) - math.log(3))
    torch.testing.assert_close(labels.given_log_prob(x, torch.zeros(len(x), 3, dtype=torch.bool)), labels.log_prob(x))


def test_conditionals_sum_to_one(labels):
    x = states(2, 3, 4)
    given = torch.tensor([False, True, False]).expand(len(x), -1)
    total = labels.given_log_prob(x, given).exp()
    for label in range(3):
        assert float(total[x[:, 1] == label].sum()) == pytest.approx(1)
    last = labels.entry_log_prob(x, 2).exp()
    assert float(last[(x[:, :2] == torch.tensor([1, 2])).all(1)].sum()) == pytest.approx(1)


def test_draws_follow_the_conditional(labels):
    x = torch.tensor([[1, 2, 0]]).expand(20_000, -1)
    given = torch.tensor([True, False, True]).expand(len(x), -1)
    torch.manual_seed(0)
    drawn = labels.complete(x, given)
    assert (drawn[:, [0, 2]] == x[:, [0, 2]]).all()
    candidates = torch.tensor([[1, k, 0] for k in range(3)])
    wanted = labels.given_log_prob(candidates, given[:3]).exp()
    found = torch.bincount(drawn[:, 1], minlength=3) / len(drawn)
    torch.testing.assert_close(found.double(), wanted, atol=0.015, rtol=0)
    assert labels.complete(x[:0], given[:0]).shape == (0, 3)


def test_first_entries_come_first(labels):
    torch.manual_seed(0)
    blank, first = torch.zeros(20_000, 3, dtype=torch.long), torch.tensor([False, False, True])
    drawn = labels.complete(blank, torch.zeros(20_000, 3, dtype=torch.bool), first=first)
    marginal = labels.all_terms(states(1, 1, 4), torch.zeros(4, 3, dtype=torch.bool))[:, 2].exp()
    torch.testing.assert_close((torch.bincount(drawn[:, 2]) / 20_000).double(), marginal, atol=0.015, rtol=0)
    only = labels.complete(blank[:50], torch.zeros(50, 3, dtype=torch.bool), only=first.expand(50, -1))
    assert (only[:, :2] == 0).all()


def test_the_loss_is_the_mean_over_all_orders():
    """Uria, Murray, Larochelle 2014, eq. 7-9: the mean over orders and cuts is the mean of -log p(x | o)."""
    model = moved(AnyOrder(classes=(2, 3, 4), hidden=(16,), orders=6).build())
    assert len(model.orders) == 6
    x = states(2, 3, 4)
    wanted = -model.order_log_probs(x).mean()
    torch.manual_seed(0)
    objective = OrderlessLikelihood(model).eval()
    with torch.no_grad():
        found = torch.stack([objective((x,)) for _ in range(400)])
    assert abs(float(found.mean() - wanted)) < 4 * float(found.std()) / 20
    weights = torch.zeros(len(x)).double()
    assert float(objective((x,), weights)) == 0


def test_it_learns_a_parity():
    """The third bit is the parity of the others, in every direction."""
    torch.manual_seed(0)
    bits = torch.randint(2, (2000, 2))
    x = torch.cat([bits, bits.sum(1, keepdim=True) % 2], 1)
    model = AnyOrder(classes=(2, 2, 2), hidden=(32, 32), residual=False, dropout=0.0).build()
    pf.fit(model, x, epochs=30, batch_size=100, lr=5e-3, progress=False)
    assert float(model.eval().log_prob(x).mean().detach()) == pytest.approx(-math.log(4), abs=0.05)


def test_linear_prediction_is_that_of_a_gaussian():
    torch.manual_seed(0)
    x = torch.randn(4000, 3).double() @ torch.tensor([[1.0, 0.9, 0.2], [0.0, 0.5, 1.0], [0.0, 0.0, 0.7]]).double()
    model = AnyOrder(features=3, hidden=(8,), components=1, linear=True).build().double().eval().requires_grad_(False)
    model.init_from(x)
    covariance, given = torch.cov(x.mT), torch.tensor([True, False, True])
    _, parts = model.conditional(x[:5], given.expand(5, -1), 1)
    weights = torch.linalg.solve(covariance[given][:, given], covariance[given, 1])
    deviation = (covariance[1, 1] - weights @ covariance[given, 1]).sqrt()
    start = model.number_heads.bias[1]
    mean = (x[:5] - x.mean(0))[:, given] @ weights + x.mean(0)[1] + deviation * start[1]
    torch.testing.assert_close(parts[1][:, 0], mean, atol=2e-3, rtol=2e-3)
    # Whatever the frame is, the density is normalised: here over the second number given the others.
    grid = x[:1].repeat(2001, 1)
    grid[:, 1] = torch.linspace(-40, 40, 2001)
    assert float(model.entry_log_prob(grid, 1).exp().sum() * 0.04) == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("width", [1e-6, 1e-3, 0.049, 0.051, 0.5, 3.0])
@pytest.mark.parametrize("place", [-30.0, -3.0, 0.0, 2.0, 30.0])
def test_normal_masses(width, place):
    mpmath = pytest.importorskip("mpmath")
    mpmath.mp.dps = 400
    wanted = float(mpmath.log(mpmath.ncdf(mpmath.mpf(place) + mpmath.mpf(width)) - mpmath.ncdf(mpmath.mpf(place))))
    for dtype, tolerance in ((torch.float64, 3e-5), (torch.float32, 1e-3)):
        lower, step = torch.tensor(place, dtype=dtype), torch.tensor(width, dtype=dtype)
        zero = torch.zeros((), dtype=dtype)
        found = log_normal_mass(lower, lower + step, step, zero, zero)
        assert float(found) == pytest.approx(wanted, abs=tolerance * max(1, abs(wanted) / 100))


def test_normal_masses_of_all_cells_sum_to_one_with_finite_gradients():
    ends = torch.tensor([-math.inf, *torch.linspace(-60, 90, 301).tolist(), math.inf], dtype=torch.float64)
    for log_scale in (-7.0, 0.0, 7.0):
        mean, scale = torch.tensor(3.3, requires_grad=True), torch.tensor(log_scale, requires_grad=True)
        logp = log_normal_mass(ends[:-1], ends[1:], ends[1:] - ends[:-1], mean.double(), scale.double())
        assert float(logp.exp().sum().detach()) == pytest.approx(1, abs=1e-6)
        logp.clamp_min(-1e4).sum().backward()
        assert mean.grad.isfinite()
        assert scale.grad.isfinite()


def test_bad_arguments():
    with pytest.raises(SpecError, match="the entries of a row, got none"):
        AnyOrder()
    with pytest.raises(SpecError, match="table_model"):
        AnyOrder(features=2, classes=(3,)).build()
    with pytest.raises(SpecError, match="orders >= 1"):
        AnyOrder(features=2, orders=0)
    with pytest.raises(SpecError, match="at least one order"):
        Orderless(LabelCoding((2,)), orders=0)
    with pytest.raises(SpecError, match="no context"):
        AnyOrder.from_data(torch.zeros(3, 2), context=torch.zeros(3))
    assert AnyOrder.from_data(torch.tensor([[0, 2], [1, 0]])).classes == (2, 3)
    assert AnyOrder.from_data(torch.zeros(3, 2)).features == 2
    single = moved(AnyOrder(classes=(1, 2), hidden=(8,)).build())
    assert float(single.log_prob(torch.tensor([[0, 0], [0, 1]])).exp().sum()) == pytest.approx(1)
