"""Velocities along the sphere: tangential, with the divergence on the sphere."""

from functools import partial

import torch

from pushforward.core import Sphere
from pushforward.networks import TangentVelocity, Velocity, VelocityMLP


def moved(velocity, t, c, y):
    return velocity(t, y[None], c)[0]


def test_the_velocity_is_tangential_and_its_divergence_is_that_of_autograd_in_tangent_bases():
    torch.manual_seed(0)
    for n in (2, 3, 5):
        velocity = TangentVelocity(VelocityMLP(n, hidden=(8,), context=2)).double()
        t, c = torch.tensor(0.3, dtype=torch.float64), torch.randn(10, 2, dtype=torch.float64)
        x = Sphere((n,)).random(10, torch.float64)
        v, divergence, _ = velocity.rates(t, x, c)
        assert torch.allclose((v * x).sum(1), torch.zeros(10, dtype=torch.float64), atol=1e-12)
        assert torch.allclose(v, velocity(t, x, c))
        for i in range(10):
            one = partial(moved, velocity, t, c[i : i + 1])
            jacobian = torch.autograd.functional.jacobian(one, x[i])
            basis = Sphere((n,)).tangent(x[i : i + 1])[0]
            assert torch.allclose((basis.mT @ jacobian @ basis).trace(), divergence[i])


def test_a_rotation_has_no_divergence_and_a_gradient_has_that_of_the_laplacian():
    class Linear(Velocity):
        def __init__(self, matrix, shift):
            super().__init__()
            self.matrix, self.shift = matrix, shift

        def forward(self, t, x, context=None):
            return x @ self.matrix.mT + self.shift

    x = Sphere((3,)).random(20, torch.float64)
    t = torch.zeros((), dtype=torch.float64)
    turn = torch.tensor([[0.0, -1.0, 0.5], [1.0, 0.0, 2.0], [-0.5, -2.0, 0.0]], dtype=torch.float64)
    still = torch.zeros(3, dtype=torch.float64)
    _, divergence, _ = TangentVelocity(Linear(turn, still)).rates(t, x)
    assert torch.allclose(divergence, torch.zeros(20, dtype=torch.float64), atol=1e-12)
    # The coordinate x_3 is an eigenfunction of the Laplacian on the sphere with eigenvalue -2.
    up = torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64)
    _, divergence, _ = TangentVelocity(Linear(0 * turn, up)).rates(t, x)
    assert torch.allclose(divergence, -2 * x[:, 2])


@torch.no_grad()
def test_probes_estimate_the_divergence():
    torch.manual_seed(0)
    velocity = TangentVelocity(VelocityMLP(3, hidden=(8,))).double()
    t = torch.tensor(0.5, dtype=torch.float64)
    x = Sphere((3,)).random(1, torch.float64).expand(50_000, 3)
    probes = torch.randn(1, 50_000, 3, dtype=torch.float64)
    _, exact, _ = velocity.rates(t, x[:1])
    _, estimated, _ = velocity.probed(t, x, probes)
    error = float(estimated.std()) / 50_000**0.5
    assert abs(float(estimated.mean() - exact[0])) < 4 * error
