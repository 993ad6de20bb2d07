"""Continuous and residual flows on the command line: fitted, scored, reported, and what is said of their solvers."""

from __future__ import annotations

import json

import numpy as np
import polars as pl
import pytest
from command_line import mixed, refused, run

SYSTEMS = {
    "otflow": ["--set", "hidden=8", "--set", "scoring_steps=4"],
    "ffjord": ["--set", "hidden=8", "--set", "steps=3"],
    "flow-matching": ["--set", "hidden=8", "--set", "steps=4"],
    "residual": ["--set", "hidden=8", "--layers", "2", "--set", "logdet=roulette"],
}


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A folder with a model of each system, of a table with labels, integers and missing values."""
    folder = tmp_path_factory.mktemp("continuous")
    mixed().write_csv(folder / "table.csv")
    for system, options in SYSTEMS.items():
        options = [*options, "--drop", "id", "--epochs", "2", "--test", "0.2", "--flow", system]
        code, out, err = run("fit", folder / "table.csv", *options, "--out", folder / f"{system}.flow")
        assert code == 0, err
        (folder / f"{system}.txt").write_text(out + err)
    return folder


@pytest.mark.parametrize("system", SYSTEMS)
def test_fit_says_what_approximations_do(home, system):
    text = (home / f"{system}.txt").read_text()
    assert f"{system} is better by" in text
    assert "solved exactly, the log-likelihood differs by" in text
    assert ("(minus the loss)" in text) == (system == "flow-matching")


@pytest.mark.parametrize("system", SYSTEMS)
def test_scores_and_samples(home, tmp_path, system):
    model = home / f"{system}.flow"
    code, out, err = run("score", model, home / "table.csv", "--top", "2", "--out", tmp_path / "s.csv")
    assert code == 0, err
    assert "use --exactly for exact scores" in err
    code, out, err = run("score", model, home / "table.csv", "--exactly", "--out", tmp_path / "e.csv")
    assert code == 0, err
    assert "for exact scores" not in err
    own, exact = (pl.read_csv(tmp_path / f"{n}.csv")["log_prob"] for n in "se")
    assert len(own) == len(exact)
    code, out, err = run("sample", model, "-n", 20)
    assert code == 0, err
    assert out.count("\n") == 21


@pytest.mark.parametrize("system", SYSTEMS)
def test_the_report_shows_the_paths(home, tmp_path, system):
    page = tmp_path / "r.html"
    code, out, err = run("report", home / f"{system}.flow", home / "table.csv", "--out", page, "--json")
    assert code == 0, err
    solver = json.loads(out)["scores"]["solver"]
    assert solver["sentence"].startswith("solved exactly")
    assert ("From data to noise" in page.read_text()) == (system != "residual")


def test_bad_arguments_are_sentences(home, tmp_path):
    table, out = home / "table.csv", ("--out", tmp_path / "m.flow")
    for flow, setting, words in (
        ("residual", "lipschitz=1", "expected residual.lipschitz in (0, 1)"),
        ("ffjord", "probes=0", "probes >= 1"),
        ("otflow", "steps=0", "steps >= 1"),
        ("ffjord", "solver=euler", "expected ffjord.solver to be one of"),
    ):
        refused(run("fit", table, "--drop", "id", "--flow", flow, "--set", setting, *out), 2, words)


def test_a_learned_graph_is_told_and_kept(tmp_path):
    """`fit` prints the parents of each column by name, and `inspect` shows them from the file."""
    rng = np.random.default_rng(0)
    cause, other = rng.normal(size=(2, 300))
    table = pl.DataFrame({"effect": cause * other + 0.3 * rng.normal(size=300), "cause": cause, "other": other})
    table.write_csv(tmp_path / "t.csv")
    command = ["fit", tmp_path / "t.csv", "--flow", "graphical", "--hidden", 8, "--set", "bins=3", "--epochs", 3]
    code, _, err = run(*command, "--no-baselines", "--out", tmp_path / "g.flow")
    assert code == 0, err
    lines = [line.strip() for line in err.splitlines() if " given " in line]
    assert [line.split(" given ")[0] for line in lines] == ["effect", "cause", "other"]
    shown = run("inspect", tmp_path / "g.flow")[1]
    assert all(line in shown for line in lines)
