"""The cylinder: areas, poles, and the recursion in more dimensions."""

import math

import pytest
import torch

from pushforward.core import Box, Chain, Circle, Flow, Inverse, Product, Sphere
from pushforward.distributions import SideBySide, Uniform, UniformSphere, UniformTorus
from pushforward.transforms import Cylinder, Orthogonal


def test_the_spaces_are_an_angle_and_heights():
    assert Cylinder(Sphere((3,))).z_space == Product(Circle(), Box((1,), -1.0, 1.0))
    assert Cylinder(Sphere((5,))).z_space == Product(Circle(), Box((3,), -1.0, 1.0))
    assert Cylinder(Sphere((2,))).z_space == Circle()


def test_uniform_angles_and_heights_are_uniform_on_the_sphere():
    cylinder = Cylinder(Sphere((3,)))
    flow = Flow(cylinder, SideBySide(UniformTorus(Circle()), Uniform(Box((1,), -1.0, 1.0)))).double()
    x = Sphere((3,)).random(50, torch.float64)
    assert torch.allclose(flow.log_prob(x), torch.tensor(-math.log(4 * math.pi), dtype=torch.float64))


@pytest.mark.parametrize("n", [2, 3, 4, 6])
def test_round_trips_are_exact_near_the_poles(n):
    cylinder = Cylinder(Sphere((n,)))
    x = Sphere((n,)).random(200, torch.float64)
    x[::2] = Sphere((n,)).extreme(x[::2])
    z, dlogp = cylinder(x)
    back, opposite = cylinder.inverse(z)
    assert torch.allclose(back, x, atol=1e-10)
    assert torch.allclose(opposite, -dlogp, atol=1e-10)


def test_poles_have_finite_images_and_gradients():
    for n in (3, 4):
        cylinder = Cylinder(Sphere((n,)))
        flow = Flow(Chain(cylinder, Inverse(cylinder)), UniformSphere(Sphere((n,))))
        pole = torch.zeros(2, n)
        pole[0, -1], pole[1, -1] = 1.0, -1.0
        pole.requires_grad_()
        z, _ = cylinder(pole)
        assert z[:, -1].tolist() == [1.0, -1.0]
        value = flow.log_prob(pole)
        (gradient,) = torch.autograd.grad(value.sum(), pole)
        assert value.tolist() == pytest.approx([-math.log(Sphere((n,)).area)] * 2, abs=1e-4)
        assert bool(gradient.isfinite().all())


def test_rotations_of_the_sphere_keep_unit_vectors_in_float32():
    torch.manual_seed(0)
    space = Sphere((4,))
    layers = [Orthogonal(space, rotation=True) for _ in range(30)]
    z, dlogp = Chain(*layers)(space.random(100))
    assert bool(space.contains(z).all())
    assert not bool(dlogp.any())
