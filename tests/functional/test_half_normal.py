"""The bijection of the half-line and the line against high precision, in both directions."""

import mpmath
import pytest
import torch

from pushforward.functional.half_normal import FAR, half_normal_to_normal, normal_to_half_normal

Y = [1e-30, 1e-10, 1e-3, 0.1, 0.5, 0.99, 1.01, 2.0, 5.0, FAR - 0.01, FAR + 0.01, 9.0, 30.0, 1e4]


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-10), (torch.float32, 1e-4)])
def test_the_directions_are_inverse_and_have_opposite_slopes(dtype, tolerance):
    y = torch.tensor(Y, dtype=dtype)
    z, slope = half_normal_to_normal(y)
    again, opposite = normal_to_half_normal(z)
    assert float(((again - y) / y).abs().max()) < tolerance
    assert float((slope + opposite).abs().max()) < 20 * tolerance


def test_the_slope_is_the_derivative():
    y = torch.tensor(Y, dtype=torch.float64, requires_grad=True)
    z, slope = half_normal_to_normal(y)
    (gradient,) = torch.autograd.grad(z.sum(), y)
    torch.testing.assert_close(gradient.log(), slope, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("y", [1e-3, 0.5, 2.0, FAR - 0.01, FAR + 0.01, 12.0, 30.0])
def test_probabilities_agree_with_high_precision(y):
    with mpmath.workdps(60):
        tail = mpmath.erfc(mpmath.mpf(y) / mpmath.sqrt(2))
        z = mpmath.mpf(float(half_normal_to_normal(torch.tensor(y, dtype=torch.float64))[0]))
        error = mpmath.erfc(z / mpmath.sqrt(2)) / 2 / tail - 1
    assert abs(float(error)) < 1e-6


def test_values_at_zero_are_finite():
    for dtype in (torch.float32, torch.float64):
        z, slope = half_normal_to_normal(torch.zeros(1, dtype=dtype))
        assert bool(z.isfinite() & slope.isfinite())
