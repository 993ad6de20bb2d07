"""Posteriors of simulators: against a known one, calibrated or not, in a box, saved, and inside the package sbi."""

import math
import warnings

import numpy as np
import pytest
import torch

import pushforward as pf
from pushforward.core import Box, Integers, Real
from pushforward.errors import ContextError, DataError, DomainError, ShapeError, SpecError
from pushforward.evaluation.calibration import sbc_ranks, tarp
from pushforward.posteriors.simulators import Amortised, amortised, prepared

MIX = torch.tensor([[1.0, 0.5], [0.0, 1.0], [1.0, -1.0]])
NOISE = 0.7
OBSERVED = torch.tensor([1.0, -0.5, 0.3])
SMALL = {"layers": 2, "hidden": 24, "bins": 4}


def simulate(n, seed=0):
    """theta ~ N(0, 1), x = A theta + s e."""
    g = torch.Generator().manual_seed(seed)
    theta = torch.randn(n, 2, generator=g)
    return theta, theta @ MIX.T + NOISE * torch.randn(n, 3, generator=g)


def truth(x):
    """Mean (*batch, 2) and covariance of the posterior, by Gaussian conditioning."""
    marginal = MIX @ MIX.T + NOISE**2 * torch.eye(3)
    gain = MIX.T @ marginal.inverse()
    return x @ gain.T, torch.eye(2) - gain @ MIX


def exact(width=1.0, shift=0.0):
    """Draws of the true posterior, made narrower or moved by shares of its deviations."""

    def draw(n, x):
        mean, cov = truth(x)
        root = torch.linalg.cholesky(cov)
        deviation = cov.diagonal().sqrt()
        return mean + shift * deviation + width * torch.randn(n, *mean.shape) @ root.T

    return draw


@pytest.fixture(scope="module")
def learned():
    theta, x = simulate(4000)
    spec = pf.systems.MAF(features=2, context=3, layers=2, hidden=(24,))
    return amortised(spec, theta, x, progress=False, epochs=25, lr=1e-2, batch_size=100, schedule="cosine")


def test_the_posterior_of_a_linear_gaussian_model_is_found(learned):
    torch.manual_seed(0)
    for x in (OBSERVED, torch.zeros(3), -2 * OBSERVED):
        mean, cov = truth(x)
        draws = learned.sample(20_000, x)
        assert draws.shape == (20_000, 2)
        deviation = cov.diagonal().sqrt()
        assert ((draws.mean(0) - mean) / deviation).abs().max() < 0.15
        assert ((draws.T.cov() - cov) / deviation.outer(deviation)).abs().max() < 0.15
        exact_density = torch.distributions.MultivariateNormal(mean, cov)
        theta = exact_density.sample((2000,))
        gap = exact_density.log_prob(theta) - learned.log_prob(theta, x)
        assert 0 <= gap.mean() + 0.01 < 0.05


def test_batches_of_observations(learned):
    x = torch.stack([OBSERVED, -OBSERVED])
    draws = learned.sample(5000, x.numpy())
    assert draws.shape == (5000, 2, 2)
    assert torch.allclose(draws.mean(0), truth(x)[0], atol=0.1)
    assert learned.log_prob(draws[0], x).shape == (2,)
    assert torch.allclose(learned.log_prob(draws[:3, 0], x[0]), learned.log_prob(draws[:3], x)[:, 0], atol=1e-5)
    assert learned.sample(0, OBSERVED).shape == (0, 2)


def test_units_do_not_matter():
    """Both sides are standardised inside: with other units the same weights describe the same posterior."""
    theta, x = simulate(500)
    scale, shift = torch.tensor([1e3, 1e-4]), torch.tensor([5e3, -2e-4])
    runs = [
        amortised("nsf", t, y, progress=False, epochs=1, batch_size=100)
        for t, y in ((theta, x), (theta * scale + shift, 1e4 * x - 3e4))
    ]
    first = runs[0].log_prob(theta[:50], x[:50])
    second = runs[1].log_prob((theta * scale + shift)[:50], 1e4 * x[:50] - 3e4)
    assert torch.allclose(first, second + scale.log().sum(), atol=1e-3)


def test_numbers_that_never_vary_do_no_harm():
    theta, x = simulate(300)
    x = torch.cat([x, torch.full((300, 1), 7.0)], 1)
    model = prepared("nsf", theta, x)
    embedded = model.embed(torch.tensor([[0.0, 0.0, 0.0, 7.5]]))
    assert embedded[0, 3] == 0.5


def test_no_mass_leaves_a_box(tmp_path):
    """theta ~ U(-1, 1), x = theta + e: a normal cut off at the ends of the box."""
    g = torch.Generator().manual_seed(0)
    theta = 2 * torch.rand(2000, 1, generator=g) - 1
    x = theta + 0.5 * torch.randn(2000, 1, generator=g)
    space = Box((1,), -1.0, 1.0)
    spec = pf.systems.NSF(features=1, context=1, **SMALL)
    found = amortised(spec, theta, x, space=space, progress=False, epochs=30, lr=5e-3, batch_size=100)
    z = torch.linspace(-14, 14, 4001)[:, None]
    grid, width = 2 * z.sigmoid() - 1, (2 * z.sigmoid() * (-z).sigmoid() * (z[1] - z[0]))[:, 0]
    for at in (0.0, 0.9, 2.0):
        assert float((found.log_prob(grid, [at]).exp() * width).sum()) == pytest.approx(1, abs=2e-3)
        draws = found.sample(4000, [at])
        assert space.contains(draws).all()
        cut = (-0.5 * ((grid[:, 0] - at) / 0.5) ** 2).exp() * width
        expected = float((cut * grid[:, 0]).sum() / cut.sum())
        assert float(draws.mean()) == pytest.approx(expected, abs=0.07)
    assert found.log_prob([[1.5]], [0.0]).item() == -math.inf

    pf.save(tmp_path / "posterior.flow", found.model, training=found.result)
    saved = pf.load(tmp_path / "posterior.flow")
    assert saved.spec.low == -1
    assert torch.equal(Amortised(saved.model).log_prob(grid, [0.3]), found.log_prob(grid, [0.3]))


def test_networks_and_models_of_your_own():
    theta, x = simulate(200)
    pictures = x[:, None, :, None].expand(-1, 2, -1, 4)
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(24, 5))
    start = net[1].weight.clone()
    found = amortised("maf", theta, pictures, embed=net, progress=False, epochs=1)
    assert found.sample(7, pictures[:3]).shape == (7, 3, 2)
    assert not torch.equal(start, net[1].weight)
    own = pf.systems.MAF(features=2, context=3, layers=1).build().double()
    assert amortised(own, theta, x, progress=False, epochs=1).sample(4, OBSERVED).dtype == torch.float64
    with pytest.raises(SpecError, match=r"model\.state_dict\(\) with torch\.save"):
        pf.save("never.flow", found.model)


def test_the_seed_fixes_everything():
    theta, x = simulate(200)
    runs = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed + len(runs))
        state = torch.get_rng_state()
        runs.append(amortised("maf", theta, x, progress=False, epochs=2, seed=seed).log_prob(theta, x))
        assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(runs[0], runs[1])
    assert not torch.equal(runs[0], runs[2])


def with_value(values, row, value):
    values = values.clone()
    values[row, 1] = value
    return values


THETA, X = simulate(50)


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: amortised("nsf", with_value(THETA, 7, math.nan), X), DataError, "got nan in row 7, column 1 of theta"),
        (lambda: amortised("nsf", THETA, with_value(X, 9, math.inf)), DataError, "got inf in row 9, column 1 of x"),
        (lambda: amortised("nsf", THETA[:40], X), DataError, "as many rows of theta as of x, got 40 and 50"),
        (lambda: amortised("nsf", with_value(THETA.clamp(-1, 1), 3, 1.5), X, space=Box((2,), -1.0, 1.0)), DataError, "row 3"),
        (lambda: amortised("nsf", THETA * 0, X), DataError, "the same in column 0"),
        (lambda: amortised("nsf", THETA[:, 0], X), ShapeError, r"theta of shape \(rows, parameters\)"),
        (lambda: amortised("nsf", THETA, X, space=Real((3,))), ShapeError, r"theta of shape \(rows, 3\)"),
        (lambda: amortised("nsf", THETA, X[:, :, None]), ShapeError, "or a network to embed it"),
        (lambda: amortised("nsf", THETA.round(), X, space=Integers((2,))), SpecError, "Real or Box"),
        (lambda: amortised("nfs", THETA, X), SpecError, "did you mean 'nsf'"),
        (lambda: amortised(pf.systems.NSF(features=2, context=4), THETA, X), SpecError, "context=3, got 4"),
        (lambda: amortised(pf.systems.NSF(features=2).build(), THETA, X), ContextError, "got one in None"),
        (lambda: pf.systems.NPE(features=1, low=1.0, high=1.0), SpecError, "low < npe.high"),
        (lambda: sbc_ranks(exact(), THETA, X[:9]), ShapeError, "expected theta"),
        (lambda: sbc_ranks(exact(), THETA[:9], X[:9]), DataError, "at least 10 rows"),
        (lambda: sbc_ranks(exact(), THETA, with_value(X, 4, math.nan)), DataError, "row 4 of x"),
        (lambda: sbc_ranks(lambda n, x: torch.zeros(n, 2), THETA, X), ShapeError, "expected draws of shape"),
        (lambda: sbc_ranks(lambda n, x: torch.full((n, len(x), 2), math.nan), THETA, X), DataError, "finite draws"),
        (lambda: tarp(exact(), THETA, X, references=THETA[:3]), ShapeError, "references"),
    ],
)  # fmt: skip
def test_bad_input_is_refused_in_a_sentence(make, error, words):
    with pytest.raises(error, match=words) as caught:
        make()
    assert "\n" not in str(caught.value)


def test_bad_observations_are_refused(learned):
    with pytest.raises(DomainError, match="finite observation, got nan at index"):
        learned.sample(3, [0.0, math.nan, 0.0])
    with pytest.raises(ContextError, match="context of shape"):
        learned.sample(3, [0.0, 1.0])
    with pytest.raises(ShapeError):
        learned.log_prob([0.0], OBSERVED)


# --- calibration -------------------------------------------------------------------------------------------------------


def test_the_exact_posterior_is_calibrated():
    """P-values of the right posterior are uniform: over 40 data sets neither test rejects more often than it may."""
    p_values = []
    for seed in range(40):
        theta, x = simulate(200, seed)
        coverage = tarp(exact(), theta, x, draws=19, seed=seed)
        p_values.append([*sbc_ranks(exact(), theta, x, draws=19, seed=seed).p_values, coverage.p_value])
    p = np.array(p_values)
    assert ((p < 0.1).mean(0) < 0.25).all(), p
    assert (abs(p.mean(0) - 0.5) < 4 * np.sqrt(1 / 12 / 40)).all(), p.mean(0)


@pytest.mark.parametrize(
    ("fault", "words"),
    [({"width": 0.7}, "too narrow"), ({"width": 1.4}, "too wide"), ({"shift": 0.8}, "too high"), ({"shift": -0.8}, "too low")],
)  # fmt: skip
def test_planted_faults_are_found_and_named(fault, words):
    theta, x = simulate(500, 5)
    ranks, coverage = sbc_ranks(exact(**fault), theta, x), tarp(exact(**fault), theta, x)
    assert not ranks.calibrated
    assert words in str(ranks)
    assert str(ranks).startswith("Not calibrated")
    assert not coverage.calibrated
    assert abs(coverage.largest_gap) > 0.05
    right = sbc_ranks(exact(), theta, x), tarp(exact(), theta, x)
    assert all(test.calibrated for test in right)
    assert str(right[0]).startswith("No fault found")
    assert str(right[1]).startswith("No fault found")


def test_ranks_are_counted_as_defined():
    theta, x = simulate(300, 2)
    ranks = sbc_ranks(exact(), theta, x, draws=19)
    assert ranks.ranks.shape == (300, 2)
    assert ranks.ranks.min() == 0
    assert ranks.ranks.max() == 19
    assert ranks.histogram(10).sum(0).tolist() == [300, 300]
    above = sbc_ranks(lambda n, x: torch.full((n, len(x), 2), -9.0), theta, x, draws=19)
    assert (above.ranks == 19).all()
    tied = sbc_ranks(lambda n, x: torch.zeros(n, len(x), 2), theta * 0, x, draws=19)
    assert tied.calibrated


def test_a_posterior_that_ignores_the_data_passes_ranks_but_not_the_rest():
    theta, x = simulate(500, 3)

    def prior(n, x):
        return torch.randn(n, len(x), 2)

    def likelihood(parameters, x):
        return -(x - parameters @ MIX.T).square().sum(-1, keepdim=True)

    assert sbc_ranks(prior, theta, x).calibrated
    assert tarp(prior, theta, x, references="uniform").calibrated
    assert not tarp(prior, theta, x).calibrated
    assert not sbc_ranks(prior, theta, x, of=likelihood).calibrated
    assert sbc_ranks(exact(), theta, x, of=likelihood).calibrated


def test_a_learned_posterior_is_calibrated(learned):
    theta, x = simulate(300, 9)
    assert sbc_ranks(learned.sample, theta, x).ks.max() < 0.12
    assert abs(tarp(learned.sample, theta, x).largest_gap) < 0.12


# --- sbi ---------------------------------------------------------------------------------------------------------------


def test_flows_serve_the_package_sbi(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # sbi writes its logs to the current folder
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pytest.importorskip("sbi")
        import pickle

        from sbi.inference import NPE
        from sbi.utils import BoxUniform

        from pushforward.posteriors.sbi import sbi_builder

        torch.manual_seed(0)
        prior = BoxUniform(-torch.ones(2), torch.ones(2))
        theta = prior.sample((1500,))
        x = theta @ MIX.T + 0.5 * torch.randn(1500, 3)
        spec = pf.systems.MAF(features=2, context=3, layers=2, hidden=(24,))
        trainer = NPE(prior, sbi_builder(spec, space=Box((2,), -1.0, 1.0)), show_progress_bars=False)
        estimator = trainer.append_simulations(theta, x).train(max_num_epochs=30, learning_rate=5e-3)
        assert estimator.loss(theta[:5], x[:5]).shape == (5,)
        assert estimator.log_prob(theta[None, :5], x[:5]).shape == (1, 5)
        assert estimator.log_prob(theta[:20].reshape(4, 5, 2), x[:1]).shape == (4, 5)
        draws, logp = estimator.sample_and_log_prob(torch.Size((4,)), x[:5])
        assert draws.shape == (4, 5, 2)
        assert torch.allclose(logp, estimator.log_prob(draws, x[:5]), atol=1e-4)
        posterior = trainer.build_posterior()
        found = posterior.sample((5000,), x=OBSERVED, show_progress_bars=False)
        assert prior.support.check(found).all()
        # The grid's own posterior mean.
        grid = torch.cartesian_prod(*[(torch.arange(200) + 0.5) / 100 - 1] * 2)
        weight = (-0.5 * ((OBSERVED - grid @ MIX.T) / 0.5).square().sum(1)).softmax(0)
        assert torch.allclose(found.mean(0), weight @ grid, atol=0.1)
        again = pickle.loads(pickle.dumps(posterior))
        assert torch.equal(again.log_prob(found[:5], x=OBSERVED), posterior.log_prob(found[:5], x=OBSERVED))
        assert isinstance(estimator.net, pf.Flow)
