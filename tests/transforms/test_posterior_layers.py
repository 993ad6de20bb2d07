"""Planar, radial, Sylvester and triangular layers; Langevin and Hamiltonian steps: what the laws do not say."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from pushforward.core import Chain, Exactness, Flow, Inverse, Real, Simplex
from pushforward.distributions import ConditionalNormal, Normal
from pushforward.errors import ShapeError, SpecError
from pushforward.functional.roots import tanh_root
from pushforward.functional.score import value_and_score
from pushforward.systems import IAF
from pushforward.transforms import (
    Annealed,
    Augment,
    Cholesky,
    Leapfrog,
    Metropolis,
    Planar,
    Radial,
    Refresh,
    Schedule,
    Slice,
    Sylvester,
    Temperature,
    hamiltonian,
)

R2 = Real((2,))


def double(*shape):
    return torch.randn(*shape, dtype=torch.float64)


def test_tanh_root_over_all_slopes_and_sizes():
    slopes = torch.cat([-1 + torch.logspace(-4, 0, 60), torch.logspace(-6, 4, 60)]).double()
    values = torch.cat([-torch.logspace(-8, 5, 80), torch.zeros(1), torch.logspace(-8, 5, 80)]).double()
    m, c = torch.meshgrid(slopes, values, indexing="ij")
    s = tanh_root(m, c)
    residual = (s + m * s.tanh() - c).abs() / (c.abs() + (m * s.tanh()).abs() + 1e-300)
    assert float(residual.max()) < 1e-14


def test_tanh_root_has_two_derivatives():
    m = torch.tensor([-0.9, 0.3, 5.0], dtype=torch.float64, requires_grad=True)
    c = torch.tensor([0.4, -2.0, 3.0], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(tanh_root, (m, c))
    assert torch.autograd.gradgradcheck(tanh_root, (m, c))


@pytest.mark.parametrize("layer", [Planar, Radial])
def test_layers_stay_invertible_whatever_their_parameters(layer):
    torch.manual_seed(0)
    for scale in (0.1, 3.0, 30.0):
        one = layer(Real((3,))).double()
        one.parameters_of.free.data = scale * double(*one.parameters_of.free.shape)
        x = 3 * double(200, 3)
        z, dlogp = one(x)
        assert bool(dlogp.isfinite().all())
        # Their least slope is one in a thousand, so that rounding grows by so much.
        assert float((one.inverse(z)[0] - x).detach().abs().max()) < 1e-6 * scale


def test_planar_is_the_papers_formula_and_moves_u_only_along_w():
    torch.manual_seed(1)
    layer = Planar(Real((4,))).double()
    layer.parameters_of.free.data = double(9)
    free_u, w, b = layer.parameters_of.free.data.split((4, 4, 1))
    free_u, w = free_u / 2, w / 2  # over the root of the dimension
    u, *_, slope = layer._made(None)
    assert float((u[0] @ w - slope).detach().abs()) < 1e-12
    assert float(slope.detach()) > -1
    moved = u[0] - free_u
    assert float((moved - (moved @ w) / (w @ w) * w).detach().abs().max()) < 1e-12
    x = double(5, 4)
    expected = x + u * torch.tanh(x @ w + b)[:, None]
    assert torch.allclose(layer(x)[0], expected)


@pytest.mark.parametrize("directions", ["orthogonal", "householder", "triangular"])
def test_sylvester_directions_are_orthonormal(directions):
    torch.manual_seed(0)
    layer = Sylvester(Real((5,)), directions=directions, reflections=3, flip=True).double()
    q = layer._made(None)[0]
    if q is None:
        x = double(3, 5)
        assert torch.equal(layer._within(None, x), x.flip(-1))
        return
    assert torch.allclose(q.mT @ q, torch.eye(5, dtype=torch.float64).expand_as(q.mT @ q), atol=1e-12)


def test_sylvester_of_one_direction_is_planar():
    torch.manual_seed(0)
    layer = Sylvester(Real((3,)), width=1).double()
    q, r, s, b = layer._made(None)
    x = double(4, 3)
    u, w = q[0, :, 0] * r[0, 0, 0], q[0, :, 0] * s[0, 0, 0]
    assert torch.allclose(layer(x)[0], x + u * torch.tanh(x @ w + b[0])[:, None])


def test_sylvester_refuses_widths_it_cannot_have():
    with pytest.raises(SpecError, match="width between 1 and 3"):
        Sylvester(Real((3,)), width=4)
    with pytest.raises(SpecError, match="width of 3 for householder"):
        Sylvester(Real((3,)), width=2, directions="householder")
    with pytest.raises(SpecError, match="directions to be one of"):
        Sylvester(Real((3,)), directions="random")
    with pytest.raises(SpecError, match="space of vectors"):
        Planar(Real((1, 2, 2)))


def test_schedules_start_as_powers():
    for power in (1.0, 2.0):
        even = (torch.arange(4) + 1) / 4
        assert torch.allclose(Schedule(4, power)().detach(), even**power)


def test_linear_iaf_closes_the_gap_of_the_mean_field():
    """One linear autoregressive step represents every Gaussian: its divergence is zero where the mean field's is not."""
    torch.manual_seed(0)
    a = double(3, 3)
    precision = a @ a.T + 0.5 * torch.eye(3, dtype=torch.float64)
    gap = 0.5 * (precision.diagonal().log().sum() - torch.logdet(precision))
    assert float(gap) > 0.1
    layer = Cholesky(Real((3,))).double()
    flow = Flow(Inverse(layer), Normal(Real((3,)))).double()
    optimiser = torch.optim.LBFGS(flow.parameters(), max_iter=200, line_search_fn="strong_wolfe", tolerance_grad=1e-12)

    def divergence():
        m, factor, logs = layer._made(None)
        trace = torch.trace(factor[0].T @ precision @ factor[0]) + m[0] @ precision @ m[0]
        return 0.5 * (trace - 3 - torch.logdet(precision)) - logs.sum()

    def closure():
        optimiser.zero_grad()
        loss = divergence()
        loss.backward()
        return loss

    optimiser.step(closure)
    assert float(divergence().detach()) < 1e-6


def test_iaf_steps_all_take_the_context():
    flow = IAF(features=3, context=2, layers=3, hidden=(8,)).build()
    assert all(layer.context is not None for layer in flow.chain.layers)


def test_score_is_the_gradient_with_and_without_recording():
    x = double(5, 2)

    def log_density(v, c):
        return -v.square().sum(1) * 1.5

    with torch.no_grad():
        value, score = value_and_score(log_density, x)
    assert torch.allclose(score, -3 * x)
    assert not value.requires_grad
    leaf = x.clone().requires_grad_()
    (second,) = torch.autograd.grad(value_and_score(log_density, leaf)[1].sum(), leaf)
    assert torch.allclose(second, torch.full_like(x, -3.0))


def quadratic(x, c=None):
    return -0.5 * (x.square() / torch.tensor([1.0, 4.0], dtype=x.dtype)).sum(1)


def test_leapfrog_is_symplectic_and_its_energy_error_is_of_second_order():
    torch.manual_seed(0)
    z = double(1, 4)

    def energy(v):
        return 0.5 * v[:, 2:].square().sum(1) - quadratic(v[:, :2])

    errors = []
    for steps in (10, 20, 40):
        layer = Leapfrog(quadratic, R2, steps=steps, step=2.0 / steps).double()
        errors.append(float((energy(layer.inverse(z)[0]) - energy(z)).abs().detach()))
    assert errors[0] / errors[1] == pytest.approx(4, rel=0.1)
    assert errors[1] / errors[2] == pytest.approx(4, rel=0.1)
    jacobian = torch.autograd.functional.jacobian(lambda v: layer.inverse(v[None])[0][0], z[0])
    j = torch.zeros(4, 4, dtype=torch.float64)
    j[:2, 2:], j[2:, :2] = torch.eye(2), -torch.eye(2)
    assert torch.allclose(jacobian.T @ j @ jacobian, j, atol=1e-10)


def test_one_leapfrog_step_is_langevins_kernel():
    """Its term is the log-ratio of the Gaussian kernels of the unadjusted algorithm, forward and backward."""
    torch.manual_seed(0)
    step = 0.3
    layer = hamiltonian(quadratic, R2, step=step).double()
    z = double(6, 2)
    torch.manual_seed(1)
    x, dlogp = layer.inverse(z)
    torch.manual_seed(1)
    noise = torch.randn_like(z)
    score = torch.func.grad(lambda v: quadratic(v).sum())
    there = z + step**2 / 2 * score(z)
    assert torch.allclose(x, there + step * noise)
    back = x + step**2 / 2 * score(x)
    log_there = -((x - there) / step).square().sum(1) / 2
    log_back = -((z - back) / step).square().sum(1) / 2
    assert torch.allclose(dlogp, log_back - log_there)


def test_metropolis_leaves_the_target_as_it_is():
    torch.manual_seed(0)
    layer = Metropolis(quadratic, R2, steps=3, step=0.9).double()
    x = double(20_000, 2) * torch.tensor([1.0, 2.0], dtype=torch.float64)
    with torch.no_grad():
        for _ in range(3):
            x, _, taken = layer.propose(x)
    assert 0.5 < float(taken.double().mean()) < 0.999
    assert torch.allclose(x.var(0), torch.tensor([1.0, 4.0], dtype=torch.float64), rtol=0.04)


def test_a_metropolis_flow_from_the_target_itself_has_no_gap():
    layer = Metropolis(lambda x, c: -0.5 * x.square().sum(1), R2, step=0.7).double()
    flow = Flow(layer, Normal(R2)).double()
    x, logp = flow.sample_and_log_prob(100)
    assert torch.allclose(logp, flow.base.log_prob(x))


def test_annealed_importance_sampling_is_the_untrained_case():
    """From N(0, 1) to an unnormalised normal of deviation 1/2: weights of whole paths average to its constant."""
    torch.manual_seed(0)
    space = Real((1,))
    base = Normal(space)

    def target(x, c=None):
        return -2 * (x[:, 0] - 1).square()

    gaps = Schedule(16)
    rungs = [Annealed(base._log_prob, target, Temperature(gaps, i)) for i in reversed(range(16))]
    flow = Flow(Chain(*(Metropolis(r, space, steps=2, step=0.5, learned=False) for r in rungs)), base).double()
    assert flow.exactness == Exactness.NOISY | Exactness.LOWER
    x, log_q = flow.sample_and_log_prob(20_000)
    log_w = target(x) - log_q
    log_z = float(torch.logsumexp(log_w, 0) - math.log(len(log_w)))
    assert log_z == pytest.approx(0.5 * math.log(math.pi / 2), abs=0.02)
    assert float(log_w.mean()) < log_z


def test_partial_refreshment_keeps_the_normal():
    torch.manual_seed(0)
    layer = Refresh(R2, keep=0.8)
    z, dlogp = layer.inverse(torch.randn(50_000, 4))
    assert float(z[:, 2:].std().detach()) == pytest.approx(1, abs=0.01)
    assert float(dlogp.mean().detach()) == pytest.approx(0, abs=0.02)


@pytest.mark.dear
def test_a_learned_guess_of_momenta_closes_the_gap():
    """One linear step reaches a normal of variance 2; only with the right guess of the momenta is the bound tight."""

    def target(x, c=None):
        return -0.25 * x[:, 0].square()

    space, gaps = Real((1,)), []
    for learned in (False, True):
        torch.manual_seed(0)
        guess = nn.Linear(1, 2)
        nn.init.zeros_(guess.weight)
        nn.init.zeros_(guess.bias)
        reverse = ConditionalNormal(space, 1, net=guess) if learned else None
        flow = Flow(hamiltonian(target, space, step=0.7, reverse=reverse), Normal(space))
        optimiser = torch.optim.Adam(flow.parameters(), 0.02)
        for _ in range(600):
            x, log_q = flow.rsample_and_log_prob(256)
            loss = (log_q - target(x)).mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        x, log_q = flow.sample_and_log_prob(20_000)
        gaps.append(0.5 * math.log(4 * math.pi) - float((target(x) - log_q).mean()))
    assert gaps[0] > 0.04
    assert abs(gaps[1]) < 0.01


def test_augment_and_slice_are_mirror_images():
    torch.manual_seed(0)
    noise = Normal(R2)
    augment, cut = Augment(R2, noise), Slice(Real((4,)), 2, noise)
    z = double(5, 4)
    x, dlogp = augment.inverse(z)
    kept, other = cut(z)
    assert torch.equal(x, kept)
    assert torch.allclose(dlogp, other)
    with pytest.raises(ShapeError, match="space like"):
        Augment(R2, Normal(Real((2, 1))))
    with pytest.raises(ShapeError, match="context of length 2"):
        Augment(R2, ConditionalNormal(R2, 3, hidden=(4,)))


def test_simplex_has_a_distance_to_its_outside():
    space = Simplex((3,))
    x = torch.tensor([[0.2, 0.3, 0.5], [0.5, 0.6, -0.1], [0.5, 0.5, 0.5]])
    assert space.contains(x).tolist() == [True, False, False]
    nearest = space.nearest(x)
    assert torch.equal(nearest[0], x[0])
    assert bool(space.contains(nearest).all())
    assert space.dim == 2
    with pytest.raises(SpecError, match="at least 2 shares"):
        Simplex((1,))
