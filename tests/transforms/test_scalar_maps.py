"""Scalar maps of the line: far round trips, slopes, starts, finite derivatives, and gradients of numeric inverses."""

import pytest
import torch

from pushforward.errors import InversionError, SpecError
from pushforward.functional.bent_lines import FAR, cubic_rational_inverse, stretched, yeo_johnson
from pushforward.functional.roots import monotone_inverse
from pushforward.transforms import BentLine, Bernstein, DeepSigmoidal, IntegratedNetwork, PiecewiseSpline, SumOfSquares

MAPS = {
    "deep-sigmoidal": DeepSigmoidal(8),
    "deep-sigmoidal-2": DeepSigmoidal(4, 2),
    "deep-sigmoidal-dense": DeepSigmoidal(4, 2, dense=True),
    "integrated-network": IntegratedNetwork(),
    "integrated-network-2": IntegratedNetwork(3.0, 8, 2, 96),
    "sum-of-squares": SumOfSquares(),
    "bernstein": Bernstein(),
    **{f"{kind}-spline": PiecewiseSpline(kind, 5) for kind in ("linear", "quadratic", "cubic", "linear-rational")},
    **{
        kind: BentLine(kind)
        for kind in ("cubic-rational", "sinh", "sinh-arcsinh", "johnson-su", "yeo-johnson", "leaky")
    },
}
DOUBLE = torch.float64


@pytest.fixture(params=MAPS)
def scalar(request):
    return MAPS[request.param]


def parameters(scalar, rows, size=1.0, dtype=DOUBLE):
    return (size * torch.randn(rows, scalar.n, dtype=DOUBLE, generator=torch.Generator().manual_seed(1))).to(dtype)


def numbers(rows, size=1.0, dtype=DOUBLE):
    return (size * torch.randn(rows, dtype=DOUBLE, generator=torch.Generator().manual_seed(2))).to(dtype)


@pytest.mark.parametrize("size", [0.3, 3.0])
def test_round_trips_a_thousand_deviations_out(scalar, size):
    x, p = numbers(400, 1e3), parameters(scalar, 400, size)
    z, slope = scalar.forward(x, p)
    back, opposite = scalar.inverse(z, p)
    assert float((back - x).abs().max()) <= 1e-8
    assert float((slope + opposite).abs().max()) <= 1e-8


def test_round_trips_in_single_precision(scalar):
    for size in (1e-2, 1.0, 1e4):
        x, p = numbers(200, size, torch.float32), parameters(scalar, 200, 1.0, torch.float32)
        z, slope = scalar.forward(x, p)
        back, opposite = scalar.inverse(z, p)
        exact, exact_slope = scalar.forward(x.double(), p.double())
        assert z.dtype == slope.dtype == back.dtype == torch.float32
        assert bool((back.isfinite() & opposite.isfinite()).all())
        scale = 1 + x.abs() + z.abs()
        assert float(((z - exact) / scale).abs().max()) < 1e-4
        assert float(((slope - exact_slope) / scale).abs().max()) < 3e-5
        assert float(((back - x) / scale * slope.exp().clamp(max=1)).abs().max()) < 1e-4


def test_slopes_are_those_of_autograd(scalar):
    for size in (1.0, 30.0):
        x, p = numbers(200, size).requires_grad_(), parameters(scalar, 200)
        z, slope = scalar.forward(x, p)
        (expected,) = torch.autograd.grad(z.sum(), x)
        torch.testing.assert_close(slope, expected.log(), rtol=1e-8, atol=1e-8)


def test_zero_gives_nearly_the_identity(scalar):
    x = torch.linspace(-2, 2, 41, dtype=DOUBLE)
    z, slope = scalar.forward(x, torch.zeros(41, scalar.n, dtype=DOUBLE))
    assert float((z - x).abs().max()) < 0.5
    assert float(slope.abs().max()) < 0.5


def test_first_and_second_derivatives_are_finite_at_extreme_inputs(scalar):
    v = torch.tensor([0.0, 1.0, -1.0, 5.0, -5.0, 1e3, -1e3, 1e6], dtype=DOUBLE)
    for run in (scalar.forward, scalar.inverse):
        for size in (0.0, 1.0):
            x, p = v.clone().requires_grad_(), parameters(scalar, len(v), size).requires_grad_()
            image, slope = run(x.clamp(-100, 100) if run == scalar.inverse else x, p)
            first = torch.autograd.grad(image.sum() + slope.sum(), (x, p), create_graph=True)
            second = torch.autograd.grad(sum(g.sum() for g in first), (x, p), materialize_grads=True)
            assert all(bool(g.isfinite().all()) for g in (image, slope, *first, *second))


def test_gradients_of_inverses_are_those_of_the_implicit_function(scalar):
    z, p = numbers(50, 2.0).requires_grad_(), parameters(scalar, 50).requires_grad_()
    x, _ = scalar.inverse(z, p)
    weights = numbers(50)
    of_z, of_p = torch.autograd.grad((weights * x).sum(), (z, p))
    image, log_slope = scalar.forward(x.detach(), p)
    per_slope = weights * (-log_slope).exp().detach()
    (expected,) = torch.autograd.grad(-(per_slope * image).sum(), p)
    torch.testing.assert_close(of_z, per_slope, rtol=1e-7, atol=1e-9)
    torch.testing.assert_close(of_p, expected, rtol=1e-7, atol=1e-9)


def test_inverses_have_second_derivatives():
    for scalar in (DeepSigmoidal(2),):
        z, p = numbers(3).requires_grad_(), parameters(scalar, 3).requires_grad_()
        assert torch.autograd.gradgradcheck(scalar.inverse, (z, p))


def test_a_bad_guess_of_the_interval_is_made_wider():
    z = torch.tensor([-1e6, 0.0, 1e6], dtype=DOUBLE)
    x, slope = monotone_inverse(
        lambda x: (x**3 + x, (3 * x**2 + 1).log()), z, z.new_full((3,), 5.0), z.new_full((3,), 6.0)
    )
    torch.testing.assert_close(x**3 + x, z)
    torch.testing.assert_close(slope, -(3 * x**2 + 1).log())


def test_a_map_that_is_not_onto_raises_one_sentence():
    z = torch.tensor([0.5, 2.0])
    low, high = -torch.ones(2), torch.ones(2)
    with pytest.raises(
        InversionError, match=r"^tanh has no inverse at 2, because it does not reach this value between "
    ):
        monotone_inverse(lambda x: (x.tanh(), -2 * x.cosh().log()), z, low, high, "tanh")


def test_a_number_that_is_not_finite_has_no_error():
    x, _ = DeepSigmoidal(2).inverse(torch.tensor([float("nan"), 0.0]), torch.zeros(2, 6))
    assert x.isfinite().tolist() == [False, True]


@pytest.mark.parametrize(
    "make", [lambda: DeepSigmoidal(0), lambda: DeepSigmoidal(2, 0), lambda: DeepSigmoidal(2, bound=0.0)]
)
def test_sizes_are_checked(make):
    with pytest.raises(SpecError, match="expected"):
        make()


@pytest.mark.parametrize(("layers", "nodes"), [(1, 48), (2, 96)])
def test_the_sum_of_a_steep_network_has_the_slope_of_the_integral(layers, nodes):
    scalar = IntegratedNetwork(layers=layers, nodes=nodes)
    x = torch.linspace(-5, 5, 300, dtype=DOUBLE, requires_grad=True)
    z, slope = scalar.forward(x, parameters(scalar, 300, 10.0))
    (expected,) = torch.autograd.grad(z.sum(), x)
    assert float((slope.detach() - expected.log()).abs().max()) < 1e-8


@pytest.mark.parametrize("kind", ["quadratic", "cubic", "linear-rational"])
def test_slopes_of_splines_are_continuous(kind):
    scalar = PiecewiseSpline(kind, 4, 3.0)
    x = torch.linspace(-4, 4, 40_001, dtype=DOUBLE)
    slope = scalar.forward(x, parameters(scalar, 1, 0.5).expand(len(x), -1))[1]
    assert float(slope.diff().abs().max()) < 1e-2


def test_squared_polynomials_and_tails_of_degree_zero_are_straight_lines():
    x, p = numbers(20, 10.0), parameters(SumOfSquares(degree=0), 20)
    z, slope = SumOfSquares(degree=0).forward(x, p)
    torch.testing.assert_close(z, p[:, -1] + slope.exp() * x)


def test_bernstein_polynomials_are_those_of_scipy():
    interpolate = pytest.importorskip("scipy.interpolate")
    scalar, p = Bernstein(2.0, 6), parameters(Bernstein(2.0, 6), 1)
    steps = torch.nn.functional.softplus(p[0, :-1] + torch.expm1(torch.tensor(0.999, dtype=DOUBLE)).log()) + 1e-3
    c = 4 / 6 * (torch.cat([torch.zeros(1), steps.cumsum(0)]) - steps.sum() / 2) + p[0, -1]
    x = torch.linspace(-2, 2, 17, dtype=DOUBLE)
    expected = interpolate.BPoly(c.numpy()[:, None], [-2.0, 2.0])(x.numpy())
    torch.testing.assert_close(scalar.forward(x, p.expand(17, -1))[0], torch.from_numpy(expected))


def test_bent_lines_are_the_published_functions():
    stats = pytest.importorskip("scipy.stats")
    y = torch.linspace(-6, 6, 25, dtype=DOUBLE)
    for power in (0.3, 1.0, 1.7):
        expected = torch.from_numpy(stats.yeojohnson(y.numpy(), power))
        torch.testing.assert_close(yeo_johnson(y, torch.full_like(y, power))[0], expected)
    a = torch.full_like(y, -1.3)
    torch.testing.assert_close(stretched(y, a)[0], torch.asinh(a.exp() * torch.sinh(y)))
    for bend in (-0.9, 2.0, 7.9):
        z = y + bend * y / (1 + y**2)
        torch.testing.assert_close(cubic_rational_inverse(z, torch.full_like(y, bend))[0], y, rtol=1e-6, atol=1e-6)


def test_bent_lines_with_sinh_go_on_without_a_jump():
    for end in (FAR, -FAR):
        y = torch.tensor([end - 1e-9, end + 1e-9], dtype=DOUBLE)
        for a in (-4.0, 0.0, 4.0):
            w, slope = stretched(y, torch.full_like(y, a))
            assert abs(float(w.diff())) < 1e-8
            assert abs(float(slope.diff())) < 1e-8
