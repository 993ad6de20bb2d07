"""Pair copulas, Student's t and tails against SciPy, quadrature and autograd."""

import math

import numpy as np
import pytest
import scipy.stats
import torch

from pushforward.core import Box, Real, initialise
from pushforward.distributions import VineCopula
from pushforward.errors import DataError, SpecError
from pushforward.functional.kernel_copula import kernel_fit, kernel_h, kernel_h_inverse, nodes_like, trapezoid
from pushforward.functional.pair_copulas import FAMILIES, KERNEL, NAMES
from pushforward.functional.pareto_tails import hill, pareto_fit, tail_fit
from pushforward.functional.student_t import student_cdf, student_quantile
from pushforward.functional.vine_fit import Pair, VinePart, fit_pair, kendall, pair_h, pair_log_density

CASES = [
    ("gaussian", (0.7,)),
    ("gaussian", (-0.95,)),
    ("student", (-0.5, 4.0)),
    ("clayton", (2.0,)),
    ("clayton", (25.0,)),
    ("gumbel", (1.05,)),
    ("gumbel", (3.0,)),
    ("frank", (0.05,)),
    ("frank", (33.0,)),
]


def points(n=200, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(2, n, generator=generator, dtype=torch.float64) * 0.98 + 0.01


def free_of(family, theta):
    shares = [(t - low) / (high - low) for t, (low, high) in zip(theta, family.ranges, strict=True)]
    logits = [math.log(s / (1 - s)) for s in shares]
    return torch.tensor([*logits, 0.0][:2], dtype=torch.float64)


@pytest.mark.parametrize(("name", "theta"), CASES)
@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_h_functions_are_derivatives_with_inverses(name, theta, rotation):
    number = NAMES.index(name)
    free = free_of(FAMILIES[number], theta)
    u, v = points()
    leaf = v.clone().requires_grad_()
    h = pair_h(number, rotation, free, None, leaf, u)
    (slope,) = torch.autograd.grad(h.sum(), leaf)
    log_density = pair_log_density(number, rotation, free, None, u, v)
    # Where h is near 0 or 1 its derivative loses digits of the difference.
    sure = (h > 1e-6) & (h < 1 - 1e-6)
    assert torch.allclose(slope[sure], log_density.exp()[sure], rtol=1e-6)
    # The same for the other variable: h(u | v) has the rotation of the exchanged pair.
    leaf = u.clone().requires_grad_()
    turned = Pair(number, rotation).turned().rotation
    (slope,) = torch.autograd.grad(pair_h(number, turned, free, None, leaf, v).sum(), leaf)
    assert torch.allclose(slope[sure], log_density.exp()[sure], rtol=1e-5)
    model = VineCopula(Box((2,), 0.0, 1.0)).double()
    back = model._inverse(number, rotation, free, None, h.detach(), u)
    assert torch.allclose(back[sure], v[sure], atol=1e-6)


@pytest.mark.parametrize("df", [2.0, 3.3, 20.0, 51.0])
def test_student_t_is_that_of_scipy(df):
    u = torch.cat([torch.tensor([1e-12, 1e-6, 0.5, 1 - 1e-6], dtype=torch.float64), points()[0]])
    x = scipy.stats.t.ppf(u.numpy(), df)
    freedom = torch.tensor(df, dtype=torch.float64)
    assert np.allclose(student_quantile(u, freedom).numpy(), x, rtol=1e-9, atol=1e-12)
    assert np.allclose(student_cdf(torch.from_numpy(x), freedom).numpy(), u.numpy(), rtol=1e-11)


def test_student_t_has_gradients_in_the_degrees_of_freedom():
    u = points(8)[0].requires_grad_()
    df = torch.tensor(4.0, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(student_quantile, (u, df))
    assert torch.autograd.gradcheck(lambda x, v: student_cdf(4 * x - 2, v), (u, df))


def test_densities_are_those_of_pyvinecopulib():
    peer = pytest.importorskip("pyvinecopulib")
    u, v = points()
    pair = torch.stack([u, v], 1).numpy()
    for name, theta in CASES:
        for rotation in (0, 90, 180, 270) if name in ("clayton", "gumbel") else (0,):
            other = peer.Bicop(
                family=getattr(peer.BicopFamily, name), parameters=np.array(theta)[:, None], rotation=rotation
            )
            free = free_of(FAMILIES[NAMES.index(name)], theta)
            own = pair_log_density(NAMES.index(name), rotation, free, None, u, v)
            assert np.allclose(own.numpy(), np.log(other.pdf(pair)), atol=1e-8), (name, rotation)


def drawn(name, theta, rotation, n, seed=1):
    u, w = (points(n, seed) - 0.01) / 0.98
    family = FAMILIES[NAMES.index(name)]
    v = VineCopula._inverse(NAMES.index(name), rotation, free_of(family, theta), None, w, u)
    return u, v


@pytest.mark.parametrize(
    ("name", "theta", "rotation"),
    [("clayton", (2.0,), 270), ("gumbel", (2.0,), 180), ("frank", (6.0,), 90), ("student", (0.6, 3.0), 0)],
)
def test_the_fit_finds_the_family(name, theta, rotation):
    pair = fit_pair(*drawn(name, theta, rotation, 1500), families=range(KERNEL))
    assert (NAMES[pair.family], pair.rotation) == (name, rotation)
    found = FAMILIES[pair.family].parameters(torch.tensor(pair.free, dtype=torch.float64))
    assert float(found[0]) == pytest.approx(theta[0], rel=0.15)


def test_kernel_copula_has_uniform_margins_and_follows_the_data():
    u, v = drawn("clayton", (2.0,), 0, 1500)
    grid, count = kernel_fit(u, v)
    weights = trapezoid(nodes_like(u))
    assert torch.allclose(weights @ grid, torch.ones(len(grid), dtype=torch.float64), atol=1e-4)
    free = torch.zeros(2, dtype=torch.float64)
    true = free_of(FAMILIES[NAMES.index("clayton")], (2.0,))
    gap = pair_log_density(NAMES.index("clayton"), 0, true, None, u, v) - pair_log_density(KERNEL, 0, free, grid, u, v)
    assert abs(float(gap.mean())) < 0.05
    w = points(len(u), 5)[0]
    assert torch.allclose(kernel_h(grid, kernel_h_inverse(grid, w, u), u), w, atol=1e-12)
    assert 10 < count < 200


def test_a_vine_finds_the_dependence_of_four_columns():
    truth = VineCopula(Box((4,), 0.0, 1.0)).double()
    clayton, gaussian = NAMES.index("clayton"), NAMES.index("gaussian")
    strong = tuple(free_of(FAMILIES[clayton], (3.0,)).tolist())
    weak = tuple(free_of(FAMILIES[gaussian], (0.3,)).tolist())
    chain = [
        VinePart(k, tuple(range(k))[::-1], (Pair(clayton, 0, strong), Pair(gaussian, 0, weak), Pair())[:k])
        for k in range(4)
    ]
    truth.set_parts(chain)
    torch.manual_seed(0)
    x, held = truth.sample(1000), truth.sample(2000)
    model = VineCopula(Box((4,), 0.0, 1.0), families=("independence", "gaussian", "clayton")).double()
    initialise(model, x)
    with torch.no_grad():
        assert abs(float((truth.log_prob(held) - model.log_prob(held)).mean())) < 0.05
        samples = model.sample(2000)
        assert abs(kendall(samples[:, 0], samples[:, 3]) - kendall(held[:, 0], held[:, 3])) < 0.08
    assert model.pairs()[0]["family"] == "clayton"


def gaussian_vine():
    """A vine of three Gaussian copulas whose last variable needs F(1 | 0), in an order that is not that of the columns."""
    number = NAMES.index("gaussian")
    pairs = [Pair(number, 0, tuple(free_of(FAMILIES[number], (r,)).tolist())) for r in (0.6, -0.5, 0.4)]
    model = VineCopula(Box((3,), 0.0, 1.0)).double()
    model.set_parts([VinePart(1, (), ()), VinePart(0, (1,), (pairs[0],)), VinePart(2, (0, 1), tuple(pairs[1:]))])
    return model


def test_a_gaussian_vine_is_a_gaussian_copula():
    model = gaussian_vine()
    r01, r02, partial = 0.6, -0.5, 0.4
    r12 = partial * math.sqrt((1 - r01**2) * (1 - r02**2)) + r01 * r02
    correlation = np.array([[1, r01, r02], [r01, 1, r12], [r02, r12, 1]])
    torch.manual_seed(0)
    u = model.sample(4000)
    z = scipy.stats.norm.ppf(u.numpy())
    expected = scipy.stats.multivariate_normal(cov=correlation).logpdf(z) - scipy.stats.norm.logpdf(z).sum(1)
    assert np.allclose(model.log_prob(u).detach().numpy(), expected, atol=1e-8)
    assert np.abs(np.corrcoef(z.T) - correlation).max() < 0.06


def test_a_loaded_vine_has_its_structure():
    model, fresh = gaussian_vine(), VineCopula(Box((3,), 0.0, 1.0)).double()
    fresh.load_state_dict(model.state_dict())
    u = model.sample(20)
    assert torch.equal(fresh.log_prob(u), model.log_prob(u))


def test_bad_vines_are_refused_in_one_sentence():
    model = VineCopula(Real((2,)))
    with pytest.raises(DataError, match="column 2; leave it out"):
        initialise(model, torch.stack([torch.randn(30), torch.ones(30)], 1))
    with pytest.raises(SpecError, match="unit cube or real vectors"):
        VineCopula(Box((2,), 0.0, 2.0))
    with pytest.raises(SpecError, match="got joe"):
        VineCopula(Real((2,)), families=("joe",))
    with torch.no_grad():
        model.free[1, 0, 0] = 30.0
    assert model.at_bounds() == [
        "The gaussian copula of columns 1 and 2 has the parameter 0.9999, at the end of its range -0.9999 to 0.9999."
    ]
    assert model.at_bounds(["a", "b"])[0].startswith("The gaussian copula of columns a and b has")


def test_tail_estimates_find_a_pareto_index():
    x = (torch.rand(20_000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)) ** -0.3
    assert pareto_fit(x[x > 1.5] - 1.5)[0] == pytest.approx(0.3, abs=0.05)
    assert hill(x, 2000).index == pytest.approx(0.3, abs=0.02)
    fit = tail_fit(x)
    assert fit.heavy
    assert fit.index == pytest.approx(0.3, abs=0.04)
    assert not tail_fit(-x).heavy
    assert not tail_fit(torch.randn(5000, generator=torch.Generator().manual_seed(0))).heavy


def test_kernel_copula_is_judged_on_the_rows_to_which_it_is_fitted():
    torch.manual_seed(0)
    scores = torch.randn(12_000, 2, dtype=torch.float64)
    scores[:, 1] = 0.12 * scores[:, 0] + math.sqrt(1 - 0.12**2) * scores[:, 1]
    u, v = torch.special.ndtr(scores).unbind(1)
    # With 3,000 rows, the gain is smaller than the effective number of parameters.
    assert fit_pair(u[:3000], v[:3000], families=(0, KERNEL)).family == 0
    assert fit_pair(u, v, families=(0, KERNEL)).family == KERNEL
