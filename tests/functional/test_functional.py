"""Oracles for the pure functions: SciPy, mpmath, autograd, closed forms."""

import math

import mpmath
import pytest
import scipy.stats
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pushforward.functional.bounds import positive, round_through, soft_clip, sum_events
from pushforward.functional.fixed_point import jacobi
from pushforward.functional.logistic import mixture_logit_cdf, mixture_logit_cdf_inverse
from pushforward.functional.roots import newton_bisect
from pushforward.functional.splines import MIN_SIZE, MIN_SLOPE, rational_quadratic, rational_quadratic_tails

DOUBLE = torch.float64


def spline_parameters(rows, bins, seed=0, scale=2.0):
    return scale * torch.randn(rows, 3 * bins - 1, dtype=DOUBLE, generator=torch.Generator().manual_seed(seed))


def exact_spline(x, p, bound):
    """One value of the spline in 50-digit arithmetic, straight from the formula of the paper."""
    bins = (len(p) + 1) // 3
    with mpmath.workdps(50):
        if abs(x) >= bound:
            return mpmath.mpf(x)

        def sizes(free):
            e = [mpmath.e ** mpmath.mpf(float(v)) for v in free]
            return [2 * bound * (mpmath.mpf(MIN_SIZE) + (1 - mpmath.mpf(MIN_SIZE) * bins) * v / sum(e)) for v in e]

        w, h = sizes(p[:bins]), sizes(p[bins : 2 * bins])
        shift = mpmath.log(mpmath.expm1(mpmath.mpf(1.0 - MIN_SLOPE)))
        d = [mpmath.mpf(MIN_SLOPE) + mpmath.log1p(mpmath.e ** (mpmath.mpf(float(v)) + shift)) for v in p[2 * bins :]]
        d = [mpmath.mpf(1), *d, mpmath.mpf(1)]
        x0, y0, k = mpmath.mpf(-bound), mpmath.mpf(-bound), 0
        while x >= x0 + w[k] and k < bins - 1:
            x0, y0, k = x0 + w[k], y0 + h[k], k + 1
        t, s = (mpmath.mpf(float(x)) - x0) / w[k], h[k] / w[k]
        top = h[k] * (s * t**2 + d[k] * t * (1 - t))
        return y0 + top / (s + (d[k + 1] + d[k] - 2 * s) * t * (1 - t))


def test_spline_against_fifty_digits():
    p = spline_parameters(40, 6)
    x = torch.linspace(-4.5, 4.5, 40, dtype=DOUBLE)
    z, _ = rational_quadratic_tails(x, p, 4.0)
    for xi, zi, pi in zip(x.tolist(), z.tolist(), p.tolist(), strict=True):
        assert float(exact_spline(xi, pi, 4.0)) == pytest.approx(zi, abs=1e-12)


@settings(deadline=None, max_examples=40, derandomize=True)
@given(bins=st.integers(2, 20), seed=st.integers(0, 10**6), scale=st.floats(0.0, 4.0), bound=st.floats(0.5, 50.0))
def test_spline_is_a_bijection_of_the_line(bins, seed, scale, bound):
    p = spline_parameters(64, bins, seed, scale)
    x = 2 * bound * (2 * torch.rand(64, dtype=DOUBLE, generator=torch.Generator().manual_seed(seed)) - 1)
    z, slope = rational_quadratic_tails(x, p, bound)
    back, opposite = rational_quadratic_tails(z, p, bound, inverse=True)
    steep = (-slope).exp().clamp_min(1)
    assert ((back - x).abs() <= 1e-11 * bound * steep).all()
    assert ((slope + opposite).abs() <= 1e-7 * steep).all()
    assert ((z.abs() < bound) == (x.abs() < bound)).all()


def test_spline_slope_is_the_derivative():
    p = spline_parameters(50, 5)
    x = torch.linspace(-6, 6, 50, dtype=DOUBLE, requires_grad=True)
    z, slope = rational_quadratic_tails(x, p, 4.0)
    (derivative,) = torch.autograd.grad(z.sum(), x)
    torch.testing.assert_close(slope, derivative.log())


def test_spline_gradients_by_finite_differences():
    p = spline_parameters(3, 4).requires_grad_()
    x = torch.tensor([-1.3, 0.4, 2.2], dtype=DOUBLE, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x, p: rational_quadratic_tails(x, p, 3.0), (x, p))
    assert torch.autograd.gradcheck(lambda x, p: rational_quadratic_tails(x, p, 3.0, inverse=True), (x, p))


def test_zero_parameters_are_the_identity():
    x = torch.linspace(-7, 7, 101, dtype=DOUBLE)
    z, slope = rational_quadratic_tails(x, torch.zeros(101, 23, dtype=DOUBLE), 5.0)
    torch.testing.assert_close(z, x)
    torch.testing.assert_close(slope, torch.zeros_like(x), atol=1e-12, rtol=0)


def test_spline_beyond_the_bound_is_untouched():
    """Values outside the spline's part must not vanish, in either direction."""
    for v in (7.0, -9.0, 1e4):
        x = torch.tensor([v])
        for inverse in (False, True):
            z, slope = rational_quadratic_tails(x, torch.randn(1, 11), 4.0, inverse=inverse)
            assert z.item() == v
            assert slope.item() == 0.0


def test_spline_maps_an_interval_onto_itself():
    widths, heights = torch.randn(2, 200, 7, dtype=DOUBLE)
    slopes = torch.rand(200, 8, dtype=DOUBLE) + 0.1
    ends = torch.tensor([-2.0, 3.0], dtype=DOUBLE).repeat(100)
    z, _ = rational_quadratic(ends, widths, heights, slopes, -2.0, 3.0)
    torch.testing.assert_close(z, ends)


def test_spline_never_loses_its_root_in_float32():
    """The discriminant is clamped: rounding cannot make it negative (a crash known from other libraries)."""
    torch.manual_seed(0)
    p = 8 * torch.randn(200_000, 23)
    z = 10 * torch.rand(200_000) - 5
    x, slope = rational_quadratic_tails(z, p, 5.0, inverse=True)
    assert x.isfinite().all()
    assert slope.isfinite().all()
    assert (x.abs() <= 5.0001).all()


def test_mixture_cdf_against_scipy():
    torch.manual_seed(1)
    weights, means, scales = (
        torch.randn(4, dtype=DOUBLE),
        3 * torch.randn(4, dtype=DOUBLE),
        torch.randn(4, dtype=DOUBLE),
    )
    x = torch.linspace(-12, 12, 41, dtype=DOUBLE)
    z, slope = mixture_logit_cdf(x, weights.log_softmax(0), means, scales)
    w = weights.softmax(0).numpy()
    parts = scipy.stats.logistic(means.numpy(), scales.exp().numpy())
    cdf, sf, pdf = ((f(x.numpy()[:, None]) * w).sum(1) for f in (parts.cdf, parts.sf, parts.pdf))
    torch.testing.assert_close(z, torch.tensor(cdf).log() - torch.tensor(sf).log())
    torch.testing.assert_close(slope, torch.tensor(pdf).log() - torch.tensor(cdf).log() - torch.tensor(sf).log())


@settings(deadline=None, max_examples=30, derandomize=True)
@given(seed=st.integers(0, 10**6), spread=st.floats(0.0, 30.0), far=st.floats(0.1, 500.0))
def test_mixture_inverse_far_into_the_tails(seed, spread, far):
    torch.manual_seed(seed)
    parts = (torch.randn(20, 3, dtype=DOUBLE).log_softmax(-1), spread * torch.randn(20, 3, dtype=DOUBLE))
    parts = (*parts, torch.randn(20, 3, dtype=DOUBLE))
    z = far * torch.randn(20, dtype=DOUBLE)
    x, slope = mixture_logit_cdf_inverse(z, *parts)
    again, opposite = mixture_logit_cdf(x, *parts)
    assert ((again - z).abs() <= 1e-9 * (1 + z.abs()) * opposite.exp().clamp_min(1)).all()
    torch.testing.assert_close(slope, -opposite)


def test_mixture_inverse_gradients():
    torch.manual_seed(2)
    z = torch.randn(3, dtype=DOUBLE, requires_grad=True)
    free = [torch.randn(3, 4, dtype=DOUBLE, requires_grad=True) for _ in range(3)]
    inverse = lambda z, w, m, s: mixture_logit_cdf_inverse(z, w.log_softmax(-1), m, s)  # noqa: E731
    assert torch.autograd.gradcheck(inverse, (z, *free), atol=1e-6)


def test_newton_bisect_on_functions_that_fool_newton():
    def flat(x):  # almost flat left of 3, steep right of it
        return torch.where(x < 3, 1e-9 * (x - 3), 1e9 * (x - 3)), torch.where(x < 3, 1e-9, 1e9).to(x)

    low, high = torch.full((4,), -1e6, dtype=DOUBLE), torch.full((4,), 1e6, dtype=DOUBLE)
    torch.testing.assert_close(newton_bisect(flat, low, high), torch.full((4,), 3.0, dtype=DOUBLE))
    root = newton_bisect(lambda x: (x**3 - 8, 3 * x**2), low, high)
    torch.testing.assert_close(root, torch.full((4,), 2.0, dtype=DOUBLE))


def test_jacobi_is_exact_after_depth_sweeps_and_stops_early():
    torch.manual_seed(3)
    strict = torch.randn(12, 12, dtype=DOUBLE).tril(-1)
    b = torch.randn(5, 12, dtype=DOUBLE)
    sweeps = []

    def sweep(x):
        sweeps.append(1)
        return b + x @ strict.mT

    with torch.no_grad():
        x = jacobi(sweep, torch.zeros_like(b), 12, 0.0)
    expected = torch.linalg.solve_triangular(torch.eye(12, dtype=DOUBLE) - strict, b.mT, upper=False).mT
    torch.testing.assert_close(x, expected)
    sweeps.clear()
    with torch.no_grad():
        jacobi(lambda x: sweep(x * 1e-3), torch.zeros_like(b), 12, 1e-12)
    assert len(sweeps) < 12


def test_bounds():
    p = torch.linspace(-1e4, 1e4, 1001, dtype=DOUBLE)
    assert (soft_clip(p, 3.0).abs() < 3).all()
    assert float(soft_clip(torch.tensor(1e-4), 3.0)) == pytest.approx(1e-4)
    assert float(positive(torch.tensor(0.0), 0.1)) == pytest.approx(1.0)
    assert (positive(torch.linspace(-50, 50, 11), 0.1) >= 0.1).all()
    t = torch.tensor([0.4, -1.6, 2.5e6 + 0.75], dtype=DOUBLE, requires_grad=True)
    rounded = round_through(t)
    assert torch.equal(rounded, t.round())
    (gradient,) = torch.autograd.grad(rounded.sum(), t)
    assert torch.equal(gradient, torch.ones(3, dtype=DOUBLE))
    assert sum_events(torch.ones(0, 3, 2)).shape == (0,)
    assert math.isclose(float(sum_events(torch.ones(1, 3, 2))), 6.0)
