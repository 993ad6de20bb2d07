"""Continuous flows: traces, potentials, penalties, flow matching, twins, and what is said of solvers."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch

import pushforward as pf
from pushforward.core import Chain, Exactness, Flow, Real, exactly
from pushforward.distributions import Normal
from pushforward.errors import SolverError, SpecError, TrainingError
from pushforward.evaluation import check_solver, follow, step_errors, straightness, total_mass
from pushforward.functional import jacobians
from pushforward.functional.ode import Adaptive, Fixed
from pushforward.networks import Potential, Velocity, VelocityMLP
from pushforward.objectives import FlowMatching, PenalisedLikelihood, default_objective
from pushforward.objectives.matching import (
    Conditional,
    OptimalTransport,
    SchroedingerBridge,
    Straight,
    VariancePreserving,
)
from pushforward.objectives.transport import assignment, costs, entropic_pairs
from pushforward.systems import FFJORD, Matching, OTFlow
from pushforward.tables import Schema, infer_schema, table_model
from pushforward.transforms import Continuous

DOUBLE = torch.float64


def stirred(module, scale=0.3):
    for p in module.parameters():
        p.data.add_(scale * torch.randn(p.shape, dtype=p.dtype))
    return module


# --- traces and potentials -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("d", "m", "count"),
    [(6, 128, 17_721), (8, 350, 126_791), (21, 256, 72_179), (43, 256, 78_053), (63, 512, 297_153)],
)
def test_potentials_have_as_many_weights_as_the_published_models(d, m, count):
    assert sum(p.numel() for p in Potential(d, m).parameters()) == count
    preset = next(
        p for p in OTFlow.presets.values() if p["hidden"] == m and (m != 256 or p["steps"] == {21: 12, 43: 6}[d])
    )
    assert sum(p.numel() for p in OTFlow(features=d, **preset).build().parameters()) == count


@pytest.mark.parametrize("d", [1, 2, 7, 64])
@pytest.mark.parametrize("layers", [2, 4])
@pytest.mark.parametrize("context", [0, 2])
def test_the_closed_form_is_what_autograd_says(d, layers, context):
    torch.manual_seed(d)
    net = stirred(Potential(d, 16, layers=layers, context=context).double())
    x, t = torch.randn(4, d, dtype=DOUBLE), torch.tensor(0.3, dtype=DOUBLE, requires_grad=True)
    c = torch.randn(4, context, dtype=DOUBLE) if context else None
    v, divergence, extra = net.rates(t, x, c)
    leaf = x.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(net.value(t, leaf, c).sum(), leaf, create_graph=True)

    def hessian(i):
        given = None if c is None else c[i : i + 1]
        return torch.autograd.functional.hessian(lambda y: net.value(t, y, given).sum(), x[i : i + 1]).reshape(d, d)

    trace = torch.stack([hessian(i).trace() for i in range(4)])
    over_time = torch.stack([torch.autograd.grad(net.value(t, x, c)[i], t)[0] for i in range(4)])
    assert torch.allclose(v, -gradient, atol=1e-10)
    assert torch.allclose(net(t, x, c), v, atol=1e-12)
    assert torch.allclose(divergence, -trace, atol=1e-10)
    assert torch.allclose(extra["energy"], gradient.square().sum(1) / 2, atol=1e-10)
    assert torch.allclose(extra["hjb"], (gradient.square().sum(1) / 2 - over_time).abs(), atol=1e-10)


@pytest.mark.dear
@pytest.mark.parametrize("layers", [1, 2, 3])
@pytest.mark.parametrize("piece", [1, 40, 10**6])
def test_norms_by_pieces_are_the_plain_formula(monkeypatch, layers, piece):
    monkeypatch.setattr(jacobians, "PIECE", piece)
    torch.manual_seed(layers)
    m, d, rows, h = 5, 3, 7, 0.7
    tensors = [torch.randn(m, d, dtype=DOUBLE), *(torch.randn(m, m, dtype=DOUBLE) for _ in range(layers))]
    tensors += [torch.randn(rows, m, dtype=DOUBLE) for _ in range(layers)]
    tensors = [t.requires_grad_() for t in tensors]

    def norms(*given):
        return tuple(jacobians.jacobian_norms(given[0], given[1 : layers + 1], given[layers + 1 :], h))

    for a, b in zip(norms(*tensors), jacobians._plain(layers, h, *tensors), strict=True):
        assert torch.allclose(a, b, atol=1e-12)
    assert torch.autograd.gradcheck(norms, tensors)
    assert torch.autograd.gradgradcheck(norms, tensors)


@pytest.mark.parametrize("layer", ["concat", "squash", "hyper"])
@pytest.mark.parametrize("activation", ["tanh", "softplus", "silu", "selu"])
def test_derivatives_of_velocities_are_those_of_forward_mode(layer, activation):
    torch.manual_seed(0)
    net = VelocityMLP(3, hidden=(8, 8), context=2, layer=layer, activation=activation).double()
    x, c, t = torch.randn(5, 3, dtype=DOUBLE), torch.randn(5, 2, dtype=DOUBLE), torch.tensor(0.3, dtype=DOUBLE)
    directions = torch.randn(4, 5, 3, dtype=DOUBLE)
    for a, b in zip(net.along(t, x, directions, c), Velocity.along(net, t, x, directions, c), strict=True):
        assert torch.allclose(a, b, atol=1e-12)
    _, divergence, extra = net.rates(t, x, c)
    by_row = [(x[i : i + 1], c[i : i + 1]) for i in range(5)]
    jacobian = torch.stack(
        [torch.autograd.functional.jacobian(lambda y, g=g: net(t, y, g)[0], row)[:, 0] for row, g in by_row]
    )
    assert torch.allclose(divergence, jacobian.diagonal(dim1=1, dim2=2).sum(1), atol=1e-12)
    assert torch.allclose(extra["jacobian"], jacobian.square().sum((1, 2)), atol=1e-12)
    per_row = net(torch.full((5, 1), 0.3, dtype=DOUBLE), x, c)
    assert torch.allclose(per_row, net(t, x, c), atol=1e-12)


@pytest.mark.parametrize("noise", ["rademacher", "gaussian"])
def test_estimated_traces_are_unbiased(noise):
    torch.manual_seed(0)
    net = stirred(VelocityMLP(4, hidden=(8,)).double())
    layer = Continuous(net, Real((4,)), solver=Fixed(4), trace="estimated", noise=noise).double()
    x = torch.randn(1, 4, dtype=DOUBLE)
    with torch.no_grad():
        estimates = layer(x.expand(10_000, 4))[1]
        exact = Continuous(net, Real((4,)), solver=Fixed(4))(x)[1]
    assert abs(float(estimates.mean() - exact)) < 3 * float(estimates.std()) / 100


def test_probes_are_drawn_once_for_a_path():
    torch.manual_seed(0)
    layer = Continuous(VelocityMLP(3, hidden=(8,)), Real((3,)), solver=Adaptive(1e-5, 1e-5), trace="estimated")
    drawn = []
    draw = layer._draw
    layer._draw = lambda v: drawn.append(1) or draw(v)
    layer(torch.randn(4, 3))
    assert len(drawn) == 1


def test_a_linear_field_is_solved_as_known():
    class Field(Velocity):
        def forward(self, t, x, context=None):
            return x @ torch.diag(torch.tensor([0.5, -1.0, 2.0], dtype=x.dtype))

    layer = Continuous(Field(), Real((3,)), solver=Fixed(64, "dopri5"), duration=0.7)
    x = torch.randn(5, 3, dtype=DOUBLE)
    z, dlogp = layer(x)
    rates = 0.7 * torch.tensor([0.5, -1.0, 2.0], dtype=DOUBLE)
    assert torch.allclose(z, x * rates.exp(), atol=1e-8)
    assert torch.allclose(dlogp, rates.sum().expand(5), atol=1e-8)
    path = layer.path(x, penalties=True)
    # int |v|^2 / 2 dt of y_i' = r_i y_i over the unit of time, with T in r.
    energy = ((rates * x) ** 2 * ((2 * rates).exp() - 1) / (2 * rates)).sum(1) / 2 / 0.7
    assert torch.allclose(path.penalties["energy"], energy, atol=1e-7)
    assert path.evaluations == 64 * 6


# --- flags, twins ----------------------------------------------------------------------------------------------------------


def test_exactness_says_what_was_approximated():
    net, space = VelocityMLP(2, hidden=(4,)), Real((2,))
    unknown = Exactness.LOWER | Exactness.UPPER
    assert Continuous(net, space).exactness == unknown
    assert Continuous(net, space, solver=Fixed(64, exact=True)).exactness == Exactness.EXACT
    assert Continuous(net, space, solver=Adaptive(1e-8, 1e-8)).exactness == Exactness.EXACT
    assert Continuous(net, space, solver=Adaptive(1e-4, 1e-4)).exactness == unknown
    assert Continuous(net, space, solver=Adaptive(1e-8, 1e-8), trace="estimated").exactness == Exactness.NOISY
    assert Continuous(net, space, solver=Adaptive(1e-8, 1e-8), trace="training").exactness == Exactness.EXACT
    assert FFJORD(features=2).build().exactness.symbol == "~"


def test_twins_share_parameters_and_leave_the_model_alone():
    flow = OTFlow(features=2, hidden=8, scoring_steps=2).build()
    twin = exactly(flow)
    assert not twin.exactness
    assert flow.exactness
    assert {id(p) for p in flow.parameters()} == {id(p) for p in twin.parameters()}
    next(flow.parameters()).data.add_(1.0)
    x = torch.randn(5, 2)
    before = flow.chain.layers[0].scoring
    assert exactly(flow).log_prob(x).isfinite().all()
    assert torch.equal(twin.log_prob(x), exactly(flow).log_prob(x))
    assert flow.chain.layers[0].scoring is before
    plain = pf.build("realnvp", features=2)
    assert torch.equal(exactly(plain).log_prob(x), plain.log_prob(x))


def test_training_steps_and_scoring_steps_are_told_apart():
    flow = stirred(OTFlow(features=2, hidden=8, steps=2, scoring_steps=6).build())
    layer, x = flow.chain.layers[0], torch.randn(3, 2)
    assert layer.train().path(x).evaluations == 8
    assert layer.eval().path(x).evaluations == 24


# --- objectives ------------------------------------------------------------------------------------------------------------


def test_the_objective_is_the_published_one():
    """(L + a_C C + a_R R) / a_C, beside its own integration by RK4 with automatic derivatives."""
    torch.manual_seed(0)
    spec = OTFlow(features=3, hidden=8, steps=4, alpha_c=30.0, alpha_r=7.0)
    flow = stirred(spec.build().double())
    x = torch.randn(6, 3, dtype=DOUBLE)
    objective = default_objective(flow)
    assert isinstance(objective, PenalisedLikelihood)
    potential = flow.chain.layers[0].velocity

    def slope(t, y):
        time = torch.full((len(y), 1), t, dtype=DOUBLE, requires_grad=True)
        y = y.detach().requires_grad_()
        phi = potential.value(time, y)
        gradient, over_time = torch.autograd.grad(phi.sum(), [y, time], create_graph=True)
        trace = sum(torch.autograd.grad(gradient[:, i].sum(), y, retain_graph=True)[0][:, i] for i in range(3))
        energy = gradient.square().sum(1) / 2
        return torch.cat(
            [-gradient, -trace[:, None], energy[:, None], (energy - over_time[:, 0]).abs()[:, None]], 1
        ).detach()

    state, h = torch.cat([x, x.new_zeros(6, 3)], 1), 1 / 4
    for k in range(4):
        a = slope(k * h, state[:, :3])
        b = slope(k * h + h / 2, (state + h / 2 * a)[:, :3])
        c = slope(k * h + h / 2, (state + h / 2 * b)[:, :3])
        d = slope(k * h + h, (state + h * c)[:, :3])
        state = state + h / 6 * (a + 2 * b + 2 * c + d)
    cost = state[:, :3].square().sum(1) / 2 - state[:, 3] + 1.5 * math.log(2 * math.pi)
    expected = (state[:, 4] + 30 * cost + 7 * state[:, 5]).mean() / 30
    objective.train()
    assert torch.allclose(objective((x,)), expected, atol=1e-10)
    objective.eval()
    assert torch.allclose(objective((x,)), -flow.log_prob(x).mean(), atol=1e-12)


def test_a_penalty_that_nobody_reports_is_an_error():
    with pytest.raises(SpecError, match="hjb"):
        PenalisedLikelihood(pf.build("realnvp", features=2), {"hjb": 1.0}).train()((torch.randn(4, 2),))


BRIDGES = [
    Straight(),
    Straight(0.1),
    OptimalTransport(),
    Conditional(0.05),
    VariancePreserving(),
    SchroedingerBridge(0.3),
]


@pytest.mark.parametrize("bridge", BRIDGES, ids=lambda b: type(b).__name__)
def test_bridges_move_with_the_velocity_they_say(bridge):
    x, z = torch.randn(5, 2, dtype=DOUBLE), torch.randn(5, 2, dtype=DOUBLE)
    t = torch.rand(5, 1, dtype=DOUBLE) * 0.8 + 0.1

    def at(time):
        torch.manual_seed(3)
        return bridge.between(time, x, z)

    step = 1e-5
    u = at(t)[1]
    numeric = (at(t + step)[0] - at(t - step)[0]) / (2 * step)
    assert torch.allclose(u, numeric, atol=1e-7)
    start, end = at(torch.zeros(5, 1, dtype=DOUBLE))[0], at(torch.ones(5, 1, dtype=DOUBLE))[0]
    if not getattr(bridge, "sigma", 0):
        assert torch.allclose(start, x)
        assert torch.allclose(end, z)


def test_pairs_of_optimal_transport():
    torch.manual_seed(0)
    x, z = torch.randn(40, 3), torch.randn(40, 3)
    best = assignment(x, z)
    assert sorted(best.tolist()) == list(range(40))
    square = costs(x, z)
    found = float(square[range(40), best].sum())
    for _ in range(200):
        other = best.clone()
        i, j = torch.randperm(40)[:2].tolist()
        other[i], other[j] = best[j], best[i]
        assert float(square[range(40), other].sum()) >= found - 1e-3
    pieces = OptimalTransport(most=16).pair(x, z)
    assert torch.equal(pieces.sum(0), torch.cat([z]).sum(0)) or torch.allclose(pieces.sum(0), z.sum(0), atol=1e-5)
    counts = torch.zeros(40)
    for _ in range(400):
        counts[entropic_pairs(x, z, 1.0)] += 1
    assert counts.sum() == 16_000 or counts.max() < 800  # every row of noise is used about as often


def test_matching_learns_a_gaussian():
    torch.manual_seed(0)
    flow = Matching(features=2, hidden=(32, 32), bridge="independent").build()
    x = torch.randn(4000, 2) @ torch.tensor([[1.0, 0.6], [0.0, 0.5]]) + torch.tensor([1.0, -2.0])
    pf.fit(flow, x, progress=False, epochs=30, batch_size=256, lr=5e-3)
    truth = torch.distributions.MultivariateNormal(x.mean(0), x.T.cov())
    test = truth.sample((2000,))
    gap = float((truth.log_prob(test) - flow.log_prob(test)).mean().detach())
    assert -0.01 < gap < 0.06


def test_a_model_of_a_table_is_matched_with_its_labels():
    g = torch.Generator().manual_seed(0)
    colour = torch.randint(0, 2, (60,), generator=g)
    table = {
        "a": (torch.randn(60, generator=g) + 3 * colour).numpy().astype("f8"),
        "n": torch.randint(0, 9, (60,), generator=g).numpy(),
        "colour": ["red" if k else "blue" for k in colour],
    }
    schema = infer_schema(table)
    assert isinstance(schema, Schema)
    model = table_model(schema, "flow-matching", hidden=(8,))
    rows = torch.from_numpy(schema.encode(table))
    objective = default_objective(model)
    assert isinstance(objective, FlowMatching)
    objective.train()((rows,)).backward()
    for name, p in model.named_parameters():
        assert p.grad is not None, name
        assert bool(p.grad.isfinite().all()), name
    with pytest.raises(SpecError, match="continuous layer"):
        FlowMatching(pf.build("realnvp", features=2), Straight())((torch.randn(4, 2),))


# --- what is said of solvers ------------------------------------------------------------------------------------------------


def test_too_few_steps_are_noticed_and_the_number_to_use_is_enough():
    torch.manual_seed(0)
    flow = stirred(OTFlow(features=2, hidden=16, scoring_steps=1).build(), 0.5)
    x = 2 * torch.randn(200, 2)
    found = check_solver(flow, x)
    assert found.steps == 1
    assert found.wanted is not None
    assert f"use {found.wanted} steps instead of 1" in found.sentence
    flow.chain.layers[0].scoring = Fixed(found.wanted)
    again = check_solver(flow, x)
    assert again.wanted is None
    assert abs(again.change) < abs(found.change)
    assert check_solver(pf.build("realnvp", features=2), x) is None


@pytest.mark.dear
def test_errors_fall_with_the_steps_and_the_mass_is_one():
    torch.manual_seed(0)
    flow = stirred(OTFlow(features=2, hidden=8).build().double())
    x = torch.randn(100, 2, dtype=DOUBLE)
    found = step_errors(flow, x, steps=(4, 8, 16))
    assert [e.steps for e in found] == [4, 8, 16]
    rates = [math.log2(a.round_trip / b.round_trip) for a, b in pairwise(found)]
    assert all(rate > 3.3 for rate in rates), rates
    assert flow.chain.layers[0].scoring.steps == 16
    assert total_mass(flow) == pytest.approx(1.0, abs=1e-3)
    assert total_mass(exactly(flow), points=200) == pytest.approx(1.0, abs=1e-4)
    given = FFJORD(features=1, hidden=(8,), context=2).build()
    assert total_mass(given, torch.zeros(2)) == pytest.approx(1.0, abs=1e-3)
    with pytest.raises(SpecError, match="one or two dimensions"):
        total_mass(OTFlow(features=3, hidden=4).build())
    with pytest.raises(SpecError, match="fixed solver"):
        step_errors(FFJORD(features=2, solver="adaptive").build(), x)


def test_straightness_of_paths_that_are_known():
    class Shift(Velocity):
        def forward(self, t, x, context=None):
            return torch.tensor([3.0, 0.0]).expand_as(x) + 0 * x

    flow = Flow(Chain(Continuous(Shift(), Real((2,)))), Normal(Real((2,))))
    found = straightness(flow, torch.randn(300, 2) - torch.tensor([3.0, 0.0]))
    assert found.ratio == pytest.approx(1.0, abs=1e-4)
    assert found.energy == pytest.approx(9.0, abs=1e-3)
    assert found.normalised == pytest.approx(0.93, abs=0.1)
    points = follow(flow, torch.zeros(4, 2), points=5)
    assert torch.allclose(points[:, 0, 0], torch.linspace(0, 3, 5), atol=1e-5)
    assert follow(pf.build("realnvp", features=2), torch.zeros(4, 2)) is None
    with pytest.raises(SpecError, match="expected a model with"):
        straightness(pf.build("realnvp", features=2), torch.zeros(4, 2))


class Bad(Velocity):
    """A velocity that is not a number for large x."""

    def __init__(self):
        super().__init__()
        self.scale = torch.nn.Parameter(torch.ones(1))

    def forward(self, t, x, context=None):
        return self.scale * torch.where(x.abs() > 3, torch.nan, x)


def test_velocities_that_are_not_finite_are_said_in_a_sentence():
    flow = Flow(Chain(Continuous(Bad(), Real((2,)))), Normal(Real((2,))))
    with torch.no_grad(), pytest.raises(SolverError, match="row 1 of the batch") as error:
        flow.log_prob(torch.tensor([[0.1, 0.1], [9.0, 0.0]]))
    assert "velocity" in str(error.value)
    with pytest.raises(TrainingError, match="starting weights were restored"):
        pf.fit(flow, 2 * torch.randn(200, 2), progress=False, epochs=2)


def test_training_that_cannot_be_solved_ends_with_a_sentence_and_good_weights():
    layer = Continuous(Bad(), Real((2,)), solver=Adaptive(1e-5, 1e-5))
    flow = Flow(Chain(layer), Normal(Real((2,))))
    with pytest.raises(TrainingError, match="too steep, or not finite"):
        pf.fit(flow, 2 * torch.randn(200, 2), progress=False, epochs=2)
    assert float(layer.velocity.scale.detach()) == 1.0


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Continuous(VelocityMLP(2), Real((2,)), probes=0), "probes >= 1"),
        (lambda: Continuous(VelocityMLP(2), Real((2,)), duration=0.0), "duration > 0"),
        (lambda: Continuous(VelocityMLP(2), Real((2,)), trace="none"), "expected trace"),
        (lambda: VelocityMLP(2, hidden=()), "at least one"),
        (lambda: VelocityMLP(2, layer="mixed"), "layer to be one of"),
        (lambda: VelocityMLP(2, activation="relu"), "activation to be one of"),
        (lambda: Potential(2, 4, layers=1), "layers >= 2"),
        (lambda: OTFlow(features=2, alpha_c=0.0), "alpha_c > 0"),
        (lambda: OTFlow(features=2, steps=0), "steps >= 1"),
        (lambda: FFJORD(features=2, probes=0), "probes >= 1"),
        (lambda: FFJORD(features=2, energy=-1.0), "energy >= 0"),
        (lambda: Matching(features=2, bridge="schroedinger"), "sigma > 0"),
        (lambda: Matching(features=2, bridge="straight"), "bridge"),
    ],
)
def test_bad_arguments(make, words):
    with pytest.raises(SpecError, match=words):
        make()


def test_adaptive_flows_train_save_and_draw(tmp_path):
    torch.manual_seed(0)
    flow = FFJORD(features=2, hidden=(8,), solver="adaptive", gradient="adjoint", energy=0.1, jacobian=0.1).build()
    x = torch.randn(300, 2)
    result = pf.fit(flow, x, progress=False, epochs=2, batch_size=100)
    assert result.likelihood
    pf.save(tmp_path / "m.flow", flow)
    again = pf.load(tmp_path / "m.flow")
    assert torch.equal(again.model.log_prob(x), flow.log_prob(x))
    assert flow.sample(5).isfinite().all()
