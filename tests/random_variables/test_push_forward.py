"""Push-forwards beside closed forms, SciPy, and samples."""

import math

import numpy as np
import pytest
import torch
from scipy import integrate, stats
from torch import distributions as td
from torch.distributions import constraints

import pushforward as pf
from pushforward.core import Real
from pushforward.errors import DomainError, FlowError, ShapeError, SpecError
from pushforward.random_variables import (
    Branch,
    DiscreteTable,
    PushForward,
    branches,
    discrete,
    expectation,
    linear,
    monotone,
    sum_of,
    tabulate,
)

INF = math.inf
N = 100_000
# One per cent level of the Kolmogorov-Smirnov statistic.
KS = 1.63 / math.sqrt(N)


def number(x):
    return torch.tensor(x, dtype=torch.float64)


def squared_uniform(derivative=None):
    return monotone(td.Uniform(number(0.0), number(2.0)), torch.square, torch.sqrt, derivative)


def squared_normal():
    pieces = [
        Branch(-INF, 0.0, torch.square, lambda y: -y.sqrt()),
        Branch(0.0, INF, torch.square, torch.sqrt),
    ]
    return branches(td.Normal(number(0.0), number(1.0)), pieces)


def ks(distribution, seed=0):
    torch.manual_seed(seed)
    x = distribution.sample((N,)).double().sort().values
    cdf = distribution.cdf(x)
    steps = torch.arange(N + 1, dtype=torch.float64) / N
    return max((cdf - steps[:-1]).abs().max().item(), (steps[1:] - cdf).abs().max().item())


# One dimension


@pytest.mark.parametrize("derivative", [None, lambda y: 0.5 / y.sqrt()])
def test_square_of_a_uniform(derivative):
    y = squared_uniform(derivative)
    points = number([1e-6, 0.3, 1.0, 2.5, 3.999])
    torch.testing.assert_close(y.log_prob(points), -torch.log(4 * points.sqrt()))
    torch.testing.assert_close(y.cdf(points), points.sqrt() / 2)
    torch.testing.assert_close(y.icdf(points / 4), points**2 / 4)
    torch.testing.assert_close(y.log_prob(number([-1.0, 4.5, INF])), number([-INF] * 3))
    torch.testing.assert_close(y.cdf(number([-1.0, 0.0, 4.0, 9.0])), number([0.0, 0.0, 1.0, 1.0]))
    assert y.log_prob(number(0.0)) == INF
    assert (y.support.base_constraint if hasattr(y.support, "base_constraint") else y.support).upper_bound == 4
    assert y.exactness == pf.Exactness.EXACT


def test_moments_and_entropy_of_the_square_of_a_uniform():
    y = squared_uniform()
    assert y.mean.item() == pytest.approx(4 / 3, abs=1e-10)
    assert y.variance.item() == pytest.approx(64 / 45, abs=1e-10)
    assert y.entropy().item() == pytest.approx(math.log(4) + (math.log(4) - 2) / 2, abs=1e-8)
    assert y.entropy().item() == pytest.approx(1.07944, abs=1e-5)


def test_draws_of_the_square_of_a_uniform():
    y = squared_uniform()
    assert ks(y) < KS
    torch.manual_seed(1)
    x = y.sample((N,))
    assert abs(x.mean().item() - 4 / 3) < 4 * math.sqrt(64 / 45 / N)


def test_push_forward_rule_equals_the_integral_of_the_claimed_density():
    y = monotone(td.Gumbel(number(0.0), number(1.0)), torch.exp, torch.log)
    value, error = expectation(y, lambda t: 1 / (1 + t))
    claimed, _ = integrate.quad(lambda t: math.exp(y.log_prob(number(t)).item()) / (1 + t), 0, INF, limit=400)
    assert value.item() == pytest.approx(claimed, abs=1e-7)
    assert error.item() < 1e-7


@pytest.mark.parametrize(
    ("base", "function", "truth"),
    [
        (td.Normal(number(100.0), number(0.01)), lambda x: (x - 100) ** 4, 3e-8),
        (td.Exponential(number(3.0)), torch.square, 2 / 9),
        (td.Beta(number(0.5), number(0.5)), lambda x: x, 0.5),
        (td.StudentT(number(5.0)), torch.square, 5 / 3),
        (td.Poisson(number(4.0)), torch.square, 20.0),
        (td.Binomial(10, number(0.3)), lambda x: x, 3.0),
    ],
)
def test_expectations(base, function, truth):
    value, error = expectation(base, function)
    assert value.item() == pytest.approx(truth, rel=1e-6)
    assert error.item() < 1e-6 * max(1, truth)


def test_expectation_of_a_batch():
    base = td.Normal(number([0.0, 2.0]), number([1.0, 3.0]))
    torch.testing.assert_close(expectation(base, torch.square).value, number([1.0, 13.0]))


@pytest.mark.parametrize(
    ("y", "truth"),
    [
        (monotone(td.Normal(number(0.3), number(0.5)), torch.exp, torch.log), stats.lognorm(0.5, scale=math.exp(0.3))),
        (
            monotone(td.Uniform(number(0.0), number(1.0)), lambda u: -u.log(), lambda y: (-y).exp(), increasing=False),
            stats.expon(),
        ),
        (
            monotone(td.Exponential(number(1.0)), lambda x: 1 / x, lambda y: 1 / y, increasing=False),
            stats.invgamma(1),
        ),
        (linear(td.Normal(number(1.0), number(2.0)), -3.0, 0.5), stats.norm(-2.5, 6)),
        (linear(td.Gamma(number(2.0), number(1.0)), number(2.0)), stats.gamma(2, scale=2)),
        (squared_normal(), stats.chi2(1)),
    ],
    ids=["lognormal", "decreasing", "inverse", "location-scale", "gamma", "chi-square"],
)
def test_beside_scipy(y, truth):
    points = number(truth.ppf(np.linspace(0.01, 0.99, 23)))
    np.testing.assert_allclose(y.log_prob(points), truth.logpdf(points), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(y.cdf(points), truth.cdf(points), rtol=1e-7, atol=1e-12)
    if not isinstance(y.base, td.Gamma):
        np.testing.assert_allclose(y.icdf(number(truth.cdf(points))), points, rtol=1e-6)
    assert ks(y) < KS


def test_piecewise_with_different_images():
    # A tent on [0, 1], 2x up to 1/2 and then (1 - x): the images are [0, 1] and [0, 1/2].
    pieces = [
        Branch(0.5, 1.0, lambda x: 1 - x, lambda y: 1 - y),
        Branch(0.0, 0.5, lambda x: 2 * x, lambda y: y / 2),
    ]
    y = branches(td.Uniform(number(0.0), number(1.0)), pieces)
    density = y.log_prob(number([0.2, 0.7, 1.1])).exp()
    torch.testing.assert_close(density, number([1.5, 0.5, 0.0]))
    torch.testing.assert_close(y.cdf(number([0.2, 0.5, 0.7, 1.0])), number([0.3, 0.75, 0.85, 1.0]))
    torch.testing.assert_close(y.icdf(number([0.3, 0.85])), number([0.2, 0.7]))
    assert ks(y) < KS


def test_three_branches_have_total_mass_one():
    # x^3 - 3x turns at -1 and 1.
    def inverse(k):
        # Viete's formula where there are three roots; outside, the one real root by hyperbolic functions.
        def s(y):
            inside = 2 * torch.cos((torch.acos((y / 2).clamp(-1, 1)) - 2 * math.pi * k) / 3)
            size = (y.abs() / 2).clamp_min(1)
            outside = 2 * y.sign() * torch.cosh(torch.acosh(size) / 3)
            return torch.where(y.abs() <= 2, inside, outside)

        return s

    def slope(k):
        return lambda y: 1 / (3 * inverse(k)(y) ** 2 - 3)

    def cubic(x):
        return x**3 - 3 * x

    pieces = [
        Branch(-INF, -1.0, cubic, inverse(2), slope(2), increasing=True),
        Branch(-1.0, 1.0, cubic, inverse(1), slope(1)),
        Branch(1.0, INF, cubic, inverse(0), slope(0), increasing=True),
    ]
    y = branches(td.Normal(number(0.0), number(1.0)), pieces)

    def density(t):
        return y.log_prob(number(t)).exp().item()

    mass = sum(
        integrate.quad(density, a, b, limit=200)[0] for a, b in [(-INF, -10), (-10, -2), (-2, 2), (2, 10), (10, INF)]
    )
    assert mass == pytest.approx(1, abs=1e-6)
    assert ks(y) < KS
    assert y.mean.item() == pytest.approx(0, abs=1e-9)
    assert y.variance.item() == pytest.approx(15 - 18 + 9, abs=1e-8)


def test_push_forwards_nest_and_take_batches():
    rate = number([1.0, 2.0, 5.0])
    y = monotone(monotone(td.Exponential(rate), torch.sqrt, torch.square), lambda x: 2 * x, lambda y: y / 2)
    assert y.batch_shape == (3,)
    assert y.sample((4,)).shape == (4, 3)
    points = number([[0.5], [1.0]])
    truth = stats.weibull_min(2, scale=2 / np.sqrt(rate.numpy()))
    np.testing.assert_allclose(y.log_prob(points), truth.logpdf(points.numpy()))
    np.testing.assert_allclose(y.cdf(points), truth.cdf(points.numpy()))
    np.testing.assert_allclose(y.mean, truth.mean(), rtol=1e-8)
    assert y.expand((2, 3)).log_prob(number(1.0)).shape == (2, 3)


def test_one_map_on_all_coordinates_of_an_event():
    base = td.MultivariateNormal(torch.zeros(3).double(), torch.eye(3).double() + 0.5)
    y = monotone(base, torch.exp, torch.log)
    x = base.sample((5,))
    torch.testing.assert_close(y.log_prob(x.exp()), base.log_prob(x) - x.sum(-1))
    assert y.log_prob(number([1.0, -1.0, 2.0])) == -INF


def test_gradients_to_parameters_and_values():
    scale = number(1.5).requires_grad_()
    y = monotone(td.Normal(number(0.0), scale), torch.exp, torch.log)
    point = number(2.0).requires_grad_()
    y.log_prob(point).backward()
    reference = number(1.5).requires_grad_(), number(2.0).requires_grad_()
    td.LogNormal(number(0.0), reference[0]).log_prob(reference[1]).backward()
    torch.testing.assert_close(scale.grad, reference[0].grad)
    torch.testing.assert_close(point.grad, reference[1].grad)
    assert y.rsample((3,)).requires_grad
    assert not y.sample((3,)).requires_grad


def test_bases_of_this_library():
    torch.manual_seed(0)
    flow = pf.build("nsf", features=1, layers=2, hidden=8).double()
    with torch.no_grad():
        for parameter in flow.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    y = monotone(flow.at(), torch.exp, torch.log)
    points = number([[0.5], [2.0]])
    torch.testing.assert_close(y.log_prob(points), flow.log_prob(points.log()) - points.log().squeeze(-1))
    # A spline's density has kinks, and the error estimate shows it.
    mass, error = expectation(flow, torch.ones_like)
    assert mass.item() == pytest.approx(1, abs=1e-3)
    assert abs(mass.item() - 1) < 3 * error.item()
    total = sum_of(flow.float(), td.Normal(0.0, 0.5))
    torch.manual_seed(1)
    x = total.sample((20_000,))
    assert stats.kstest(x.numpy(), lambda t: total.cdf(torch.as_tensor(t)).detach().numpy()).pvalue > 0.01


def test_a_given_support_bounds_the_density():
    y = monotone(
        td.Normal(number(0.0), number(1.0)),
        lambda x: x.exp().clamp_min(0.0),
        lambda y: torch.where(y > 0, y, 1.0).log(),
        support=constraints.positive,
    )
    torch.testing.assert_close(y.log_prob(number([-1.0, 1.0])), number([-INF, -0.5 * math.log(2 * math.pi)]))
    assert y.support is constraints.positive


# Linear maps


def gaussian(d):
    generator = torch.Generator().manual_seed(d)
    a, b = (torch.randn(d, d, generator=generator, dtype=torch.float64) for _ in range(2))
    mean, offset = (torch.randn(d, generator=generator, dtype=torch.float64) for _ in range(2))
    return td.MultivariateNormal(mean, a @ a.mT + torch.eye(d)), b, offset


def test_linear_map_of_a_gaussian_in_five_dimensions():
    base, matrix, offset = gaussian(5)
    y = linear(base, matrix, offset)
    truth = td.MultivariateNormal(matrix @ base.mean + offset, matrix @ base.covariance_matrix @ matrix.mT)
    torch.manual_seed(0)
    x = y.sample((N,))
    torch.testing.assert_close(y.log_prob(x[:100]), truth.log_prob(x[:100]))
    torch.testing.assert_close(y.mean, truth.mean)
    torch.testing.assert_close(y.covariance_matrix, truth.covariance_matrix)
    torch.testing.assert_close(y.variance, truth.variance)
    torch.testing.assert_close(x.mean(0), truth.mean, atol=0.05, rtol=0.02)
    distance = torch.linalg.solve(truth.scale_tril, (x - truth.mean).mT).square().sum(0)
    assert stats.kstest(distance.numpy(), stats.chi2(5).cdf).statistic < KS


def test_linear_map_of_independent_coordinates_with_bounds():
    base = td.Independent(td.Uniform(torch.zeros(2).double(), number([1.0, 2.0])), 1)
    y = linear(base, number([[2.0, 1.0], [0.0, -1.0]]), number([1.0, 0.0]))
    torch.testing.assert_close(y.log_prob(number([[2.0, -0.5], [0.0, 0.0]])), number([-math.log(4), -INF]))
    torch.testing.assert_close(y.covariance_matrix, number([[4 / 12 + 4 / 12, -4 / 12], [-4 / 12, 4 / 12]]))
    assert y.expand((3,)).sample((2,)).shape == (2, 3, 2)


def test_linear_map_of_a_flow():
    flow = pf.build("maf", features=2, layers=1, hidden=(8,)).double()
    _, matrix, offset = gaussian(2)
    y = linear(flow, matrix, offset)
    x = torch.randn(6, 2, dtype=torch.float64)
    log_determinant = torch.linalg.det(matrix).abs().log()
    torch.testing.assert_close(y.log_prob(x @ matrix.mT + offset), flow.log_prob(x) - log_determinant)
    with pytest.raises(NotImplementedError):
        _ = y.mean


# Discrete variables


def test_discrete_push_forward_adds_probabilities():
    y = discrete(td.Categorical(number([0.1, 0.2, 0.3, 0.4])), lambda x: (x - 1).square())
    torch.testing.assert_close(y.values, number([0.0, 1.0, 4.0]))
    torch.testing.assert_close(y.probabilities, number([0.2, 0.4, 0.4]))
    torch.testing.assert_close(y.log_prob(torch.tensor([0, 1, 2])), number([0.2, 0.4, 0.0]).log())
    torch.testing.assert_close(y.cdf(number([-1.0, 0.0, 3.9, 4.0])), number([0.0, 0.2, 0.6, 1.0]))
    torch.testing.assert_close(y.icdf(number([0.1, 0.3, 0.9])), number([0.0, 1.0, 4.0]))
    assert y.exactness == pf.Exactness.EXACT


def test_tables_of_infinite_supports_say_what_they_leave_out():
    table = tabulate(td.Poisson(number(1000.0)))
    assert 0 < table.error < 1e-9
    assert table.exactness == pf.Exactness.LOWER
    assert table.mean.item() == pytest.approx(1000)
    assert table.variance.item() == pytest.approx(1000)
    assert table.entropy().item() == pytest.approx(stats.poisson(1000).entropy(), abs=1e-6)
    values = torch.arange(900, 1100).double()
    np.testing.assert_allclose(table.log_prob(values), stats.poisson(1000).logpmf(values), rtol=1e-8)


# Sums


def test_sum_of_poisson_variables():
    y = sum_of(td.Poisson(number(2.0)), td.Poisson(number(3.5)))
    values = torch.arange(25).double()
    np.testing.assert_allclose(y.log_prob(values), stats.poisson(5.5).logpmf(values), rtol=1e-9)
    torch.manual_seed(0)
    counts = torch.bincount(y.sample((N,)).long())[:12].numpy()
    expected = N * stats.poisson(5.5).pmf(np.arange(12))
    assert stats.chi2(12).sf(((counts - expected) ** 2 / expected).sum()) > 0.01


def test_sum_of_finite_tables_is_exact():
    die = discrete(td.Categorical(torch.ones(6).double()), lambda x: x + 1)
    y = sum_of(die, die, die)
    assert y.exactness == pf.Exactness.EXACT
    torch.testing.assert_close(y.log_prob(number([3.0, 10.0, 18.0, 19.0])).exp(), number([1, 27, 1, 0]) / 216)
    half = DiscreteTable(number([0.0, 0.5]), number([0.25, 0.75]))
    torch.testing.assert_close(sum_of(half, die).log_prob(number(1.5)).exp(), number(0.75 / 6))
    y = sum_of(td.Bernoulli(number(0.3)), td.Binomial(4, number(0.3)))
    np.testing.assert_allclose(y.probabilities, stats.binom(5, 0.3).pmf(range(6)))


def test_sum_of_two_uniforms_is_the_triangle():
    y = sum_of(td.Uniform(number(0.0), number(1.0)), td.Uniform(number(0.0), number(1.0)))
    points = number([0.01, 0.37, 0.5, 1.0, 1.234, 1.9])
    torch.testing.assert_close(y.log_prob(points).exp(), 1 - (points - 1).abs(), atol=1e-9, rtol=0)
    truth = torch.where(points < 1, points**2 / 2, 1 - (2 - points) ** 2 / 2)
    torch.testing.assert_close(y.cdf(points), truth, atol=1e-9, rtol=0)
    torch.testing.assert_close(y.icdf(truth), points, atol=1e-8, rtol=0)
    torch.testing.assert_close(y.log_prob(number([-0.1, 2.1])), number([-INF, -INF]))
    assert ks(y) < KS
    assert y.exactness == pf.Exactness.LOWER | pf.Exactness.UPPER


@pytest.mark.parametrize(
    ("summands", "truth"),
    [
        ([td.Exponential(number(1.0))] * 2, stats.gamma(2)),
        ([td.Exponential(number(1.0)), td.Gamma(number(2.5), number(1.0)), td.Exponential(1.0)], stats.gamma(4.5)),
        ([td.Normal(number(1.0), number(1.0)), td.Normal(-3.0, 0.1)], stats.norm(-2, math.sqrt(1.01))),
        ([td.Beta(number(2.0), number(3.0)), td.Normal(0.0, 5.0)], None),
        ([td.Uniform(0.0, 1.0)] * 5, stats.irwinhall(5)),
        ([squared_normal(), squared_normal()], stats.chi2(2)),
    ],
    ids=["gamma", "three", "normal", "no cdf", "irwin-hall", "pole"],
)
def test_sums_of_continuous_variables(summands, truth):
    # Cells beside a pole hold the square root of their width.
    tolerance = 1e-4 if any(isinstance(s, PushForward) for s in summands) else 1e-6
    y = sum_of(*summands, tolerance=tolerance)
    assert y.error <= tolerance
    assert ks(y) < KS
    if truth is None:
        return
    points = number(truth.ppf(np.linspace(0.02, 0.98, 13)))
    np.testing.assert_allclose(y.cdf(points), truth.cdf(points), atol=tolerance)
    np.testing.assert_allclose(y.log_prob(points).exp(), truth.pdf(points), atol=2e-4)
    fine = number(np.linspace(*truth.support() if np.isfinite(truth.support()).all() else (-9.0, 50.0), 20_001))
    assert torch.trapezoid(y.log_prob(fine).exp(), fine).item() == pytest.approx(1, abs=2e-3)


def test_a_smaller_tolerance_is_kept():
    y = sum_of(td.Exponential(number(1.0)), td.Exponential(number(1.0)), tolerance=1e-8)
    points = number([0.1, 1.0, 4.0])
    np.testing.assert_allclose(y.cdf(points), stats.gamma(2).cdf(points), atol=1e-8)
    np.testing.assert_allclose(y.log_prob(points), stats.gamma(2).logpdf(points), atol=1e-6)


def test_sum_of_a_discrete_and_a_continuous_variable():
    y = sum_of(td.Normal(number(0.0), number(0.5)), td.Bernoulli(number(0.25)), td.Bernoulli(number(0.25)))
    points = number([-1.0, 0.3, 2.2])
    weights, shifts = np.array([0.5625, 0.375, 0.0625]), np.arange(3)
    truth = stats.norm(0, 0.5)
    shifted = points.numpy()[:, None] - shifts
    np.testing.assert_allclose(y.log_prob(points).exp(), truth.pdf(shifted) @ weights)
    np.testing.assert_allclose(y.cdf(points), truth.cdf(shifted) @ weights)
    assert y.exactness == pf.Exactness.EXACT
    assert y.mean.item() == pytest.approx(0.5)
    assert y.variance.item() == pytest.approx(0.25 + 2 * 0.1875)
    assert ks(y) < KS


def test_mean_and_gradients_of_a_sum():
    rate = number(2.0).requires_grad_()
    y = sum_of(td.Exponential(rate), td.Uniform(number(0.0), number(1.0)))
    assert y.mean.item() == pytest.approx(1)
    assert y.variance.item() == pytest.approx(0.25 + 1 / 12)
    assert y.rsample((4,)).requires_grad


def test_probing_leaves_the_random_state_alone():
    torch.manual_seed(3)
    before = torch.get_rng_state()
    squared_uniform().mean.item()
    sum_of(td.Normal(0.0, 1.0), td.Normal(0.0, 1.0)).log_prob(torch.zeros(2))
    assert torch.equal(before, torch.get_rng_state())


# Bad input

UNIT = td.Uniform(0.0, 1.0)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: monotone("normal", torch.exp, torch.log), SpecError, "expected a distribution"),
        (lambda: monotone(td.Poisson(1.0), torch.exp, torch.log), SpecError, "continuous base.*`discrete`"),
        (lambda: monotone(td.Normal(0.0, 1.0), torch.square, torch.sqrt), SpecError, "increasing on the base's draws"),
        (lambda: monotone(UNIT, lambda x: -x, lambda y: -y), SpecError, "pass increasing=False"),
        (lambda: monotone(UNIT, lambda x: 2 * x, lambda y: y), SpecError, r"map\(inverse\(y\)\) = y"),
        (lambda: monotone(td.Dirichlet(torch.ones(3)), torch.exp, torch.log), SpecError, "separate supports"),
        (
            lambda: monotone(UNIT, torch.exp, lambda y: y.detach().log()).log_prob(torch.tensor(1.5)),
            SpecError,
            "pass derivative=",
        ),
        (lambda: squared_uniform().log_prob(number(math.nan)), DomainError, "got NaN"),
        (lambda: squared_normal().cdf(number(math.nan)), DomainError, "got NaN"),
        (
            lambda: monotone(td.Normal(torch.zeros(3), 1.0), torch.exp, torch.log).log_prob(torch.ones(2)),
            ShapeError,
            "broadcasts",
        ),
        (
            lambda: branches(td.Normal(0.0, 1.0), [Branch(0.0, INF, torch.square, torch.sqrt)]),
            SpecError,
            "cover the base's support",
        ),
        (
            lambda: branches(UNIT, [Branch(0.0, 0.7, torch.exp, torch.log), Branch(0.5, 1.0, torch.exp, torch.log)]),
            SpecError,
            "do not overlap",
        ),
        (lambda: branches(UNIT, []), SpecError, "cover the base's support"),
        (lambda: linear(gaussian(2)[0], torch.ones(2, 2)), SpecError, "invertible matrix, got one of rank 1 of 2"),
        (lambda: linear(gaussian(2)[0], torch.eye(3)), ShapeError, r"shape \(2, 2\), got \(3, 3\)"),
        (lambda: linear(gaussian(2)[0], torch.eye(2), torch.ones(3)), ShapeError, "offset"),
        (lambda: linear(td.Normal(torch.zeros(2), 1.0), torch.eye(2)), ShapeError, "Independent"),
        (lambda: linear(td.Normal(0.0, 1.0), 0.0), SpecError, "scale other than 0"),
        (lambda: linear(gaussian(2)[0], torch.eye(2)).log_prob(torch.ones(3)), ShapeError, "got \\(3,\\)"),
        (lambda: linear(td.Multinomial(3, torch.ones(2)), torch.eye(2)), SpecError, "continuous base"),
        (lambda: discrete(UNIT, torch.exp), SpecError, "expected a discrete distribution"),
        (lambda: sum_of(UNIT), SpecError, "at least two"),
        (lambda: sum_of(UNIT, UNIT, tolerance=0.0), SpecError, "tolerance between 0 and 1"),
        (lambda: sum_of(UNIT, td.Normal(torch.zeros(2), 1.0)), ShapeError, "distribution of one number"),
        (lambda: sum_of(UNIT, td.Cauchy(0.0, 1.0)), DomainError, "pass a larger tolerance"),
        (lambda: expectation(gaussian(2)[0], torch.exp), ShapeError, "distribution of numbers"),
        (lambda: DiscreteTable(torch.arange(2.0), torch.tensor([0.5, 0.6])), DomainError, "add up to 1"),
        (lambda: DiscreteTable(torch.arange(2.0), torch.ones(3)), ShapeError, "as many values"),
        (lambda: sum_of(pf.distributions.Normal(Real((2,))), UNIT), ShapeError, "event shape \\(2,\\)"),
    ],
)
def test_bad_input_gets_one_sentence(make, error, message):
    with pytest.raises(error, match=message) as caught:
        make()
    assert isinstance(caught.value, FlowError)
    assert "\n" not in str(caught.value)
