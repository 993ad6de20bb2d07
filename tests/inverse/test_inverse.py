"""Inverse problems: simulators against other formulas, fits of a linear problem against its exact posterior, and bad input."""

import math

import numpy as np
import pytest
import torch
from command_line import run

import pushforward as pf
from pushforward.errors import ContextError, DataError, DomainError, ShapeError, SpecError
from pushforward.evaluation.intervals import interval_calibration
from pushforward.functional.discrepancy import discrepancy
from pushforward.inverse import Ballistics, EightModes, Inversion, RobotArm, fit, simulator
from pushforward.posteriors import Amortised
from pushforward.systems import INN

QUICK = {"epochs": 12, "batch_size": 256, "lr": 5e-3, "schedule": "cosine", "progress": False}


def add(x):
    """Return the sum of two unknowns: (N, 2) -> (N, 1)."""
    return x.sum(1, keepdim=True)


def prior(n):
    return torch.randn(n, 2)


class Exact:
    """Exact posterior of two standard normal unknowns whose sum is observed with some noise, with a planted fault."""

    def __init__(self, noise=0.1, width=1.0):
        self.noise, self.width = noise, width

    def sample(self, n, y):
        y = torch.as_tensor(y, dtype=torch.float32)
        # The sum s has variance 2, so given y it is normal; the difference d is independent of y.
        weight = 2 / (2 + self.noise**2)
        s = weight * y + math.sqrt(weight) * self.noise * torch.randn(n, *y.shape)
        d = self.width * math.sqrt(2) * torch.randn(n, *y.shape)
        return torch.cat([(s + d) / 2, (s - d) / 2], -1)


def exact(width=1.0):
    return Inversion(add, prior, Exact(0.01, width))


# --- simulators ---------------------------------------------------------------------------------------------------------


def test_the_modes_lie_on_a_regular_octagon():
    modes = EightModes()
    corners = {(round(abs(a), 4), round(abs(b), 4)) for a, b in modes.centres.tolist()}
    assert corners == {(2.4142, 1.0), (1.0, 2.4142)}
    torch.manual_seed(0)
    x = modes.prior(4000)
    assert float((x - modes.centres[modes.mode(x)]).std()) == pytest.approx(0.2, abs=0.01)
    for labels, counts in (("all", [500] * 8), ("some", [2000, 1000, 500, 500]), ("none", [4000])):
        y = EightModes(labels)(x)
        assert y.shape == (4000, len(counts))
        assert np.abs(y.sum(0).numpy() - counts).max() < 120


def test_the_arm_reaches_where_complex_numbers_say():
    torch.manual_seed(0)
    arm = RobotArm()
    x = arm.prior(50)
    for row, hand in zip(x.numpy(), arm(x).numpy(), strict=True):
        at, angle = 1j * row[0], 0.0
        for turn, length in zip(row[1:], (0.5, 0.5, 1.0), strict=True):
            angle += turn
            at += length * np.exp(1j * angle)
        assert hand == pytest.approx([at.real, at.imag], abs=1e-5)
    y = arm(arm.prior(200_000)).mean(0)
    assert y.tolist() == pytest.approx([1.5179, 0.0], abs=0.01)


def test_the_ball_lands_on_the_ground_along_the_solution_of_its_equation():
    torch.manual_seed(0)
    ball = Ballistics()
    x = ball.prior(2000)
    assert float(x[:, 1].min()) > 0
    assert x[:, 2].min() > math.radians(9)
    assert x[:, 2].max() < math.radians(81)
    assert float(x[:, 3].mean()) == pytest.approx(15, abs=0.5)
    # Steps of the equation of motion m a = -k v - m g.
    row = x[:5].double()
    place = torch.stack([row[:, 0], row[:, 1]], 1)
    speed = row[:, 3:] * torch.stack([row[:, 2].cos(), row[:, 2].sin()], 1)
    landed, step = torch.full((5,), torch.nan), 1e-3
    for _ in range(3500):
        new = place + step * speed
        speed = speed + step * (torch.tensor([0.0, -9.81]) - 0.25 / 0.2 * speed)
        down = (new[:, 1] <= 0) & landed.isnan()
        landed[down] = new[down, 0].float()
        place = new
    assert torch.allclose(ball(x)[:5, 0], landed, atol=0.05)


# --- checks against the simulator -----------------------------------------------------------------------------------------


def test_an_exact_posterior_is_calibrated_and_a_wide_one_is_not():
    right, wide = exact().calibration(2000, draws=255), exact(1.5).calibration(500, draws=255)
    assert right.median_error < 0.02
    assert right.error.shape == (99, 2)
    assert right.width == pytest.approx([2 * 0.99446 * math.sqrt(0.5)] * 2, rel=0.08)
    assert (wide.error_68 > 0.08).all()
    assert "Median calibration error" in str(right)


def test_coverage_counts_the_truths_inside_central_intervals():
    """With draws 1 ... 99 a truth at 50 is inside all intervals, and one at 0 inside none."""
    draws = torch.arange(1.0, 100.0)[:, None, None]
    truth = torch.tensor([[50.0], [0.0]]).repeat(5, 1)
    found = interval_calibration(lambda n, y: draws.expand(n, len(y), 1), truth, torch.zeros(10, 1), draws=99)
    assert np.allclose(found.coverage[1:-1, 0], 0.5)
    assert found.width[0] == pytest.approx(0.68 * 98)


def test_draws_agree_with_rejection_and_give_the_observation_back():
    found = exact().agreement([0.5], draws=40_000, tolerance=0.02)
    assert found.accepted > 100
    assert found.ratio < 3
    assert exact(0.3).agreement([0.5], draws=40_000, tolerance=0.02).ratio > 5
    again = exact().resimulate([0.5], draws=500)
    assert again.rmse == pytest.approx(0.01, rel=0.15)
    assert exact().resimulate(rows=50).targets == 50
    near = exact().rejection([0.5], draws=10_000, tolerance=0.1)
    assert float((add(near) - 0.5).abs().max()) < 0.1


@pytest.mark.parametrize("design", ["conditional", "likelihood", pytest.param("discrepancy", marks=pytest.mark.dear)])
def test_a_linear_problem_is_inverted(design):
    arguments = {"layers": 2, "hidden": (32,), "ramp": 100, "noise": 0.1}
    found = fit(add, prior, design=design, simulations=3000, noise=0.1, arguments=arguments, **QUICK)
    drawn = found.posterior([1.0], 4000)
    weight = 2 / 2.01
    assert float(drawn.sum(1).mean()) == pytest.approx(weight, abs=0.1)
    assert drawn.std(0).tolist() == pytest.approx([0.71, 0.71], abs=0.25 if design == "discrepancy" else 0.08)
    assert found.resimulate().rmse < 0.3
    assert found.log_prob([0.5, 0.5], [1.0]).shape == ()


def test_the_design_and_the_padding_decide_whether_the_density_is_exact(tmp_path):
    plain, padded = (INN(features=2, context=1, width=w).build() for w in (2, 3))
    assert (plain.exactness.symbol, padded.exactness.symbol) == ("=", ">=")
    assert INN(features=2, context=4, design="conditional").build().exactness.symbol == "="
    found = fit(add, prior, design="discrepancy", simulations=200, epochs=1, progress=False)
    pf.save(tmp_path / "arm.flow", found.learned.model, training=found.learned.result)
    again = Inversion(add, prior, Amortised(pf.load(tmp_path / "arm.flow").model))
    x, y = found.pairs(5)
    assert torch.equal(again.log_prob(x, y), found.log_prob(x, y))


def test_the_discrepancy_sees_a_shift_and_vanishes_for_equal_samples():
    torch.manual_seed(0)
    x = torch.randn(300, 3) + 1e4
    assert float(discrepancy(x, x)) == pytest.approx(0, abs=1e-6)
    assert float(discrepancy(x, x + 1)) > 5 * float(discrepancy(x, torch.randn(300, 3) + 1e4))


# --- bad input --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: fit(lambda x: x.log(), prior, simulations=50), DataError, "finite observations, got .* rows of 50 with NaN"),
        (lambda: fit(lambda x: x[:-1], prior, simulations=50), ShapeError, r"one row for each of 50 rows.*\(49, 2\)"),
        (lambda: fit(lambda x: x.sum(1), prior, simulations=50), ShapeError, r"got shape \(50,\)"),
        (lambda: fit(add, torch.randn, simulations=50), ShapeError, r"prior whose draws have shape \(50, unknowns\)"),
        (lambda: fit(add, simulations=50), SpecError, "expected a prior"),
        (lambda: fit(add, prior, noise=-1.0), SpecError, "noise >= 0"),
        (lambda: fit(add, prior, simulations=50, flow="nsf", arguments={"layers": 2}), SpecError, "only for the system inn"),
        (lambda: INN(features=4, context=2, latents=1), SpecError, "4 unknowns do not fit into 2 observations and 1 latent"),
        (lambda: INN(features=4, context=2, width=3), SpecError, "inn.width >= 4"),
        (lambda: INN(features=4), SpecError, "the size of the observations"),
        (lambda: INN(features=4, context=2, noise=0.0), SpecError, "inn.noise > 0"),
        (lambda: INN(features=4, context=2, ramp=-1), SpecError, "inn.ramp >= 0"),
        (lambda: exact().rejection([900.0], draws=100), DataError, "within 0.02 of y among 100 draws"),
        (lambda: exact().agreement([0.0], draws=100), DataError, "at least 10 accepted"),
        (lambda: simulator("robot"), SpecError, "robot-arm"),
        (lambda: pf.objectives.ForwardFit(pf.build("maf", features=2))((torch.zeros(3, 2),)), SpecError, "ObservedOutput"),
    ],
)  # fmt: skip
def test_bad_input_is_refused_in_a_sentence(make, error, words):
    with pytest.raises(error, match=words) as caught:
        make()
    assert "\n" not in str(caught.value)


def test_bad_observations_are_refused():
    found = fit(add, prior, simulations=100, epochs=1, progress=False)
    with pytest.raises(DomainError, match="finite observation"):
        found.posterior([math.nan])
    with pytest.raises(ContextError, match="context of shape"):
        found.posterior([1.0, 2.0])


# --- tables -----------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    g = torch.Generator().manual_seed(0)
    x = torch.randn(600, 2, generator=g)
    y = x.sum(1) + 0.1 * torch.randn(600, generator=g)
    path = tmp_path_factory.mktemp("inn") / "table.csv"
    lines = [f"{a:.5f},{b:.5f},{c:.5f},{'LR'[int(a > 0)]}" for (a, b), c in zip(x.tolist(), y.tolist(), strict=True)]
    path.write_text("a,b,y,side\n" + "\n".join(lines))
    return path


def test_rows_of_a_table_are_drawn_given_all_observed_columns(table, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    fields = ["--flow", "inn", "--given", "y", "--given", "side", "--set", "design=likelihood", "--set", "layers=2"]
    code, _, err = run("fit", table, *fields, "--max-steps", 20, "--no-baselines", "--out", "t.flow")
    assert code == 0, err
    code, out, err = run("sample", "t.flow", "--where", "y=1.5,side=R", "-n", 50, "--out", "-")
    assert code == 0, err
    assert "rows are drawn given the values that are fixed" in err
    rows = [line.split(",") for line in out.split()[1:]]
    assert len(rows) == 50
    assert {(float(row[2]), row[3]) for row in rows} == {(1.5, "R")}
    code, _, err = run("score", "t.flow", table)
    assert code == 0, err
    assert ">=" in err


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        (["--flow", "inn"], "give each with --given COLUMN"),
        (["--flow", "inn", "--given", "y"], "labels in column 'side'"),
        (["--flow", "inn", "--given", "z"], "got 'z'"),
        (["--flow", "inn", *(f"--given={name}" for name in ("a", "b", "y", "side"))], "only observed ones"),
        (["--flow", "nsf", "--given", "y"], "only with --flow inn"),
    ],
)
def test_columns_that_do_not_fit_are_refused(table, fields, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, _, err = run("fit", table, *fields, "--out", "t.flow")
    assert code != 0
    assert words in err
    assert "Traceback" not in err
