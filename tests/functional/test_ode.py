"""Solvers: orders, counts of evaluations, three gradients, and what cannot be solved."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch

from pushforward.errors import SolverError, SpecError
from pushforward.functional.ode import Adaptive, Fixed
from pushforward.networks import VelocityMLP

METHODS = [("euler", 1), ("midpoint", 2), ("rk4", 4), ("dopri5", 5)]


def spiral(t, state):
    """y' = A y + sin t, with a known solution by a fine grid."""
    (y,) = state
    a = torch.tensor([[-0.5, 2.0], [-2.0, -0.5]], dtype=y.dtype)
    return (y @ a.mT + torch.sin(t),)


@pytest.mark.parametrize(("method", "order"), METHODS)
def test_the_error_falls_with_the_declared_order(method, order):
    y = torch.randn(5, 2, dtype=torch.float64)
    truth = Fixed(2000, "dopri5").advance(spiral, (y,), 0.0, 2.0).state[0]
    steps = [16, 32, 64]
    errors = [float((Fixed(n, method).advance(spiral, (y,), 0.0, 2.0).state[0] - truth).norm()) for n in steps]
    fitted = [math.log2(a / b) for a, b in pairwise(errors)]
    assert all(abs(rate - order) < 0.25 for rate in fitted), fitted
    assert Fixed(3, method).order == order


@pytest.mark.parametrize("method", [m for m, _ in METHODS])
def test_evaluations_are_counted_by_the_solver(method):
    calls = []

    def field(t, state):
        calls.append(float(t))
        return (state[0] * 0,)

    solution = Fixed(7, method).solve(field, (torch.ones(2, 3),), 0.0, 1.0)
    assert solution.evaluations == len(calls) > 0
    calls.clear()
    assert Adaptive().solve(field, (torch.ones(2, 3),), 0.0, 1.0).evaluations == len(calls) > 0


def test_time_runs_backwards_too():
    y = torch.randn(4, 2, dtype=torch.float64)
    for solver in (Fixed(64, "dopri5"), Adaptive(1e-10, 1e-10)):
        there = solver.solve(spiral, (y,), 0.0, 1.5).state
        assert torch.allclose(solver.solve(spiral, there, 1.5, 0.0).state[0], y, atol=1e-7)


def gradients(solver, net, x, c):
    """Of a function of the end with respect to the start, the context and the parameters."""
    x, c = (v.detach().clone().requires_grad_() for v in (x, c))

    def field(t, state):
        v, divergence, _ = net.rates(t, state[0], c)
        return v, divergence

    parameters = list(net.parameters())
    end, total = solver.solve(field, (x, x.new_zeros(len(x))), 0.0, 1.0, [*parameters, c]).state
    return torch.autograd.grad((end * end.detach().cos()).sum() + total.square().sum(), [x, c, *parameters])


@pytest.mark.parametrize(
    "solver",
    [
        Fixed(64, "dopri5", gradient="checkpoint"),
        Fixed(64, "dopri5", gradient="adjoint"),
        Adaptive(1e-11, 1e-11, gradient="direct"),
        Adaptive(1e-11, 1e-11, gradient="checkpoint", checkpoints=3),
        Adaptive(1e-11, 1e-11, gradient="adjoint"),
    ],
    ids=lambda s: f"{type(s).__name__}-{s.gradient}",
)
def test_the_three_gradients_agree(solver):
    torch.manual_seed(0)
    net = VelocityMLP(3, hidden=(8, 8), context=2).double()
    x, c = torch.randn(6, 3, dtype=torch.float64), torch.randn(6, 2, dtype=torch.float64)
    expected = gradients(Fixed(64, "dopri5"), net, x, c)
    for found, truth in zip(gradients(solver, net, x, c), expected, strict=True):
        assert torch.allclose(found, truth, atol=1e-8)


def test_the_adjoint_is_that_of_torchdiffeq():
    torchdiffeq = pytest.importorskip("torchdiffeq")
    torch.manual_seed(1)
    net = VelocityMLP(2, hidden=(8,)).double()
    x = torch.randn(4, 2, dtype=torch.float64)

    class Theirs(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.net = net

        def forward(self, t, y):
            return self.net(t, y)

    ends = torch.tensor([0.0, 1.0], dtype=torch.float64)
    options = {"rtol": 1e-10, "atol": 1e-10, "method": "dopri5"}
    theirs = torchdiffeq.odeint_adjoint(Theirs(), x, ends, **options)[-1].square().sum()
    ours = Adaptive(1e-10, 1e-10, gradient="adjoint").solve(
        lambda t, s: (net(t, s[0]),), (x,), 0.0, 1.0, list(net.parameters())
    )
    for a, b in zip(
        *(torch.autograd.grad(v, net.parameters()) for v in (theirs, ours.state[0].square().sum())), strict=True
    ):
        assert torch.allclose(a, b, atol=1e-7)


def test_checkpoints_give_the_same_bits():
    torch.manual_seed(0)
    net = VelocityMLP(3, hidden=(8,), context=2)
    x, c = torch.randn(6, 3), torch.randn(6, 2)
    for a, b in zip(gradients(Fixed(6), net, x, c), gradients(Fixed(6, gradient="checkpoint"), net, x, c), strict=True):
        assert torch.allclose(a, b, atol=1e-6)


def test_what_cannot_be_solved_is_said_in_a_sentence():
    x = torch.ones(2, 1, dtype=torch.float64)
    with pytest.raises(SolverError, match="steps are too small") as error:
        Adaptive(1e-9, 1e-9).solve(lambda t, s: (s[0].square() * 3,), (x,), 0.0, 1.0)
    assert "\n" not in str(error.value)
    with pytest.raises(SolverError):
        Adaptive().solve(lambda t, s: (s[0] * torch.nan,), (x,), 0.0, 1.0)


def test_tolerances_below_rounding_do_not_stall():
    x = torch.randn(8, 2)
    solution = Adaptive(1e-12, 1e-12).solve(spiral, (x,), 0.0, 1.0)
    truth = Fixed(200, "dopri5").advance(spiral, (x.double(),), 0.0, 1.0).state[0]
    assert solution.evaluations < 500
    assert torch.allclose(solution.state[0].double(), truth, atol=1e-4)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Fixed(0), "steps >= 1"),
        (lambda: Fixed(method="rk5"), "expected method"),
        (lambda: Fixed(gradient="none"), "expected gradient"),
        (lambda: Adaptive(0.0), "tolerances > 0"),
        (lambda: Adaptive(checkpoints=0), "checkpoints >= 1"),
    ],
)
def test_bad_arguments_of_solvers(make, words):
    with pytest.raises(SpecError, match=words):
        make()


def test_no_rows_need_no_steps():
    assert Adaptive().solve(spiral, (torch.zeros(0, 2),), 0.0, 1.0).state[0].shape == (0, 2)
