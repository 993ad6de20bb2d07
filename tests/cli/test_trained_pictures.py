import json
import signal

import numpy as np
import polars as pl
import pytest
import torch
from command_line import process, refused, run
from PIL import Image

import pushforward as pf
from pushforward.cli.trained_pictures import TrainedPictures
from pushforward.pictures import datasets, read_images

SMALLEST = ["--preset", "tiny", "--set", "steps=1", "--set", "hidden=8", "--set", "scales=1"]
ONE = [*SMALLEST, "--epochs", 1]


def levels(rows, shape=(1, 8, 8), top=4, seed=0):
    return np.random.default_rng(seed).integers(0, top, (rows, *shape), dtype=np.uint8)


def folder(path, shapes, seed=0):
    """PNG files of noise, one for each shape (H, W) or (H, W, C)."""
    rng = np.random.default_rng(seed)
    path.mkdir(parents=True)
    for i, shape in enumerate(shapes):
        Image.fromarray(rng.integers(0, 256, shape, dtype=np.uint8)).save(path / f"{i}.png")
    return path


def held(path):
    """Everything below a folder."""
    return sorted(str(item.relative_to(path)) for item in path.rglob("*"))


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """Models of digits, of four levels (also by label), of a folder by class in colour, and of a table."""
    home = tmp_path_factory.mktemp("pictures")
    x, y = levels(40), np.arange(40) % 3
    np.savez(home / "x.npz", x=x, y=y, smile=np.arange(40) % 2)
    np.savez(home / "parts.npz", train_x=x[:30], train_y=y[:30], test_x=x[30:], test_y=y[30:])
    np.save(home / "x.npy", x[:, 0])
    np.save(home / "a.npy", x[:1])
    np.save(home / "b.npy", x[1:2])
    np.save(home / "large.npy", levels(5, (1, 16, 16)))
    (home / "t.csv").write_text("a,b\n" + "".join(f"{i}.5,{i * i % 7}\n" for i in range(60)))
    for name in ("cat", "dog"):
        folder(home / "classes" / name, [(8, 10, 3)] * 8)
    fits = {
        "digits": ["digits", *SMALLEST[:-2], "--epochs", 2, "--grids", home / "grids", "--metrics", home / "m.jsonl"],
        "x": [home / "x.npz", *ONE, "--levels", 4, "--flips"],
        "label": [home / "parts.npz", *ONE, "--levels", 4, "--label", "label"],
        "classes": [home / "classes", *ONE, "--image-size", 8, "--label", "label"],
        "table": [home / "t.csv", "--layers", 1, "--hidden", 8, "--epochs", 1],
    }
    for name, options in fits.items():
        code, out, err = run("fit", *options, "--out", home / f"{name}.flow", "--json")
        assert code == 0, err
        (home / f"{name}.json").write_text(out)
        (home / f"{name}.txt").write_text(err)
    return home


def record(home, name):
    return json.loads((home / f"{name}.json").read_text())


# --- fit -----------------------------------------------------------------------------------------------------------------


def test_a_named_set_is_fitted_on_its_parts(home):
    found = record(home, "digits")
    assert found["system"] == "glow"
    assert found["data"]["pictures"] == {"train": 1200, "valid": 300, "test": 297}
    assert (found["spec"]["shape"], found["spec"]["levels"], found["spec"]["classes"]) == ([1, 8, 8], 17, 0)
    scores = found["scores"]
    assert (scores["rows"], scores["events"], scores["symbol"]) == ("test", 297, "<=")
    uniform = next(entry for entry in scores["baselines"] if entry["name"] == "uniform")
    assert uniform["value"] == pytest.approx(np.log2(17))
    assert scores["value"] < uniform["value"]
    text = (home / "digits.txt").read_text()
    assert "1,200 to train, 300 to validate, 297 to test" in text
    assert "epoch 2/2" in text
    assert not list(home.glob("*.checkpoint"))


def test_presets_and_single_arguments(home):
    # --preset tiny has steps=2 and hidden=16, which --set replaces, and scales=2
    spec = record(home, "digits")["spec"]
    assert (spec["scales"], spec["steps"], spec["hidden"]) == (2, 1, 8)


def test_hidden_goes_before_the_preset(home, tmp_path):
    command = ["fit", home / "x.npz", "--preset", "tiny", "--hidden", 6, "--epochs", 1, "--json", "-q"]
    code, out, err = run(*command, "--out", tmp_path / "m.flow")
    assert (code, err) == (0, "")
    spec = json.loads(out)["spec"]
    assert (spec["hidden"], spec["steps"], spec["levels"]) == (6, 2, 256)


def test_a_grid_and_a_line_for_each_epoch(home):
    assert held(home / "grids") == ["epoch-0001.png", "epoch-0002.png"]
    with Image.open(home / "grids" / "epoch-0002.png") as grid:
        # 8 x 8 pictures of 8 x 8 pixels, each enlarged to 64 x 64, with a line between and around them
        assert (grid.mode, grid.size) == ("L", (8 * 65 + 1, 8 * 65 + 1))
    lines = [json.loads(line) for line in (home / "m.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines] == [1, 2]
    for line in lines:
        # bits per dimension are nats over log 2 and the 64 dimensions
        assert line["bits"] == pytest.approx(-line["validation"] / 64 / np.log(2))


def test_folders_by_class_are_resized(home):
    found = record(home, "classes")
    assert (found["spec"]["shape"], found["spec"]["classes"]) == ([3, 8, 8], 2)
    assert (found["data"]["label"], found["data"]["classes"]) == ("label", ["cat", "dog"])
    # 16 pictures: 0.1 of them are held out to test, and 0.1 of the others to validate
    assert sum(found["data"]["pictures"].values()) == 16
    assert "colour" in (home / "classes.txt").read_text()


def test_arrays_with_and_without_parts(home, tmp_path):
    # without a validation part a tenth of the training pictures is taken; the test part is as given
    assert record(home, "label")["data"]["pictures"] == {"train": 27, "valid": 3, "test": 10}
    assert record(home, "label")["spec"]["classes"] == 3
    assert record(home, "x")["data"]["pictures"] == {"train": 32, "valid": 4, "test": 4}
    command = ["fit", home / "x.npy", *ONE, "--json", "-q", "--test", 0, "--validation", 0]
    code, out, err = run(*command, "--out", tmp_path / "m.flow")
    assert (code, err) == (0, "")
    assert json.loads(out)["data"]["pictures"] == {"train": 40}
    assert json.loads(out)["scores"] is None


@pytest.mark.parametrize("name", ["realnvp", "nice", "nsf"])
def test_systems_of_tables_map_to_their_twins(home, tmp_path, name):
    command = ["fit", home / "x.npz", "--levels", 4, "--flow", name, "--preset", "tiny", "--epochs", 1, "-q", "--json"]
    code, out, err = run(*command, "--out", tmp_path / "m.flow")
    assert (code, err) == (0, "")
    assert json.loads(out)["system"] == f"{name}-image"


def test_flips_double_what_is_seen(tmp_path):
    # every picture is dark on the left; only a flipped one is dark on the right
    x = levels(32)
    x[..., :4], x[..., 4:] = 0, 3
    np.save(tmp_path / "x.npy", x)
    bits = {}
    for flips in ([], ["--flips"]):
        command = ["fit", tmp_path / "x.npy", "--levels", 4, *SMALLEST, "--epochs", 40, "--lr", 0.01, "-q", "--test", 0]
        assert run(*command, *flips, "--out", tmp_path / "m.flow")[0] == 0
        np.save(tmp_path / "mirrored.npy", x[..., ::-1])
        for name in ("x", "mirrored"):
            out = run("score", tmp_path / "m.flow", tmp_path / f"{name}.npy", "--json")[1]
            bits[name, bool(flips)] = json.loads(out)["value"]
    assert bits["x", False] + 0.2 < bits["mirrored", False]
    assert bits["x", True] == pytest.approx(bits["mirrored", True], abs=0.1)


def test_the_summary_of_a_fit(home, tmp_path):
    code, out, err = run("fit", home / "x.npz", *ONE, "--levels", 4, "--out", tmp_path / "m.flow")
    assert code == 0
    for words in ("bits per dimension of 4 test pictures", "bits/dim", "independent pixels", "uniform", "2.000",
                  "<= is an upper bound"):  # fmt: skip
        assert words in out
    assert f"wrote {tmp_path / 'm.flow'}" in err
    code, out, _ = run("fit", home / "x.npz", *ONE, "--out", tmp_path / "m.flow", "--no-baselines")
    assert "independent pixels" not in out


def test_the_same_seed_gives_the_same_model(home, tmp_path):
    for name in ("a", "b"):
        command = ["fit", home / "x.npz", "--levels", 4, *ONE, "--seed", 3, "-q", "--out", tmp_path / name]
        assert run(*command) == (0, "", "")
    first, second = (pf.load(tmp_path / name).model.state_dict() for name in ("a", "b"))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_ctrl_c_saves_and_resume_ends_with_the_same_weights(home, tmp_path):
    command = ["fit", home / "x.npz", "--levels", 4, *SMALLEST, "--schedule", "constant", "--patience", 0]
    out = tmp_path / "m.flow"
    options = {"preexec_fn": lambda: signal.signal(signal.SIGINT, signal.default_int_handler)}
    with process(*command, "--out", out, "--epochs", 9_000, **options) as long:
        for line in long.stderr:
            if line.startswith("epoch 1/"):
                long.send_signal(signal.SIGINT)
                break
        last = long.stderr.read().splitlines()
        assert long.wait(timeout=60) == 130
    assert f"is in {out}; go on with the same command and --resume {out}.checkpoint" in last[-1]
    epochs = json.loads(run("inspect", out, "--json")[1])["training"]["epochs"] + 3
    again = [*command, "--epochs", epochs]
    refused(run(*again, "--out", out), 2, "interrupted run", "--resume")
    code, _, err = run(*again, "--out", out, "--resume", f"{out}.checkpoint")
    assert code == 0, err
    assert run(*again, "--out", tmp_path / "direct.flow")[0] == 0
    resumed, direct = (pf.load(tmp_path / name).model.state_dict() for name in ("m.flow", "direct.flow"))
    assert all(torch.equal(resumed[name], direct[name]) for name in direct)
    assert held(tmp_path) == ["direct.flow", "m.flow"]


# --- sample, interpolate, edit, resample ------------------------------------------------------------------------------------


def test_samples_as_a_grid_and_as_arrays(home, tmp_path):
    for suffix in (".png", ".npy", ".npz"):
        for name in ("one", "two"):
            code, out, _ = run("sample", home / "digits.flow", "-n", 70, "--out", tmp_path / f"{name}{suffix}")
            assert (code, out) == (0, "")
        assert (tmp_path / f"one{suffix}").read_bytes() == (tmp_path / f"two{suffix}").read_bytes()
    x = np.load(tmp_path / "one.npy")
    assert (x.shape, x.dtype) == ((70, 1, 8, 8), np.uint8)
    assert x.max() <= 16
    assert len(np.unique(x, axis=0)) == 70
    with np.load(tmp_path / "one.npz") as arrays:
        np.testing.assert_array_equal(arrays["x"], x)
    run("sample", home / "digits.flow", "-n", 70, "--out", tmp_path / "other.npy", "--seed", 1)
    assert (np.load(tmp_path / "other.npy") != x).any()
    assert run("sample", home / "digits.flow", "--out", tmp_path / "default.npy", "-q") == (0, "", "")
    assert len(np.load(tmp_path / "default.npy")) == 64


def test_temperature(home, tmp_path):
    spread = []
    for temperature in (0, 0.5, 1):
        run("sample", home / "digits.flow", "-n", 50, "--out", tmp_path / "s.npy", "--temperature", temperature)
        spread.append(np.load(tmp_path / "s.npy").std(0).mean())
    assert spread[0] == 0
    assert spread[0] < spread[1] < spread[2]


def test_samples_of_a_class(home, tmp_path):
    for label in ("dog", "1", "0"):
        code, _, err = run(
            "sample", home / "classes.flow", "-n", 6, "--label", label, "--out", tmp_path / f"{label}.npy"
        )
        assert code == 0, err
    assert (tmp_path / "dog.npy").read_bytes() == (tmp_path / "1.npy").read_bytes()
    saved = pf.load(home / "classes.flow")
    assert saved.spec.classes == 2
    # all classes in turn: as many as there are pictures, also where the number of classes does not divide it
    assert run("sample", home / "label.flow", "-n", 7, "--out", tmp_path / "turn.npy")[0] == 0
    assert len(np.load(tmp_path / "turn.npy")) == 7


def test_the_nearest_pictures_are_shown_below(home, tmp_path):
    code, _, err = run("sample", home / "x.flow", "-n", 10, "--out", tmp_path / "s.png", "--nearest", home / "x.npz")
    assert code == 0, err
    assert "nearest pictures" in err
    with Image.open(tmp_path / "s.png") as grid:
        # two rows of samples, of 8 and of 2, each above a row of neighbours
        assert grid.size == (8 * 65 + 1, 4 * 65 + 1)
        pixels = np.asarray(grid)
    cells = pixels[1 + 32 :: 65, 1::65].shape
    assert cells == (4, 9) or cells == (4, 8)
    shades = {tuple(p) for p in np.rint(np.load(home / "x.npz")["x"].reshape(40, -1) * 85.0).astype(int)}
    for column in range(8):
        cell = pixels[66 : 66 + 64 : 8, 1 + 65 * column : 65 + 65 * column : 8]
        assert tuple(cell.flatten().tolist()) in shades


def test_interpolation_begins_and_ends_with_the_pictures(home, tmp_path):
    a, b = np.load(home / "a.npy")[0], np.load(home / "b.npy")[0]
    ways = {}
    for name, options in {"sphere": [], "line": ["--linear"]}.items():
        command = ["interpolate", home / "x.flow", home / "a.npy", home / "b.npy", "--steps", 5, *options]
        code, out, err = run(*command, "--out", tmp_path / f"{name}.npy")
        assert (code, out) == (0, ""), err
        ways[name] = np.load(tmp_path / f"{name}.npy")
        assert ways[name].shape == (5, 1, 8, 8)
        np.testing.assert_array_equal(ways[name][0], a)
        np.testing.assert_array_equal(ways[name][-1], b)
    assert (ways["sphere"] != ways["line"]).any()
    assert run(*command[:4], "--out", tmp_path / "s.png")[0] == 0
    with Image.open(tmp_path / "s.png") as strip:
        assert strip.size == (9 * 65 + 1, 65 + 1)
    by_label = ["interpolate", home / "label.flow", home / "a.npy", home / "b.npy", "--out", tmp_path / "l.npy"]
    assert run(*by_label, "--label", 2)[0] == 0
    np.testing.assert_array_equal(np.load(tmp_path / "l.npy")[[0, -1]], [a, b])


@pytest.mark.parametrize("attribute", ["smile", "label=2"])
def test_editing_moves_pictures_but_not_by_nothing(home, tmp_path, attribute):
    command = ["edit", home / "x.flow", home / "x.npz", "--attribute", attribute, "--strength", "-3..3"]
    code, out, err = run(*command, "--steps", 5, "--rows", 4, "--out", tmp_path / "e.npy")
    assert (code, out) == (0, ""), err
    with_it = 20 if attribute == "smile" else 13
    assert f"{with_it} pictures with {attribute} minus that of {40 - with_it} without" in err
    moved = np.load(tmp_path / "e.npy").reshape(4, 5, 1, 8, 8)
    np.testing.assert_array_equal(moved[:, 2], np.load(home / "x.npz")["x"][:4])
    for column in (0, 4):
        assert (moved[:, column] != moved[:, 2]).any((1, 2, 3)).all()
    assert run(*command, "--out", tmp_path / "e.png")[0] == 0
    with Image.open(tmp_path / "e.png") as grid:
        assert grid.size == (5 * 65 + 1, 8 * 65 + 1)


def test_resampling_keeps_what_it_is_told_to(home, tmp_path):
    command = ["resample", home / "digits.flow", "digits", "--rows", 3, "--columns", 4]
    for keep in (1, 2):
        code, out, err = run(*command, "--keep", keep, "--out", tmp_path / f"{keep}.npy")
        assert (code, out) == (0, ""), err
        assert f"kept {keep} of 2 codes" in err
    some, all_of_them = (np.load(tmp_path / f"{keep}.npy").reshape(3, 4, 1, 8, 8) for keep in (1, 2))
    for column in range(4):
        np.testing.assert_array_equal(all_of_them[:, column], some[:, 0])
    for column in (1, 2, 3):
        assert (some[:, column] != some[:, 0]).any((1, 2, 3)).all()
    np.testing.assert_array_equal(some[:, 0], read_images("digits").test.images[:3])
    assert run(*command, "--out", tmp_path / "r.png")[0] == 0
    with Image.open(tmp_path / "r.png") as grid:
        assert grid.size == (4 * 65 + 1, 3 * 65 + 1)


# --- score, inspect, systems ----------------------------------------------------------------------------------------------


def test_scores_of_the_test_part(home, tmp_path):
    code, out, err = run("score", home / "digits.flow", "digits", "--out", tmp_path / "s.csv")
    assert (code, out) == (0, "")
    assert "digits: 297 test pictures: <= " in err
    assert "upper bound" in err
    scores = pl.read_csv(tmp_path / "s.csv")
    assert (scores.columns, scores.height) == (["log_prob"], 297)
    code, out, err = run("score", home / "digits.flow", "digits", "--json")
    assert code == 0, err
    found = json.loads(out)
    assert {"value", "error", "symbol", "samples"} <= set(found)
    assert (found["symbol"], found["samples"], found["events"]) == ("<=", 1, 297)
    bits = -scores["log_prob"].to_numpy() / 64 / np.log(2)
    assert found["value"] == pytest.approx(bits.mean(), rel=1e-6)
    assert found["error"] == pytest.approx(bits.std(ddof=1) / np.sqrt(297), rel=1e-3)
    assert found["value"] == pytest.approx(record(home, "digits")["scores"]["value"], rel=1e-6)
    tighter = json.loads(run("score", home / "digits.flow", "digits", "--json", "--samples", 8)[1])
    assert tighter["samples"] == 8
    assert found["value"] - 0.1 < tighter["value"] < found["value"]


def test_the_least_likely_pictures(home):
    code, out, _ = run("score", home / "classes.flow", home / "classes", "--top", 3, "-q")
    assert code == 0
    lines = [line.split() for line in out.splitlines()]
    assert lines[0] == ["picture", "log_prob", "bits/dim", "file"]
    assert len(lines) == 4
    scores = [float(line[1]) for line in lines[1:]]
    assert scores == sorted(scores)
    files = sorted((home / "classes").rglob("*.png"))
    for line in lines[1:]:
        assert line[3] == str(files[int(line[0]) - 1])
        assert float(line[2]) == pytest.approx(-float(line[1]) / 192 / np.log(2), abs=2e-3)
    found = json.loads(run("score", home / "classes.flow", home / "classes", "--top", 3, "--json")[1])
    assert [row["log_prob"] for row in found["least_likely"]] == pytest.approx(scores, rel=1e-3)


def test_inspect(home):
    code, out, err = run("inspect", home / "classes.flow")
    assert (code, err) == (0, "")
    for words in ("a model of pictures", "glow: Kingma", "shape=3,8,8", "classes, pictures: ", "to validate",
                  "label: cat, dog", "1 epochs", "nats per picture", "bits/dim"):  # fmt: skip
        assert words in out
    assert "=," not in out
    document = json.loads(run("inspect", home / "digits.flow", "--json")[1])
    assert document["training"]["scores"]["events"] == 297


def test_systems_show_the_presets():
    code, out, err = run("systems", "glow")
    assert (code, err) == (0, "")
    for words in ("--preset tiny: scales=2, steps=2, hidden=16", "--preset small", "--preset paper", "given by the pictures",
                  "pushforward fit pictures/ --flow glow"):  # fmt: skip
        assert words in out


# --- bad input ---------------------------------------------------------------------------------------------------------------


def make_bad(path, case):
    """A folder of pictures that cannot be learned from as it is."""
    shapes = {
        "mixed sizes": [(8, 8)] * 5 + [(8, 12)],
        "mixed kinds": [(8, 8)] * 5 + [(8, 8, 3)] * 4,
        "alpha": [(8, 8, 4)] * 5,
        "one": [(8, 8)],
        "empty": [],
    }
    folder(path, shapes.get(case, [(8, 8)] * 5))
    if case == "16 bits":
        Image.fromarray(np.full((8, 8), 40_000, dtype=np.uint16)).save(path / "7.png")
    if case == "no picture":
        (path / "7.png").write_bytes(b"nothing")
    if case == "truncated":
        (path / "7.png").write_bytes((path / "1.png").read_bytes()[:60])


BAD_FOLDERS = {
    "mixed sizes": ["8 x 8 in 0.png", "12 x 8 in 5.png", "--image-size"],
    "mixed kinds": ["5 grey (0.png)", "4 in colour (5.png)"],
    "16 bits": ["7.png", "8 bits", "16"],
    "alpha": ["0.png", "transparent"],
    "no picture": ["7.png", "expected a picture"],
    "truncated": ["7.png", "truncated"],
    "empty": ["expected pictures", "got none"],
    "one": ["got 1"],
}


@pytest.mark.parametrize("case", BAD_FOLDERS)
def test_bad_folders(tmp_path, case):
    make_bad(tmp_path / "p", case)
    before = held(tmp_path)
    command = ["fit", tmp_path / "p", "--out", tmp_path / "m.flow", *ONE, "--grids", tmp_path / "g"]
    refused(run(*command), 1, str(tmp_path / "p"), *BAD_FOLDERS[case])
    assert held(tmp_path) == before


BAD_FITS = [
    (["mnits"], 1, ["mnits", "did you mean 'mnist'"]),
    (["mnits", "--preset", "tiny"], 1, ["did you mean 'mnist'"]),
    (["X.npz", "--levels", 3], 1, ["X.npz", "0 to 2", "got 3", "--levels"]),
    (["X.npz", "--levels", 1], 1, ["2 to 256 levels"]),
    (["X.npz", "--flow", "glow", "--image-size", 7], 2, ["7 x 7", "--image-size"]),
    (["X.npz", "--image-size", 0], 2, ["--image-size"]),
    (["T.csv", "--image-size", 8], 2, ["--image-size", "T.csv is a table"]),
    (["T.csv", "--flow", "glow"], 2, ["glow models pictures, not tables"]),
    (["X.npz", "--kind", "a=integer"], 2, ["--kind", "tables"]),
    (["X.npz", "--flow", "maf"], 2, ["maf models tables", "realnvp-image"]),
    (["X.npz", "--flow", "glwo"], 2, ["'glwo'", "did you mean 'glow'"]),
    (["X.npz", "--preset", "huge"], 2, ["'huge'", "paper, small, tiny"]),
    (["X.npz", "--set", "shape=1,2,2"], 2, ["'shape'", "follows from the pictures"]),
    (["X.npz", "--set", "stepps=1"], 2, ["'stepps'", "did you mean 'steps'"]),
    (["X.npz", "--label", "colour"], 1, ["'colour'", "'smile'"]),
    (["X.npz", "--test", 39], 1, ["at least 2", "40"]),
    (["X.npz", "--batch-size", 0], 2, ["batch_size"]),
    (["X.npz", "--grids", "m.flow"], 2, ["--grids m.flow"]),
    (["X.npz", "--grids", "m.flow.checkpoint"], 2, ["--grids m.flow.checkpoint"]),
    (["X.npz", "--grids", "T.csv"], 1, ["--grids", "it is a file"]),
    (["X.npz", "--grids", "absent/g"], 1, ["absent/g", "no directory absent"]),
]


@pytest.mark.parametrize(("arguments", "code", "words"), BAD_FITS, ids=lambda value: str(value)[:40])
def test_bad_fits(home, tmp_path, monkeypatch, arguments, code, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "X.npz").write_bytes((home / "x.npz").read_bytes())
    (tmp_path / "T.csv").write_bytes((home / "t.csv").read_bytes())
    grids = [] if "--grids" in arguments or arguments[0] == "T.csv" else ["--grids", "g"]
    refused(run("fit", *arguments, *grids, "--out", "m.flow"), code, *words)
    assert held(tmp_path) == ["T.csv", "X.npz"]


def test_more_in_a_batch_than_there_are_pictures(home, tmp_path):
    # the largest batch is all pictures
    command = ["fit", home / "x.npz", *ONE, "--batch-size", 500, "-q"]
    assert run(*command, "--out", tmp_path / "m.flow")[0] == 0


def test_classes_by_name_not_by_number(home, tmp_path):
    # dog is number 1 of the model's classes, and number 0 of a folder without cats
    for name in ("0.png", "1.png"):
        (tmp_path / "dogs" / "dog").mkdir(parents=True, exist_ok=True)
        (tmp_path / "dogs" / "dog" / name).write_bytes((home / "classes" / "dog" / name).read_bytes())
    loaded = TrainedPictures.open(str(home / "classes.flow"), torch.device("cpu"))
    context = loaded.context_of(loaded.read(str(tmp_path / "dogs")).train)
    assert context.tolist() == [[0.0, 1.0], [0.0, 1.0]]
    (tmp_path / "dogs" / "dog").rename(tmp_path / "dogs" / "bird")
    refused(run("score", home / "classes.flow", tmp_path / "dogs"), 1, "'cat', 'dog'", "'bird'")


def test_a_label_with_numbers_beyond_all_classes(home, tmp_path):
    np.savez(tmp_path / "x.npz", x=levels(20), y=np.arange(20) * 3000)
    refused(run("fit", tmp_path / "x.npz", "--label", "label", "--out", tmp_path / "m.flow"), 1, "1,000", "57,000")
    assert held(tmp_path) == ["x.npz"]


def test_editing_by_the_name_of_a_class(home, tmp_path):
    for value in ("1", "dog"):
        command = ["edit", home / "classes.flow", home / "classes", "--attribute", f"label={value}"]
        assert run(*command, "--out", tmp_path / f"{value}.npy")[0] == 0
    assert (tmp_path / "1.npy").read_bytes() == (tmp_path / "dog.npy").read_bytes()


def test_damaged_arrays(home, tmp_path):
    whole = (home / "x.npy").read_bytes()
    bad = {"half.npy": whole[:500], "header.npy": whole.replace(b"(40,", b"(40(("), "half.npz": b"PK\x03\x04 no more"}
    for name, content in bad.items():
        (tmp_path / name).write_bytes(content)
        refused(run("fit", tmp_path / name, "--out", tmp_path / "m.flow"), 1, name, "damaged or truncated")
    assert held(tmp_path) == sorted(bad)


def test_without_a_network(tmp_path, monkeypatch):
    def fails(*_, **__):
        return "no connection"

    monkeypatch.delenv("PUSHFORWARD_DATA", raising=False)
    monkeypatch.setenv("PUSHFORWARD_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(datasets, "_download", fails)
    result = run("fit", "mnist", "--out", tmp_path / "m.flow", "--grids", tmp_path / "g")
    refused(result, 1, "train-images-idx3-ubyte.gz", "no connection", "by hand", str(tmp_path / "cache"))
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    assert not (tmp_path / "g").exists()


BAD_USES = [
    (["sample", "digits"], 2, ["--out", ".png, .npy, .npz"]),
    (["sample", "digits", "--out", "s.csv"], 2, ["--out", ".png, .npy, .npz"]),
    (["sample", "digits", "--out", "absent/s.png"], 1, ["cannot be written"]),
    (["sample", "digits", "--out", "s.png", "--label", "3"], 2, ["no label", "--label"]),
    (["sample", "classes", "--out", "s.png", "--label", "dgo"], 2, ["'dgo'", "did you mean 'dog'"]),
    (["sample", "label", "--out", "s.png", "--label", "7"], 2, ["'7'", "0, 1, 2"]),
    (["sample", "digits", "--out", "s.png", "--temperature", "-1"], 2, ["--temperature"]),
    (["sample", "digits", "--out", "s.png", "--nearest", "LARGE"], 1, ["8 x 8", "16 x 16"]),
    (["sample", "digits", "--out", "s.png", "--nearest", "absent.npy"], 1, ["absent.npy"]),
    (["sample", "table", "--out", "s.csv", "--temperature", "0.5"], 2, ["models of pictures"]),
    (["interpolate", "x", "A", "X", "--out", "s.png"], 1, ["one picture", "got 40"]),
    (["interpolate", "x", "A", "LARGE", "--out", "s.png"], 1, ["8 x 8", "16 x 16"]),
    (["interpolate", "x", "A", "absent.png", "--out", "s.png"], 1, ["absent.png"]),
    (["interpolate", "x", "A", "B", "--out", "s.png", "--steps", 1], 2, ["--steps"]),
    (["interpolate", "x", "A", "B", "--out", "s.png", "--label", 1], 2, ["no label"]),
    (["interpolate", "label", "A", "B", "--out", "s.png"], 2, ["--label"]),
    (["interpolate", "x", "A", "B", "--out", "B"], 2, ["input"]),
    (["interpolate", "table", "A", "B", "--out", "s.png"], 1, ["expected a model of pictures"]),
    (["edit", "x", "X", "--attribute", "label", "--out", "s.png"], 2, ["3 values", "(0, 1, 2)", "--attribute label="]),
    (["edit", "x", "X", "--attribute", "smlie", "--out", "s.png"], 1, ["'smlie'", "'smile'"]),
    (["edit", "x", "X", "--attribute", "label=9", "--out", "s.png"], 2, ["label=9"]),
    (["edit", "x", "LARGE", "--attribute", "label", "--out", "s.png"], 1, ["8 x 8", "16 x 16"]),
    (["edit", "x", "X", "--attribute", "smile", "--out", "s.png", "--strength", "2"], 2, ["LOW..HIGH", "'2'"]),
    (["edit", "x", "X", "--attribute", "smile", "--out", "s.png", "--strength", "2..1"], 2, ["LOW..HIGH", "'2..1'"]),
    (["edit", "x", "X", "--attribute", "smile", "--out", "s.png", "--strength", "nan..1"], 2, ["LOW..HIGH"]),
    (["edit", "x", "X", "--attribute", "smile", "--out", "X"], 2, ["input"]),
    (["edit", "table", "X", "--attribute", "smile", "--out", "s.png"], 1, ["expected a model of pictures"]),
    (["resample", "digits", "digits", "--keep", 3, "--out", "s.png"], 2, ["--keep", "1 to 2", "got 3"]),
    (["resample", "digits", "digits", "--keep", 0, "--out", "s.png"], 2, ["--keep"]),
    (["resample", "digits", "LARGE", "--out", "s.png"], 1, ["8 x 8", "16 x 16"]),
    (["resample", "table", "digits", "--out", "s.png"], 1, ["expected a model of pictures"]),
    (["resample", "digits", "digits", "--out", "s.jpg"], 2, ["--out", ".png, .npy, .npz"]),
    (["score", "digits", "LARGE"], 1, ["8 x 8", "16 x 16"]),
    (["score", "digits", "TABLE"], 1, ["t.csv"]),
    (["score", "digits", "digits", "--out", "s.png"], 2, ["--out"]),
    (["score", "digits", "digits", "--drop", "a"], 2, ["--drop"]),
    (["score", "digits", "digits", "--top", -1], 2, ["--top"]),
    (["score", "digits", "digits", "--json", "--out", "-"], 2, ["--json"]),
    (["score", "label", "NOLABEL"], 1, ["'label'"]),
    (["report", "digits", "digits", "--drop", "a", "--out", "r.html"], 2, ["--drop"]),
    (["report", "digits", "LARGE", "--out", "r.html"], 1, ["8 x 8", "16 x 16"]),
]


@pytest.mark.parametrize(("arguments", "code", "words"), BAD_USES, ids=lambda value: str(value)[:40])
def test_bad_uses(home, tmp_path, monkeypatch, arguments, code, words):
    monkeypatch.chdir(tmp_path)
    names = {
        "A": "a.npy",
        "B": "b.npy",
        "X": "x.npz",
        "NOLABEL": "x.npy",
        "LARGE": "large.npy",
        "TABLE": "t.csv",
    }
    before = held(home)
    command, model, *rest = arguments
    rest = [home / names[argument] if argument in names else argument for argument in rest]
    refused(run(command, home / f"{model}.flow", *rest), code, *words)
    assert held(home) == before
    assert held(tmp_path) == []


def test_values_that_are_not_of_the_model(home, tmp_path):
    np.save(tmp_path / "x.npy", levels(5, top=9) + 2)
    result = run("score", home / "x.flow", tmp_path / "x.npy")
    refused(result, 1, "x.npy", "0 to 3", "levels of the model")
    assert "--levels" not in result[2]
    folder(tmp_path / "p", [(8, 8)] * 2 + [(8, 9)])
    result = run("score", home / "x.flow", tmp_path / "p")
    refused(result, 1, "2 sizes", "size of the pictures of the model")
    assert "--image-size" not in result[2]


@pytest.mark.parametrize("command", ["sample", "score", "interpolate", "edit", "resample", "inspect"])
def test_damaged_models(home, tmp_path, command):
    whole = (home / "x.flow").read_bytes()
    files = {"truncated": whole[: 300 if command == "inspect" else -200], "foreign": b"a,b\n1,2\n" * 50, "empty": b""}
    rest = {
        "score": [home / "x.npz"],
        "interpolate": [home / "a.npy", home / "b.npy"],
        "edit": [home / "x.npz", "--attribute", "smile"],
        "resample": [home / "x.npz"],
    }.get(command, [])
    out = [] if command in ("inspect", "score") else ["--out", tmp_path / "o.png"]
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
        refused(run(command, tmp_path / name, *rest, *out), 1, str(tmp_path / name))
    refused(run(command, tmp_path / "absent", *rest, *out), 1, str(tmp_path / "absent"))
    assert held(tmp_path) == sorted(files)


def test_outputs_are_checked_before_any_work(home, tmp_path, monkeypatch):
    def never(*_, **__):
        raise AssertionError("work was done")

    monkeypatch.setattr(TrainedPictures, "open", never)
    (tmp_path / "folder.png").mkdir()
    for out in (tmp_path / "folder.png", tmp_path / "absent" / "o.png"):
        for arguments in (
            ["sample", home / "x.flow"],
            ["interpolate", home / "x.flow", home / "a.npy", home / "b.npy"],
            ["edit", home / "x.flow", home / "x.npz", "--attribute", "smile"],
            ["resample", home / "x.flow", home / "x.npz"],
        ):
            refused(run(*arguments, "--out", out), 1, "cannot be written", str(out))
