"""Flows as posteriors: known integrals, bounds, importance weights, verdicts, bad log-densities, other libraries."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats
import torch
from torch import nn

import pushforward as pf
from pushforward.core import Box, Chain, Flow, Integers, Inverse, Real, Simplex
from pushforward.core.torch_boundary import space_of
from pushforward.distributions import Normal
from pushforward.errors import DataError, DomainError, ShapeError, SpecError
from pushforward.objectives import ForwardKL, PathGradient, Renyi, ReverseKL
from pushforward.posteriors import fit
from pushforward.posteriors.coverage import Coverage, coverage
from pushforward.posteriors.importance_weights import fit_pareto, importance, resample
from pushforward.posteriors.optimise import temperature
from pushforward.posteriors.target import Target
from pushforward.posteriors.verdict import Evidence, verdict
from pushforward.systems import NSF, RealNVP
from pushforward.transforms import Affine, AsTorchTransform, Elementwise, FromTorchTransform, Metropolis

QUICK = {"flow": "gaussian", "steps": 60, "draws": 400, "chains": 0, "samples": 64, "progress": False}


def bumps(x):
    """Two bumps of weight 3 together."""
    one = -0.5 * ((x - torch.tensor([1.0, 0.0], dtype=x.dtype)) / 0.7).square().sum(1)
    two = -0.5 * ((x + torch.tensor([1.0, 0.0], dtype=x.dtype)) / 0.7).square().sum(1)
    return torch.logaddexp(one, two) + math.log(1.5 / (2 * math.pi * 0.49))


def test_a_flow_finds_the_constant_of_a_mixture_and_says_so():
    found = fit(bumps, Real((2,)), layers=2, steps=400, samples=128, draws=2000)
    assert found.log_z.value == pytest.approx(math.log(3), abs=0.02)
    assert found.elbo.value < found.log_z.value + 3 * found.log_z.error
    assert found.ess > 0.8
    assert found.trustworthy, found.verdict
    assert found.draws["x"].shape == (4, 500, 2)
    assert abs(found.draws["x"][..., 0]).mean() == pytest.approx(1.03, abs=0.08)
    assert "k-hat" in str(found)


def test_one_mode_of_two_far_ones_is_not_trusted():
    def far(x):
        return torch.logaddexp(-0.5 * (x - 8).square().sum(1), -0.5 * (x + 8).square().sum(1))

    found = fit(far, Real((2,)), flow="gaussian", steps=400, lr=2e-2, samples=64, draws=2000, anneal=0.0, scale=0.1)
    assert found.coverage is not None
    assert found.coverage.missed > 0.03
    assert not found.trustworthy
    assert "mode is missed" in found.verdict
    # And the weights alone would not have said it.
    assert found.k_hat < 0.7
    assert found.ess > 0.9


def test_gaussian_is_found_exactly_with_path_gradients():
    precision = torch.tensor([[2.0, 0.8], [0.8, 1.0]])

    def log_density(x):
        return -0.5 * torch.einsum("bi,ij,bj->b", x - 3, precision.to(x), x - 3)

    found = fit(
        log_density, Real((2,)), flow="gaussian", objective="path", steps=400, lr=2e-2, dtype=torch.float64, chains=0
    )
    truth = math.log(2 * math.pi) - 0.5 * math.log(float(torch.det(precision)))
    assert found.log_z.value == pytest.approx(truth, abs=1e-3)
    assert found.elbo.value == pytest.approx(truth, abs=2e-3)


def test_named_parameters_with_bounds():
    """A gamma, a beta and a Dirichlet: the constants are known, and so are the means."""

    def log_density(p):
        gamma = torch.distributions.Gamma(3.0, 2.0).log_prob(p["rate"])
        beta = torch.distributions.Beta(2.0, 5.0).log_prob(p["share"]).sum(-1)
        dirichlet = torch.distributions.Dirichlet(
            torch.tensor([2.0, 3.0, 4.0], dtype=p["mix"].dtype), validate_args=False
        )
        return gamma + beta + dirichlet.log_prob(p["mix"]) + math.log(5)

    space = {"rate": Box((), 0.0, math.inf), "share": Box((2,)), "mix": Simplex((3,))}
    found = fit(log_density, space, layers=2, steps=300, samples=128, draws=4000, dtype=torch.float64, chains=0)
    assert found.log_z.value == pytest.approx(math.log(5), abs=0.02)
    assert found.draws["rate"].shape == (4, 1000)
    assert found.draws["mix"].shape == (4, 1000, 3)
    assert found.draws["rate"].mean() == pytest.approx(1.5, abs=0.06)
    assert found.draws["share"].mean() == pytest.approx(2 / 7, abs=0.015)
    assert found.draws["mix"].mean((0, 1)) == pytest.approx(np.array([2, 3, 4]) / 9, abs=0.02)
    values = found.sample(50)
    assert set(values) == set(space)
    assert bool(torch.isfinite(found.log_prob(values)).all())
    with pytest.raises(SpecError, match="one space"):
        _ = found.distribution


def test_target_adds_the_volume_of_bijections():
    target = Target(lambda x: torch.zeros(len(x), dtype=x.dtype), Box((1,), 2.0, math.inf))
    z = torch.linspace(-30, 30, 20_001, dtype=torch.float64)[:, None]
    # The exponential distribution e^-(x - 2) on x > 2 has mass one, on the line too.
    exponential = Target(lambda x: -(x[:, 0] - 2), Box((1,), 2.0, math.inf)).double()
    mass = float(torch.trapezoid(exponential(z).exp(), z[:, 0]))
    assert mass == pytest.approx(1, abs=1e-6)
    near = z[z[:, 0].abs() < 10]
    values, _ = target.constrain(near)
    assert torch.allclose(target.unconstrain(values), near)


def test_draws_carry_over_to_torch_distributions():
    gamma = torch.distributions.Independent(
        torch.distributions.Gamma(torch.tensor([2.0, 5.0]), torch.tensor([1.0, 3.0])), 1
    )
    found = fit(gamma, layers=2, steps=300, samples=128, draws=2000, chains=0)
    assert found.log_z.value == pytest.approx(0, abs=0.02)
    ours = found.distribution.at()
    x = gamma.sample((200,))
    assert float((ours.log_prob(x).detach() - gamma.log_prob(x)).abs().median()) < 0.1
    assert ours.sample((3,)).shape == (3, 2)
    assert bool(ours.support.check(x).all())


@pytest.mark.parametrize("objective", ["reverse-kl", "path", "iwae", "forward-kl"])
def test_every_objective_fits(objective):
    found = fit(bumps, Real((2,)), objective=objective, layers=2, steps=250, samples=128, draws=1000, chains=0)
    assert found.log_z.value == pytest.approx(math.log(3), abs=0.05)
    assert found.ess > 0.5


@pytest.mark.dear
def test_langevin_layers_bound_the_constant():
    found = fit(bumps, Real((2,)), flow="gaussian", langevin=3, steps=250, samples=128, draws=1000)
    assert found.model.exactness.symbol == ">="
    assert found.log_z.value == pytest.approx(math.log(3), abs=0.05)
    with pytest.raises(SpecError, match="exact density"):
        fit(bumps, Real((2,)), langevin=2, objective="path", **QUICK)


def test_divergences_agree_where_they_must():
    torch.manual_seed(0)
    model = RealNVP(features=2, layers=2, hidden=(8,)).build().double()
    nn.init.normal_(
        model.chain.layers[0].net.out.weight if hasattr(model.chain.layers[0], "net") else next(model.parameters()),
        std=0.3,
    )

    def target(x, c=None):
        return bumps(x)

    def gradient(objective, n=40_000):
        torch.manual_seed(1)
        model.zero_grad()
        loss = objective(n)
        loss.backward()
        return loss.detach(), torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])

    plain, g = gradient(ReverseKL(model, target))
    path, h = gradient(PathGradient(model, target))
    assert torch.allclose(plain, path, atol=1e-9)
    assert float((g - h).norm() / g.norm()) < 0.2
    renyi, r = gradient(Renyi(model, target, alpha=1.0, samples=1))
    assert torch.allclose(renyi, plain)
    assert torch.allclose(r, g)
    torch.manual_seed(1)
    bound = -Renyi(model, target, samples=64)(40_000)
    assert float(plain) > -math.log(3)
    assert -float(plain) < float(bound.detach()) < math.log(3) + 0.01
    torch.manual_seed(1)
    loss = ForwardKL(model, target)(20_000).detach()
    torch.manual_seed(2)
    x = torch.where(torch.rand(20_000, 1) < 0.5, 1.0, -1.0) * torch.tensor([1.0, 0.0]) + 0.7 * torch.randn(20_000, 2)
    assert float(loss) == pytest.approx(-float(model.log_prob(x.double()).mean().detach()), abs=0.05)
    with pytest.raises(SpecError, match="alpha >= 0"):
        Renyi(model, target, alpha=-1.0)


def test_path_gradient_vanishes_at_the_target():
    space = Real((2,))
    model = Flow(Inverse(Elementwise(Affine(), space)), Normal(space))
    for kind, zero in ((PathGradient, True), (ReverseKL, False)):
        model.zero_grad()
        kind(model, lambda x, c=None: -0.5 * x.square().sum(1))(64).backward()
        assert (float(model.chain.layer.free.grad.abs().max()) < 1e-6) == zero


def test_temperature_rises_to_one():
    assert [temperature(step, 10) for step in (10, 11, 50)] == [1.0, 1.0, 1.0]
    assert temperature(1, 10) == pytest.approx(0.109)
    assert temperature(1, 0) == 1.0


def test_importance_weights_of_a_narrow_and_a_wide_normal():
    torch.manual_seed(0)
    for deviation, k in ((0.5, 0.75), (0.8, 0.36)):
        x = deviation * torch.randn(20_000, dtype=torch.float64)
        log_w = -0.5 * x.square() + 0.5 * (x / deviation).square() + math.log(deviation) + 3.0
        found = importance(log_w)
        assert found.k_hat == pytest.approx(k, abs=0.1)
        assert abs(found.log_z.value - 3) < 4 * found.log_z.error
        assert float(found.log_weights.exp().sum()) == pytest.approx(1)
    equal = importance(torch.full((100,), 2.0))
    assert (equal.log_z.value, equal.ess, equal.k_hat) == (pytest.approx(2), pytest.approx(1), -math.inf)


@pytest.mark.parametrize("shape", [-0.2, 0.1, 0.5, 0.9])
def test_pareto_shape_against_scipy(shape):
    x = torch.tensor(np.sort(scipy.stats.genpareto.rvs(shape, scale=2, size=3000, random_state=1)))
    theirs, _, scale = scipy.stats.genpareto.fit(x.numpy(), floc=0)
    k, s = fit_pareto(x)
    assert k == pytest.approx((3000 * theirs + 5) / 3010, abs=0.01)
    assert s == pytest.approx(scale, rel=0.02)


def test_weights_that_are_none():
    for bad in (
        torch.tensor([1.0]),
        torch.tensor([math.nan, 1.0]),
        torch.full((5,), -math.inf),
        torch.tensor([math.inf, 0]),
    ):
        with pytest.raises(DataError, match="log-weights"):
            importance(bad)


def test_resampling_keeps_the_shares():
    torch.manual_seed(0)
    kept = resample(torch.tensor([0.7, 0.2, 0.1], dtype=torch.float64).log(), 1000)
    assert torch.bincount(kept).tolist() == [700, 200, 100]


def test_coverage_finds_a_mode_and_its_place():
    torch.manual_seed(0)
    model = Normal(Real((2,)))

    def target(x, c=None):
        return torch.logaddexp(-0.5 * x.square().sum(1), -0.5 * (x - 5).square().sum(1))

    found = coverage(model, target, math.log(2 * math.pi))
    assert found.missed > 0.05
    assert float((found.point - 5).abs().max()) < 4
    fine = coverage(model, lambda x, c=None: -0.5 * x.square().sum(1), math.log(2 * math.pi))
    assert fine.missed == 0
    assert 0.6 < fine.accepted < 0.97


def test_verdicts():
    def said(**evidence):
        return verdict(Evidence(**{"k_hat": 0.2, "ess": 0.9, **evidence}))

    def chains(found):
        return Coverage(missed=found / 128, found=found, worst=5.0, point=torch.zeros(1), accepted=0.8)

    assert said().startswith("Trust it")
    assert said(k_hat=0.9).startswith("Do not trust it: k-hat 0.90")
    assert said(k_hat=0.6).startswith("Use it with care: k-hat 0.60")
    assert "no weight stands out, 92%" in said(k_hat=-math.inf, ess=0.92)
    assert said(k_hat=math.nan).startswith("Do not trust it")
    assert said(ess=0.05).startswith("Use it with care")
    assert "improper" in said(growth=3.0)
    assert said(lacking=0.02).startswith("Do not trust the flow: it lacks 2.0% of the mass")
    assert said(raised=0.03).startswith("Use it with care: the log-density raises errors at 3%")
    assert said(coverage=chains(0), lacking=0.0).startswith("Trust it")
    # One chain is enough where nothing else can say how much mass it has found, and it is told of where something can.
    assert said(coverage=chains(1)).startswith("Do not trust it: 1 of the short chains")
    assert "1 of the short chains met a tail that is too light (0.10% of the mass)" in said(
        coverage=chains(1), lacking=0.001
    )


def refuse(log_density, space=Real((2,)), error=DomainError, **options):  # noqa: B008
    with pytest.raises(error) as caught:
        fit(log_density, space, **{**QUICK, **options})
    sentence = str(caught.value)
    assert "\n" not in sentence
    return sentence


def test_bad_log_densities_get_one_sentence():
    assert "got nan at x = [" in refuse(lambda x: torch.where(x[:, 0] > 1, math.nan, -x.square().sum(1)))
    assert "got inf at" in refuse(lambda x: torch.where(x[:, 0] > 1, math.inf, -x.square().sum(1)))
    sentence = refuse(lambda x: torch.where(x[:, 0] > 0, -x.square().sum(1), -math.inf))
    assert "got -inf at" in sentence
    assert "Box" in sentence
    assert "shape (64,), got shape ()" in refuse(lambda x: -x.square().sum(), error=ShapeError)
    assert "got float" in refuse(lambda x: 1.0, error=ShapeError)
    assert "gives no gradient" in refuse(lambda x: -x.detach().square().sum(1))
    assert "gives no gradient" in refuse(lambda x: torch.as_tensor(-np.square(x.numpy()).sum(1)))
    assert "improper" in refuse(lambda x: 0 * x.sum(1))
    assert "improper" in refuse(lambda x: x.square().sum(1))
    assert "improper" in refuse(lambda x: x.square().sum(1), dtype=torch.float64)

    def broken(x):
        raise ValueError("no data\nat all")

    assert "raises an error at each of 64 points, the first of them: ValueError: no data at x = [0, 0]" in refuse(
        broken
    )

    def single(x):
        if len(x) > 1:
            raise RuntimeError("one at a time")
        return -x.square().sum(1)

    assert "torch.func.vmap" in refuse(single, error=ShapeError)


def test_a_density_that_raises_gets_one_sentence_and_may_at_infinity():
    def strict(x):
        if bool((x.abs() > 3).any()):
            raise ValueError("too far\nand more")
        return -x.square().sum(1)

    found = fit(strict, Real((2,)), **{**QUICK, "draws": 4000})
    # The mass beyond 3 is 4e-5 of the whole; the points there count, and are told of.
    assert found.log_z.value == pytest.approx(math.log(math.pi), abs=0.02)
    assert found.target.raised > 0
    assert found.target.complaint.startswith("ValueError: too far at x = [")
    assert 0 < found.raised < 0.01

    def normal(p):
        return (
            torch.distributions.Normal(p["mean"], p["scale"]).log_prob(torch.tensor(1.0)) - p["scale"] - p["mean"] ** 2
        )

    validate = torch.distributions.Distribution._validate_args
    fit(normal, {"mean": Real(()), "scale": Box((), 0.0, math.inf)}, **QUICK)
    assert torch.distributions.Distribution._validate_args == validate


def test_a_bound_that_the_density_cannot_take_is_named():
    def log_density(p):
        return torch.where(p["scale"] > 1e-3, -p["scale"], torch.log(p["scale"] * 0))

    sentence = refuse(log_density, {"scale": Box((), 0.0, math.inf)}, steps=400, scale=8.0)
    assert "expected a finite gradient" in sentence
    assert "scale = 1" in sentence

    saturated = Target(lambda x: x[:, 0].log() - x[:, 0], Box((1,), 0.0, math.inf))
    with pytest.raises(DomainError, match="on the boundary of Box"):
        saturated(torch.full((2, 1), -800.0, requires_grad=True))


@pytest.mark.dear
def test_densities_without_an_end_are_not_trusted():
    def slab(x):
        return -0.5 * x[:, 0].square()

    def ridge(x):
        return -0.5 * ((x[:, 1] - torch.sin(x[:, 0])) / 0.4).square()

    # No ray finds either; the draws keep spreading.
    assert "grew from" in refuse(slab, steps=400, lr=5e-2)
    found = fit(ridge, Real((2,)), steps=300, samples=64, draws=400)
    assert not found.trustworthy


def test_bad_options():
    assert "expected a known objective, got 'elbo'" in refuse(bumps, error=SpecError, objective="elbo")
    assert "unknown system 'nfs'" in refuse(bumps, error=SpecError, flow="nfs")
    assert "continuous" in refuse(bumps, Integers((2,), 0, 1), SpecError)
    assert "at least one number" in refuse(bumps, Real((0,)), SpecError)
    assert "dict of spaces" in refuse(bumps, {}, SpecError)
    assert "dict of spaces" in refuse(bumps, 2, SpecError)
    assert "a function of batches, got float" in refuse(1.0, error=SpecError)
    named = {"mean": Real(()), "scale": Box((), 0.0, math.inf)}
    assert "'men', which is none of the parameters mean, scale" in refuse(
        lambda p: -p["men"].square(), named, SpecError
    )
    assert "the space of the parameters" in refuse(bumps, None, SpecError)
    assert "steps >= 1" in refuse(bumps, error=SpecError, steps=0)
    assert "a multiple of 4" in refuse(bumps, error=SpecError, draws=401)
    assert "on Real(shape=(2,))" in refuse(bumps, error=ShapeError, flow=NSF(features=3, layers=1))
    conditional = NSF(features=2, layers=1, context=1).build()
    assert "without a context" in refuse(bumps, error=SpecError, flow=conditional)
    said = refuse(bumps, error=SpecError, flow="glow")
    assert "a system of vectors" in said
    assert "'glow' needs shape" in said


def test_a_seed_gives_the_same_fit_and_leaves_torchs_state():
    torch.manual_seed(5)
    before = torch.get_rng_state()
    first = fit(bumps, Real((2,)), **QUICK)
    assert torch.equal(before, torch.get_rng_state())
    assert fit(bumps, Real((2,)), **QUICK).elbo == first.elbo
    assert fit(bumps, Real((2,)), seed=1, **QUICK).elbo != first.elbo


def test_restarts_do_not_share_a_flow_of_ones_own():
    """Were they to share it, the numbers of the first run would be said of what the last one has made of it."""
    flow = Flow(Elementwise(Affine(), Real((1,))), Normal(Real((1,)))).double()
    found = fit(
        lambda x: -x[:, 0].square() / 2, Real((1,)), flow=flow, restarts=2, steps=40, chains=0, dtype=torch.float64
    )
    assert found.model is not flow
    assert all(bool((p == 0).all()) for p in flow.parameters())


def test_torch_transforms_both_ways():
    theirs = torch.distributions.transforms.SigmoidTransform()
    layer = FromTorchTransform(theirs, Real((2,)), Box((2,)))
    pf.laws.check(pf.laws.Case("sigmoid", lambda: FromTorchTransform(theirs, Real((2,)), Box((2,)))), fast=True)
    x = torch.randn(5, 2, dtype=torch.float64)
    z, dlogp = layer(x)
    assert torch.allclose(dlogp, theirs.log_abs_det_jacobian(x, z).sum(1))
    with pytest.raises(SpecError, match="a bijection"):
        FromTorchTransform(torch.distributions.transforms.AbsTransform(), Real((2,)))

    torch.manual_seed(0)
    flow = NSF(features=2, layers=2, hidden=8).build().double()
    for p in flow.parameters():
        nn.init.normal_(p, std=0.2)
    base = torch.distributions.Independent(torch.distributions.Normal(torch.zeros(2).double(), 1.0), 1)
    made = torch.distributions.TransformedDistribution(base, [AsTorchTransform(flow.chain)])
    draws = made.sample((3, 4))
    assert draws.shape == (3, 4, 2)
    assert torch.allclose(made.log_prob(draws), flow.log_prob(draws), atol=1e-9)
    assert torch.allclose(made.log_prob(x), flow.log_prob(x), atol=1e-9)
    with pytest.raises(SpecError, match="an exact layer"):
        AsTorchTransform(Metropolis(lambda x, c: -x.square().sum(1), Real((2,))))


def test_spaces_and_constraints_are_the_same():
    for space in (Real((2,)), Box((2,), 0.0, math.inf), Box((3,), -1.0, 2.0), Simplex((3,))):
        assert space_of(space.constraint, space.shape) == space
    with pytest.raises(SpecError, match="real, bounded or a simplex"):
        space_of(torch.distributions.constraints.lower_cholesky, (2, 2))


def test_expanded_copies_of_a_flow():
    flow = NSF(features=2, layers=1, hidden=8).build()
    copies = flow.at().expand((3,))
    assert copies.batch_shape == (3,)
    assert copies.sample((5,)).shape == (5, 3, 2)
    assert copies.log_prob(torch.zeros(3, 2)).shape == (3,)


@pytest.fixture
def pyro():
    """Pyro, whose import switches the checks of torch's distributions on for everybody; put back after."""
    validate = torch.distributions.Distribution._validate_args
    yield pytest.importorskip("pyro")
    torch.distributions.Distribution.set_default_validate_args(validate)


@pytest.mark.dear
def test_a_pyro_guide_finds_a_posterior_that_is_known(pyro):
    from pushforward.posteriors.pyro import FlowGuide

    pyro.clear_param_store()
    pyro.set_rng_seed(0)
    data = torch.tensor([1.2, 0.8, 1.9, 1.4])

    def model():
        mean = pyro.sample("mean", pyro.distributions.Normal(0.0, 2.0))
        pyro.sample("rate", pyro.distributions.Gamma(3.0, 2.0))
        with pyro.plate("data", len(data)):
            pyro.sample("x", pyro.distributions.Normal(mean, 1.0), obs=data)

    guide = FlowGuide(model, "nsf", layers=2)
    loss = pyro.infer.Trace_ELBO(num_particles=32, vectorize_particles=True)
    svi = pyro.infer.SVI(model, guide, pyro.optim.ClippedAdam({"lr": 0.02, "lrd": 0.05 ** (1 / 500)}), loss)
    losses = [svi.step() for _ in range(500)]
    variance = 1 / (1 / 4 + len(data))
    draws = guide.draws(4000)
    assert float(draws["mean"].mean()) == pytest.approx(float(data.sum()) * variance, abs=0.06)
    assert float(draws["mean"].std()) == pytest.approx(variance**0.5, rel=0.1)
    assert float(draws["rate"].mean()) == pytest.approx(1.5, abs=0.15)
    evidence = torch.distributions.MultivariateNormal(torch.zeros(4), torch.eye(4) + 4.0).log_prob(data)
    assert np.mean(losses[-30:]) == pytest.approx(-float(evidence), abs=0.1)


def test_arviz_takes_the_draws():
    arviz = pytest.importorskip("arviz_base")
    found = fit(bumps, Real((2,)), **QUICK)
    assert arviz.from_dict({"posterior": found.draws}).posterior["x"].shape == (4, 100, 2)


def test_chain_of_flows_behind_a_start_is_one_chain():
    from pushforward.posteriors.optimise import behind, built, gaussian

    model = behind(built("nsf", 1, 2), gaussian(2, 1.0))
    assert isinstance(model.chain, Chain)
    x = torch.randn(3, 2)
    assert torch.allclose(model.log_prob(x), Normal(Real((2,))).log_prob(x), atol=1e-5)
