"""The systems of examples/own_systems: short, right by all laws, and usable from the command line as another package."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
FOLDER = ROOT / "examples" / "own_systems"
SYSTEMS = {"flow_gmm": "flow-gmm", "moebius": "moebius", "pixel_cnn": "pixel-cnn"}


@pytest.fixture
def environment(tmp_path):
    """Variables of an environment in which the three files are a package that registers its systems."""
    info = tmp_path / "own-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: own\nVersion: 1.0\n")
    points = "\n".join(f"{system} = {module}" for module, system in SYSTEMS.items())
    (info / "entry_points.txt").write_text(f"[pushforward.systems]\n{points}\n")
    path = os.pathsep.join([str(tmp_path), str(FOLDER), str(ROOT / "src")])
    return {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}


def run(environment, folder, *words):
    command = [sys.executable, "-m", *words]
    done = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("module", SYSTEMS)
def test_a_system_takes_at_most_80_lines(module):
    assert len((FOLDER / f"{module}.py").read_text().splitlines()) <= 80


@pytest.mark.dear
@pytest.mark.parametrize("module", SYSTEMS)
def test_all_laws_hold(module, environment, tmp_path):
    out = run(environment, tmp_path, "pushforward.laws", "check", "--module", module)
    assert "FAIL" not in out
    assert f"{SYSTEMS[module]}-0: " in out


@pytest.mark.dear
@pytest.mark.parametrize("module", SYSTEMS)
def test_cheap_laws_hold(module, environment, tmp_path):
    run(environment, tmp_path, "pushforward.laws", "check", "--quick", "--module", module, f"{SYSTEMS[module]}-0")


def points():
    x = np.random.default_rng(0).normal([2, 0, 0], size=(60, 3))
    return x / np.linalg.norm(x, axis=1, keepdims=True)


@pytest.mark.dear
def test_a_flow_on_the_sphere_models_a_table_of_directions(environment, tmp_path):
    np.savetxt(tmp_path / "winds.csv", points(), delimiter=",", header="x,y,z", comments="", fmt="%.5f")
    run(
        environment,
        tmp_path,
        "pushforward",
        "fit",
        "winds.csv",
        "--flow",
        "moebius",
        "--max-steps",
        "3",
        "--out",
        "m.flow",
    )
    run(environment, tmp_path, "pushforward", "sample", "m.flow", "-n", "5", "--out", "drawn.csv")
    drawn = np.loadtxt(tmp_path / "drawn.csv", delimiter=",", skiprows=1)
    assert np.linalg.norm(drawn, axis=1) == pytest.approx(np.ones(5), abs=1e-5)


@pytest.mark.dear
def test_a_mixture_for_each_class_models_a_table_with_a_label(environment, tmp_path):
    rows = "\n".join(f"{x:.4f},{y:.4f},{'ab'[i % 2]}" for i, (x, y, _) in enumerate(points()))
    (tmp_path / "rows.csv").write_text(f"x,y,kind\n{rows}\n")
    run(
        environment,
        tmp_path,
        "pushforward",
        "fit",
        "rows.csv",
        "--flow",
        "flow-gmm",
        "--max-steps",
        "3",
        "--out",
        "m.flow",
    )
    assert '"symbol": "="' in run(environment, tmp_path, "pushforward", "score", "m.flow", "rows.csv", "--json")


@pytest.mark.dear
def test_a_pixel_cnn_compresses_without_loss(environment, tmp_path):
    pictures = (np.random.default_rng(0).random((8, 3, 3)) < 0.3).astype(np.uint8)
    np.save(tmp_path / "p.npy", pictures)
    fit = ["fit", "p.npy", "--flow", "pixel-cnn", "--levels", "2", "--max-steps", "2", "--out", "m.flow"]
    run(environment, tmp_path, "pushforward", *fit)
    run(environment, tmp_path, "pushforward", "compress", "m.flow", "p.npy", "--out", "p.pfz", "--rows", "8")
    run(environment, tmp_path, "pushforward", "decompress", "p.pfz", "--model", "m.flow", "--out", "back")
    assert np.array_equal(np.load(tmp_path / "back" / "p.npy"), pictures)


def test_a_package_whose_system_cannot_be_imported_is_left_out(environment, tmp_path):
    only_metadata = {**environment, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT / "src")])}
    code = "import pushforward as pf; pf.build('maf', features=2)"
    done = subprocess.run([sys.executable, "-c", code], env=only_metadata, capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert "the system 'moebius' of another package is left out" in done.stderr
