"""Systems whose layers are not bijections: their arguments, their exactness, and their scores on the command line."""

import pytest
import torch
from command_line import run

import pushforward as pf
from pushforward.core import Exactness
from pushforward.distributions.toy import four_gaussians, nine_gaussians
from pushforward.errors import SpecError
from pushforward.evaluation import encode, log_likelihoods
from pushforward.systems import CIF, LWTA, RAD, AugmentedFlow, SurVAE

BOUND = Exactness.NOISY | Exactness.LOWER


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: LWTA(features=2, design="fold", units=3), "lwta.units <= 2 for the design 'fold'"),
        (lambda: LWTA(features=2, units=1), "lwta.units >= 2"),
        (lambda: LWTA(features=4, block=3), "lwta.block <= 2"),
        (lambda: LWTA(features=4, design="path", block=3), "a divisor of 4"),
        (lambda: LWTA(features=2, samples=1), "lwta.samples >= 2"),
        (lambda: LWTA(features=2, design="fold", samples=0), "lwta.samples >= 1"),
        (lambda: LWTA(features=2, zeroed=True), "with the design 'path'"),
        (lambda: LWTA(features=2, design="path", noise=0.0), "lwta.noise > 0"),
        (lambda: CIF(features=2, samples=0), "cif.samples >= 1"),
        (lambda: CIF(features=2, index=0), "cif.index >= 1"),
        (lambda: CIF(features=2, layer="residual", lipschitz=1.0), r"cif.lipschitz in \(0, 1\)"),
        (lambda: RAD(features=2, pieces=4), "odd number rad.pieces"),
        (lambda: SurVAE(features=1, surjection="sort"), "survae.features >= 2 for 'sort'"),
        (lambda: AugmentedFlow(features=2, extra=0), "augmented.extra >= 1"),
    ],
)
def test_arguments_out_of_range_have_one_sentence(make, message):
    with pytest.raises(SpecError, match=message) as raised:
        make()
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("spec", "exactness"),
    [
        (LWTA(features=2), BOUND),
        (LWTA(features=2, design="fold", units=2), Exactness.EXACT),
        (LWTA(features=2, design="path"), BOUND),
        (LWTA(features=2, design="gate"), BOUND),
        (CIF(features=2), BOUND),
        (AugmentedFlow(features=2), BOUND),
        (RAD(features=2), Exactness.EXACT),
        (SurVAE(features=2), Exactness.EXACT),
        (SurVAE(features=2, surjection="sort"), Exactness.EXACT),
    ],
)
def test_exactness_follows_from_the_layers(spec, exactness):
    assert spec.build().exactness == exactness


def test_competing_couplings_put_no_mass_between_modes():
    density = four_gaussians()
    flow = pf.build("lwta", features=2, layers=2, units=4, hidden=(16,))
    pf.fit(flow, density.sample(20_000), epochs=5, max_steps=250, lr=1e-2, batch_size=512, ema=0.9, progress=False)
    x = density.sample(2000, seed=1)
    gap = density.log_prob(x).double() - log_likelihoods(flow, x, samples=64)
    assert float(gap.mean()) < 0.1
    assert float(density.far(flow.sample(4000))) < 0.02


def test_the_codes_of_zigzags_are_the_cells_of_a_grid():
    density = nine_gaussians()
    flow = RAD(features=2, hidden=(16,), bins=4).build()
    x = density.sample(4000)
    pf.fit(flow, x, max_steps=5, progress=False)
    modes = torch.cdist(x, torch.tensor(density.centres)).argmin(1)
    codes = encode(flow, x)[0]
    assert bool((codes[:, 0] * 3 + codes[:, 1] == modes).float().mean() > 0.97)


@pytest.mark.parametrize("flow", ["lwta", "cif", "rad", "survae", "augmented"])
def test_tables_are_fitted_and_scored_with_the_number_of_samples(flow, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = torch.randn(300, 2, generator=torch.Generator().manual_seed(0))
    (tmp_path / "table.csv").write_text("a,b\n" + "\n".join(f"{a:.5f},{b:.5f}" for a, b in rows.tolist()))
    fields = ["--flow", flow, "--max-steps", 5, "--set", "layers=2"]
    code, _, err = run("fit", "table.csv", *fields, "--out", "t.flow")
    assert code == 0, err
    code, _, err = run("score", "t.flow", "table.csv", "--samples", 8)
    assert code == 0, err
    bound = flow in ("lwta", "cif", "augmented")
    assert ("average of 8 draws" in err) == bound
    assert (">=" in err) == bound


@pytest.mark.dear
@pytest.mark.parametrize("flow", ["lwta", "residual"])
def test_a_report_shows_realised_constants_when_asked(flow, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = torch.randn(200, 2, generator=torch.Generator().manual_seed(0))
    lines = [f"{a:.5f},{b:.5f},{'xy'[i % 2]}" for i, (a, b) in enumerate(rows.tolist())]
    (tmp_path / "table.csv").write_text("a,b,label\n" + "\n".join(lines))
    fields = ["--flow", flow, "--max-steps", 5, "--set", "layers=2", "--out", "t.flow"]
    assert run("fit", "table.csv", *fields)[0] == 0
    code, out, err = run("report", "t.flow", "table.csv", "--constants", "--no-baselines")
    assert code == 0, err
    assert "realised bi-Lipschitz constants at 200 events" in out + err
