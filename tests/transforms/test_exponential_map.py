"""Exponential maps: potentials by autograd, bijections for all parameters, and the maps at stationary points."""

import math

import pytest
import torch

from pushforward.core import Sphere
from pushforward.errors import SpecError
from pushforward.transforms import ExponentialMap, QuadraticPotential, RadialPotential
from pushforward.transforms.exponential_map import cosine_and_sinc


def made(kind, n, spread=0.0):
    torch.manual_seed(1)
    potential = QuadraticPotential(n) if kind == "polynomial" else RadialPotential(n, 3)
    layer = ExponentialMap(Sphere((n,)), potential).double()
    for p in layer.parameters():
        p.data.add_(spread * torch.randn_like(p))
    return layer


@pytest.mark.parametrize("kind", ["polynomial", "radial"])
@pytest.mark.parametrize("n", [2, 3, 5])
def test_derivatives_of_potentials_are_those_of_autograd(kind, n):
    potential = made(kind, n, 1.0).potential
    x = Sphere((n,)).random(20, torch.float64).requires_grad_()
    gradient, hessian = potential.derivatives(x)
    (expected,) = torch.autograd.grad(potential.value(x).sum(), x, create_graph=True)
    assert torch.allclose(gradient, expected, atol=1e-12)
    for i in range(n):
        (row,) = torch.autograd.grad(expected[:, i].sum(), x, retain_graph=True)
        assert torch.allclose(hessian.expand(20, n, n)[:, i], row, atol=1e-12)


@pytest.mark.parametrize("kind", ["polynomial", "radial"])
@pytest.mark.parametrize("n", [2, 3, 6])
@pytest.mark.parametrize("spread", [0.0, 3.0, 100.0])
def test_maps_are_bijections_for_all_parameters(kind, n, spread):
    layer = made(kind, n, spread)
    x = layer.x_space.random(1000, torch.float64)
    z, dlogp = layer(x)
    back, opposite = layer.inverse(z)
    assert bool(layer.z_space.contains(z).all())
    assert torch.allclose(back, x, atol=1e-9)
    assert torch.allclose(opposite, -dlogp, atol=1e-6)
    # The determinant has the same sign everywhere: no fold.
    assert bool((torch.linalg.det(layer._image(x, None)[1]) > 0).all())


@torch.no_grad()
def test_a_point_moves_along_its_great_circle():
    layer = made("radial", 3)
    layer.potential.parameters_of.free.copy_(torch.tensor([[0.0, 0.0, 2.0, 0.5, 0.3]] * 3))
    m, a, b = (v[0, 0] if v.dim() == 2 else v[0, 0, 2] for v in layer.potential._made(None))
    assert float(m) == 1.0
    angle = torch.tensor([0.3, 1.0, 2.0, 3.0], dtype=torch.float64)
    x = torch.stack([angle.sin(), 0 * angle, angle.cos()], 1)
    expected = angle - 3 * a * angle.sin() * (b * (angle.cos() - 1)).exp()
    z = layer(x)[0]
    assert torch.allclose(torch.atan2(z[:, 0], z[:, 2]), expected, atol=1e-12)


def test_a_quadratic_potential_without_the_half_would_fold():
    # At the angle t to e, the potential (e.x)^2 moves a point to t - sin 2t, which decreases at zero; (e.x)^2 / 2 does not.
    t = torch.linspace(0, math.pi, 100, dtype=torch.float64)
    assert bool(((t - (2 * t).sin()).diff() < 0).any())
    assert bool(((t - (2 * t).sin() / 2).diff() >= 0).all())


def test_stationary_points_stay_and_have_finite_gradients():
    layer = made("radial", 3)
    mean = layer.potential._made(None)[0][0, 0]
    single = ExponentialMap(Sphere((3,)), RadialPotential(3)).double()
    single.potential.parameters_of.free.data[0, :3] = mean
    x = torch.stack([mean, -mean]).detach().requires_grad_()
    z, dlogp = single(x)
    assert torch.allclose(z, x, atol=1e-15)
    gradients = torch.autograd.grad(dlogp.sum() + z.sum(), [x, *single.parameters()])
    assert all(bool(g.isfinite().all()) for g in gradients)


def test_trigonometric_functions_of_the_square_agree_on_both_sides_of_the_series():
    q = torch.tensor([0.0, 1e-12, 1e-3, 0.0999999, 0.1000001, 1.0, 9.0], dtype=torch.float64, requires_grad=True)
    c, s, slope = cosine_and_sinc(q)
    root = q.detach().sqrt()
    assert torch.allclose(c, root.cos(), atol=1e-14)
    assert torch.allclose(s, torch.sinc(root / math.pi), atol=1e-14)
    (found,) = torch.autograd.grad(s.sum(), q, create_graph=True)
    assert torch.allclose(found, slope, atol=1e-12)
    (second,) = torch.autograd.grad(slope.sum(), q)
    assert bool(second.isfinite().all())


def test_there_must_be_a_radial_potential():
    with pytest.raises(SpecError, match="at least 1 radial potential"):
        RadialPotential(3, 0)
