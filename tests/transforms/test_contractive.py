"""Residual flows: certified norms and inverses, and the three ways to the log-determinant."""

from __future__ import annotations

import pytest
import torch

import pushforward as pf
from pushforward.core import Exactness, Real
from pushforward.errors import InversionError, SpecError
from pushforward.functional.fixed_point import contracted
from pushforward.networks import LipschitzConvNet, LipschitzMLP
from pushforward.networks.lipschitz import LipSwish, SpectralConv, SpectralLinear, norm_bound
from pushforward.systems import ResidualFlow
from pushforward.transforms import Residual

DOUBLE = torch.float64


def made(features=3, coefficient=0.8, **options):
    torch.manual_seed(0)
    net = LipschitzMLP(features, hidden=(16, 16), coefficient=coefficient)
    for p in net.parameters():
        p.data.add_(0.5 * torch.randn_like(p))
    return Residual(net, Real((features,)), lipschitz=coefficient, **options).double().eval()


def jacobian(layer, x):
    rows = [torch.autograd.functional.jacobian(lambda y: layer.net(y), x[i : i + 1])[0, :, 0] for i in range(len(x))]
    return torch.stack(rows)


# --- norms -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(5, 5), (64, 3), (3, 64), (1, 1), (128, 128)])
@pytest.mark.parametrize("dtype", [torch.float32, DOUBLE])
def test_the_bound_is_just_above_the_norm(shape, dtype):
    torch.manual_seed(0)
    weight = torch.randn(shape, dtype=dtype)
    exact = float(torch.linalg.matrix_norm(weight.double(), 2))
    bound = float(norm_bound(weight @ weight.mT))
    assert exact * (1 - 1e-5) <= bound <= exact * 1.001


def test_the_bound_holds_for_hard_matrices():
    orthogonal = torch.linalg.qr(torch.randn(50, 50, dtype=DOUBLE))[0]
    for weight in (orthogonal, 1e-8 * orthogonal, 1e8 * orthogonal, torch.zeros(4, 4, dtype=DOUBLE)):
        exact = float(torch.linalg.matrix_norm(weight, 2))
        assert exact <= float(norm_bound(weight.mT @ weight)) * (1 + 1e-12) <= exact * 1.001 + 1e-70


def test_the_gradient_of_the_bound():
    torch.manual_seed(0)
    weight = torch.randn(6, 4, dtype=DOUBLE, requires_grad=True)
    assert torch.autograd.gradcheck(lambda w: norm_bound(w.mT @ w), weight)


@pytest.mark.parametrize("kernel", [1, 3])
@pytest.mark.parametrize(("inputs", "outputs"), [(2, 3), (3, 2)])
def test_convolutions_against_their_matrices(kernel, inputs, outputs):
    torch.manual_seed(0)
    layer = SpectralConv(inputs, outputs, (4, 5), kernel, 0.7).double()
    layer.inner.weight.data.mul_(5.0)
    weight = layer.weight().detach()
    basis = torch.eye(inputs * 20, dtype=DOUBLE).reshape(-1, inputs, 4, 5)
    matrix = layer.push(weight, basis).flatten(1).mT
    assert float(torch.linalg.matrix_norm(matrix, 2)) <= 0.7 + 1e-9
    back = layer.pull(weight, torch.eye(outputs * 20, dtype=DOUBLE).reshape(-1, outputs, 4, 5)).flatten(1).mT
    assert torch.allclose(back, matrix.mT, atol=1e-12)
    assert torch.allclose(layer.push(weight, basis[None])[0], layer.push(weight, basis))
    # The bound is not far above: at least nine tenths of what is allowed is used.
    assert float(torch.linalg.matrix_norm(matrix, 2)) > 0.55


def test_small_weights_are_left_alone():
    layer = SpectralLinear(4, 4, 0.9)
    layer.inner.weight.data.mul_(0.01)
    assert torch.equal(layer.weight(), layer.inner.weight)


def test_the_activation_is_a_contraction_and_its_slope_is_right():
    act = LipSwish().double()
    for sharp in (-3.0, 0.5, 5.0, 50.0):
        act.free.data.fill_(sharp)
        raw = torch.linspace(-20, 20, 4001, dtype=DOUBLE, requires_grad=True)
        value, slope = act(raw)
        (truth,) = torch.autograd.grad(value.sum(), raw)
        assert torch.allclose(slope, truth, atol=1e-12)
        assert float(slope.detach().abs().max()) < 1


@pytest.mark.parametrize("coefficient", [0.3, 0.97])
def test_networks_are_contractions(coefficient):
    torch.manual_seed(0)
    nets = [
        LipschitzMLP(5, hidden=(32, 32), coefficient=coefficient),
        LipschitzConvNet((2, 4, 4), hidden=(6, 6), coefficient=coefficient),
    ]
    for net, shape in zip(nets, [(5,), (2, 4, 4)], strict=True):
        for p in net.parameters():
            p.data.add_(torch.randn_like(p))
        net.double()
        a, b = torch.randn(200, *shape, dtype=DOUBLE), torch.randn(200, *shape, dtype=DOUBLE)
        far = (net(a) - net(b)).flatten(1).norm(dim=1) / (a - b).flatten(1).norm(dim=1)
        assert float(far.detach().max()) <= coefficient
        value, push, pull = net.linearised(a)
        v = torch.randn_like(a)
        truth = torch.autograd.functional.jvp(lambda x, net=net: net(x), a, v)
        assert torch.allclose(value, truth[0])
        assert torch.allclose(push(v), truth[1], atol=1e-10)
        leaf = a.clone().requires_grad_()
        assert torch.allclose(pull(v), torch.autograd.grad((net(leaf) * v).sum(), leaf)[0], atol=1e-10)


# --- inverses ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("coefficient", [0.5, 0.9])
@pytest.mark.parametrize("tolerance", [1e-2, 1e-5])
def test_the_error_of_the_inverse_is_below_its_bound(coefficient, tolerance):
    layer = made(coefficient=coefficient, tolerance=tolerance)
    x = 3 * torch.randn(100, 3, dtype=DOUBLE)
    with torch.no_grad():
        z = layer(x)[0]
        error = (layer.inverse(z)[0] - x).norm(dim=1)
    assert bool((error <= tolerance * (1 + z.norm(dim=1))).all())


def test_a_trained_size_of_layer_is_inverted_in_fifty_iterations():
    layer = made(features=2, coefficient=0.9, tolerance=1e-5, iterations=50)
    x = torch.randn(500, 2, dtype=DOUBLE)
    with torch.no_grad():
        assert float((layer.inverse(layer(x)[0])[0] - x).norm(dim=1).max()) <= 1e-5


def test_an_inverse_that_does_not_arrive_says_so():
    layer = made(coefficient=0.9, iterations=2)
    with pytest.raises(InversionError, match="after 2 iterations") as error:
        layer.inverse(torch.randn(4, 3, dtype=DOUBLE))
    assert "row" in str(error.value)


def test_float32_is_good_enough():
    flow = ResidualFlow(features=2, layers=4).build()
    x = torch.randn(50, 2)
    assert torch.allclose(flow.decode(flow.encode(x)), x, atol=1e-4)


# --- log-determinants --------------------------------------------------------------------------------------------------------


def test_the_series_is_biased_by_its_rest():
    torch.manual_seed(1)
    layer = made(logdet="series")
    x = torch.randn(1, 3, dtype=DOUBLE)
    j = jacobian(layer, x)[0]
    exact = float(torch.linalg.slogdet(torch.eye(3, dtype=DOUBLE) + j)[1])
    many = x.expand(20_000, 3)
    biases = []
    for terms in (1, 2, 5):
        layer.scoring_terms = terms
        with torch.no_grad():
            found = layer(many)[1]
        truth = sum((-1) ** (k + 1) / k * float(torch.linalg.matrix_power(j, k).trace()) for k in range(1, terms + 1))
        assert abs(float(found.mean()) - truth) < 3.5 * float(found.std()) / 20_000**0.5
        biases.append(abs(truth - exact))
    assert biases[2] < biases[0]


@pytest.mark.parametrize("first", [1, 3])
def test_the_roulette_is_unbiased(first):
    torch.manual_seed(2)
    layer = made(logdet="roulette", scoring_terms=first)
    x = torch.randn(1, 3, dtype=DOUBLE)
    exact = float(torch.linalg.slogdet(torch.eye(3, dtype=DOUBLE) + jacobian(layer, x)[0])[1])
    with torch.no_grad():
        # The number of terms is drawn once for a batch.
        means = torch.stack([layer(x.expand(64, 3))[1].mean() for _ in range(600)])
    assert abs(float(means.mean()) - exact) < 3.5 * float(means.std()) / 600**0.5


@pytest.mark.dear
def test_the_economical_gradient_is_that_of_the_log_determinant():
    torch.manual_seed(3)
    x = torch.randn(1, 3, dtype=DOUBLE)

    def gradient(layer, rows):
        value = layer(x.expand(rows, 3))[1].mean()
        found = torch.autograd.grad(value, list(layer.parameters()), materialize_grads=True)
        return torch.cat([g.flatten() for g in found])

    exact = gradient(made(), 1)
    layer = made(logdet="roulette", scoring_terms=4)
    draws = torch.stack([gradient(layer, 64) for _ in range(300)])
    error = draws.std(0) / 300**0.5
    assert bool(((draws.mean(0) - exact).abs() <= 4.5 * error + 1e-9).all())
    plain = made(logdet="roulette", scoring_terms=4, economical=False)
    plain.load_state_dict(layer.state_dict())
    through = torch.stack([gradient(plain, 64) for _ in range(300)])
    assert bool(((through.mean(0) - exact).abs() <= 4.5 * through.std(0) / 300**0.5 + 1e-9).all())


def test_flags():
    assert made().exactness == Exactness.EXACT
    assert made(logdet="roulette").exactness == Exactness.NOISY
    assert made(logdet="series").exactness == Exactness.NOISY | Exactness.LOWER | Exactness.UPPER
    assert ResidualFlow(features=2).build().exactness == Exactness.EXACT
    assert ResidualFlow(features=6, layers=1).build().exactness == Exactness.NOISY


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: made(coefficient=1.0), "Lipschitz constant in"),
        (lambda: Residual(LipschitzMLP(2, hidden=(4,), coefficient=0.5), Real((2,)), lipschitz=1.0), "in \\(0, 1\\)"),
        (lambda: made(terms=0), "at least one term"),
        (lambda: made(logdet="none"), "expected logdet"),
        (lambda: ResidualFlow(features=2, lipschitz=1.2), "may not be invertible"),
        (lambda: ResidualFlow(features=2, terms=0), "terms >= 1"),
        (lambda: LipschitzMLP(2, hidden=(), coefficient=0.5), "at least one"),
    ],
)
def test_bad_arguments(make, words):
    with pytest.raises(SpecError, match=words):
        make()


@pytest.mark.dear
def test_it_learns():
    torch.manual_seed(0)
    x = torch.randn(2000, 2) * torch.tensor([1.0, 0.3]) + torch.tensor([0.0, 1.0])
    x[:, 1] += x[:, 0] ** 2 / 2
    flow = ResidualFlow(features=2, layers=4, hidden=(32, 32)).build()
    result = pf.fit(flow, x, progress=False, epochs=15, batch_size=128, lr=5e-3)
    gaussian = torch.distributions.MultivariateNormal(x.mean(0), x.T.cov())
    assert result.best_validation > float(gaussian.log_prob(x).mean()) + 0.2


@pytest.mark.parametrize("coefficient", [0.5, 0.95, 0.99])
def test_acceleration_keeps_its_bound_and_saves_iterations(coefficient):
    torch.manual_seed(0)
    matrix = torch.randn(6, 6, dtype=DOUBLE)
    matrix *= coefficient / torch.linalg.matrix_norm(matrix, 2)
    shift = torch.randn(40, 6, dtype=DOUBLE)
    truth = torch.linalg.solve(torch.eye(6, dtype=DOUBLE) - matrix, shift.mT).mT
    factor = coefficient / (1 - coefficient)
    calls = []

    def step(x):
        calls.append(1)
        return x @ matrix.mT + shift

    for tolerance in (1e-3, 1e-9):
        calls.clear()
        found, bound = contracted(step, shift, factor, torch.full((40,), tolerance, dtype=DOUBLE), 2000, memory=8)
        assert bool((bound <= tolerance).all())
        assert bool(((found - truth).norm(dim=1) <= bound + 1e-12).all())
        assert len(calls) <= 30
    found, bound = contracted(step, shift, factor, torch.zeros(40, dtype=DOUBLE), 3)
    assert bool(((found - truth).norm(dim=1) <= bound).all())


def test_second_derivatives_through_the_inverse():
    layer = made(features=2, coefficient=0.5)
    z = torch.randn(3, 2, dtype=DOUBLE, requires_grad=True)
    assert torch.autograd.gradcheck(layer.inverse, z, atol=1e-6)
    assert torch.autograd.gradgradcheck(lambda z: layer.inverse(z)[0], z, atol=1e-5)


@pytest.mark.parametrize("logdet", ["exact", "series"])
def test_mixed_second_derivatives_of_the_inverse(logdet):
    torch.manual_seed(0)
    net = LipschitzMLP(2, hidden=(6, 6), coefficient=0.6, context=2)
    layer = Residual(net, Real((2,)), lipschitz=0.6, logdet=logdet, scoring_terms=40, context=2).double().eval()
    z, c = (torch.randn(3, 2, dtype=DOUBLE, requires_grad=True) for _ in range(2))
    assert torch.autograd.gradgradcheck(lambda z, c: layer.inverse(z, c)[0], (z, c), atol=1e-6)
    weight = layer.net.layers[1].inner.weight

    def slope(create_graph):
        (found,) = torch.autograd.grad(layer.inverse(z, c)[0].square().sum(), z, create_graph=create_graph)
        return found.square().sum()

    (found,) = torch.autograd.grad(slope(True), weight)
    direction, step, ends = torch.randn_like(weight), 1e-5, []
    for move in (step, -2 * step):
        weight.data += move * direction
        ends.append(float(slope(False)))
    assert abs((ends[0] - ends[1]) / (2 * step) - float((found * direction).sum())) < 1e-5


def test_an_economical_gradient_is_taken_once():
    layer, x = made(logdet="roulette"), torch.randn(4, 3, dtype=DOUBLE, requires_grad=True)
    with pytest.raises(SpecError, match="economical=False"):
        torch.autograd.grad(layer(x)[1].sum(), x, create_graph=True)
    torch.autograd.grad(layer(x)[1].sum(), x)


def test_the_roulette_has_a_finite_variance_near_one():
    """J = -0.98: with the published probability of 1/2 the mean of as many draws is many of its own deviations off."""
    layer = made(features=1, coefficient=0.98, logdet="roulette")
    torch.manual_seed(0)
    found = []
    for _ in range(20_000):
        weights = layer._weights(2, torch.zeros(1))
        found.append(sum(w * (-0.98) ** (k + 1) for k, w in enumerate(weights)))
    found = torch.tensor(found, dtype=DOUBLE)
    truth = torch.log(torch.tensor(0.02, dtype=DOUBLE))
    assert abs(float(found.mean() - truth)) < 4 * float(found.std()) / 20_000**0.5
    assert float(found.std()) < 5


def test_a_network_that_is_no_such_contraction_is_refused():
    with pytest.raises(SpecError, match="Lipschitz constant at most"):
        Residual(LipschitzMLP(2, hidden=(4,), coefficient=0.9), Real((2,)), lipschitz=0.5)
