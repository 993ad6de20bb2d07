"""What `fit` chooses for pictures, what it leaves for the other commands, and how these read pictures for a model."""

import json
import sys

import numpy as np
import pytest
import torch
from command_line import refused, run
from PIL import Image

import pushforward as pf
from pushforward.cli import picture_task
from pushforward.cli.app import _task_of_source
from pushforward.cli.options import TrainOptions
from pushforward.cli.picture_task import PictureTask
from pushforward.cli.table_task import TableTask
from pushforward.errors import FileError
from pushforward.evaluation import bits_per_dimension
from pushforward.pictures import read_images
from pushforward.training import TrainConfig, split_rows

SMALL = ["--preset", "tiny", "--set", "steps=1", "--set", "hidden=8", "--set", "scales=1", "--epochs", 1]
CELL = 65
"""Pixels of an enlarged picture of 8 x 8 in a grid, with the line beside it."""


def noise(rows, top=4, seed=0, shape=(1, 8, 8)):
    return np.random.default_rng(seed).integers(0, top, (rows, *shape), dtype=np.uint8)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """Arrays with parts and two attributes, a folder of photographs by class, and models of them and of a table."""
    home = tmp_path_factory.mktemp("options")
    x, y = noise(60), np.arange(60) % 3
    np.savez(home / "x.npz", train_x=x[:50], train_y=y[:50], train_smile=y[:50] % 2 * 2 - 1, test_x=x[50:],
             test_y=y[50:], test_smile=y[50:] % 2)  # fmt: skip
    np.savez(home / "smile.npz", x=x, smile=y % 2)
    rng = np.random.default_rng(0)
    for name in ("cat", "dog"):
        (home / "photos" / name).mkdir(parents=True)
        for i in range(6):
            pixels = rng.integers(0, 256, (9 + i, 12, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(home / "photos" / name / f"{i}.png")
    (home / "t.csv").write_text("a,b\n" + "".join(f"{i}.5,{i * i % 7}\n" for i in range(60)))
    for name, options in {
        "x": ["x.npz", *SMALL, "--levels", 4],
        "label": ["x.npz", *SMALL, "--levels", 4, "--label"],
        "photos": ["photos", *SMALL, "--image-size", 8, "--label"],
        "t": ["t.csv", "--layers", 1, "--hidden", 8, "--epochs", 1],
    }.items():
        code, out, err = run("fit", home / options[0], *options[1:], "--out", home / f"{name}.flow", "--json")
        assert code == 0, err
        (home / f"{name}.json").write_text(out)
    return home


def record(home, name):
    return json.loads((home / f"{name}.json").read_text())


# --- what fit chooses -----------------------------------------------------------------------------------------------------


def chosen(rows=1200, resume=None, **options):
    return picture_task.picture_config(TrainConfig(**options), TrainOptions(**options), resume, rows, pixels=64)


def test_batches_and_averages_of_pictures():
    assert chosen().batch_size == 64
    assert chosen(rows=10).batch_size == 10
    assert chosen(batch_size=7).batch_size == 7
    # the default length is about 20000 steps
    assert chosen().ema == 0.999
    assert chosen(epochs=2).ema == chosen(max_steps=9999).ema == TrainOptions().ema
    assert chosen(max_steps=10_000).ema == 0.999
    assert chosen(ema=0.9).ema == 0.9
    # the loss is a sum over pixels, and so is its gradient
    assert chosen().clip == 64 * TrainOptions().clip
    assert chosen(clip=3.0).clip == 3.0


def test_a_run_that_goes_on_for_longer_keeps_its_average(home, tmp_path):
    command = ["fit", home / "x.npz", "--levels", 4, *SMALL[:-2], "--batch-size", 2, "--patience", 0, "-q"]
    state = tmp_path / "state"
    code, _, err = run(*command, "--epochs", 1, "--checkpoint", state, "--out", tmp_path / "m.flow")
    assert code == 0, err
    assert chosen(rows=45, epochs=1000, batch_size=2).ema == 0.999
    again = [*command, "--epochs", 1000, "--max-seconds", 1, "--checkpoint", state, "--resume", state, "--json"]
    code, out, err = run(*again, "--out", tmp_path / "m.flow")
    assert code == 0, err
    assert json.loads(out)["config"]["ema"] == TrainOptions().ema
    refused(run(*again, "--ema", 0.9, "--out", tmp_path / "m.flow"), 1, "ema=0.995", "ema=0.9")


def test_at_most_some_validation_pictures_are_looked_at_while_training(home, tmp_path, monkeypatch):
    monkeypatch.setattr(picture_task, "WATCHED", 3)
    command = ["fit", home / "smile.npz", *SMALL, "--validation", 12, "--test", 8, "--json", "-q"]
    found = json.loads(run(*command, "--out", tmp_path / "m.flow")[1])
    assert found["data"]["pictures"] == {"train": 40, "valid": 12, "test": 8}
    assert (found["train_rows"], found["validation_rows"]) == (40, 3)
    assert found["split"] == {"rows": 60, "test": 8, "validation": 12, "seed": 0, "digest": ""}


def test_the_score_stands_beside_independent_pixels(home):
    split, scores = read_images(home / "x.npz", levels=4), record(home, "x")["scores"]
    saved = pf.load(home / "x.flow")
    test = torch.as_tensor(split.test.images).float()
    bits = bits_per_dimension(saved.model, test)
    assert (scores["value"], scores["error"]) == pytest.approx((bits.value, bits.error))
    # the same training pictures as the fit's, of which five were for validation
    counts = {what: record(home, "x")["data"]["pictures"][what] for what in ("train", "valid", "test")}
    assert counts == {"train": 45, "valid": 5, "test": 10}
    train = split.train.images[split_rows(50, 0.1, 0)[0].numpy()]
    total = 0.0
    for picture in split.test.images.reshape(10, 64):
        for i, value in enumerate(picture):
            seen = train.reshape(45, 64)[:, i] == value
            total -= np.log2((seen.sum() + 1) / (45 + 4)) / 640
    assert scores["baselines"][0] == {"name": "independent pixels", "value": pytest.approx(total)}
    assert scores["baselines"][1] == {"name": "uniform", "value": 2.0}


def test_a_bare_label_is_the_label_or_the_only_attribute(home, tmp_path):
    assert record(home, "label")["data"]["label"] == "label"
    code, out, err = run("fit", home / "smile.npz", *SMALL, "--label", "--json", "-q", "--out", tmp_path / "m.flow")
    assert (code, err) == (0, "")
    assert (json.loads(out)["data"]["label"], json.loads(out)["spec"]["classes"]) == ("smile", 2)
    np.savez(tmp_path / "two.npz", x=noise(20), a=np.arange(20) % 2, b=np.arange(20) % 3)
    refused(run("fit", tmp_path / "two.npz", "--label", "--out", tmp_path / "n.flow"), 1, "'a', 'b'", "name one")
    np.save(tmp_path / "none.npy", noise(20))
    refused(run("fit", tmp_path / "none.npy", "--label", "--out", tmp_path / "n.flow"), 1, "none", "add labels")


def test_a_failed_grid_does_not_end_the_run(home, tmp_path, monkeypatch):
    def full(*_, **__):
        raise FileError("g cannot be written: no space left on device")

    monkeypatch.setattr(picture_task, "write_samples", full)
    command = ["fit", home / "x.npz", "--levels", 4, *SMALL, "--grids", tmp_path / "g", "--out", tmp_path / "m.flow"]
    code, _, err = run(*command)
    assert code == 0
    assert "no grid of epoch 1: g cannot be written: no space left on device" in err
    assert (tmp_path / "m.flow").exists()


def test_ctrl_c_while_scoring_keeps_the_model(home, tmp_path, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(picture_task, "bits_per_dimension", interrupted)
    code, out, err = run("fit", home / "x.npz", "--levels", 4, *SMALL, "-q", "--out", tmp_path / "m.flow")
    assert (code, out) == (130, "")
    assert "interrupted while scoring; the trained model is in" in err
    assert run("sample", tmp_path / "m.flow", "-n", 2, "--out", tmp_path / "s.npy")[0] == 0


# --- pictures for a model ---------------------------------------------------------------------------------------------------


def test_pictures_are_cropped_and_resized_as_those_of_the_fit(home, tmp_path):
    command = ["score", home / "photos.flow", home / "photos", "--json", "-q"]
    assert json.loads(run(*command)[1])["events"] == 12
    photo, size = home / "photos" / "dog" / "5.png", {"size": 8}
    strip = ["interpolate", home / "photos.flow", photo, home / "photos" / "cat" / "0.png", "--label", "dog"]
    code, _, err = run(*strip, "--steps", 3, "--out", tmp_path / "s.npy")
    assert code == 0, err
    np.testing.assert_array_equal(np.load(tmp_path / "s.npy")[0], read_images(photo, **size).train.images[0])


def test_labels_and_neighbours_come_with_the_samples(home, tmp_path):
    command = ["sample", home / "label.flow", "-n", 7, "--nearest", home / "x.npz"]
    assert run(*command, "--out", tmp_path / "s.npz", "-q") == (0, "", "")
    known = np.load(home / "x.npz")["train_x"].reshape(50, -1).astype(float)
    with np.load(tmp_path / "s.npz") as found:
        assert found["x"].shape == (7, 1, 8, 8)
        assert found["y"].tolist() == [0, 1, 2, 0, 1, 2, 0]
        distances = ((found["x"].reshape(7, 1, -1) - known) ** 2).sum(2)
        np.testing.assert_allclose(distances[np.arange(7), found["nearest"]], distances.min(1))
    run(*command, "--label", 2, "--out", tmp_path / "s.npz", "-q")
    assert np.load(tmp_path / "s.npz")["y"].tolist() == [2] * 7


def test_a_column_for_each_class(home, tmp_path):
    for options, size in (([], (3, 4)), (["--nearest", home / "x.npz"], (3, 8)), (["--label", 1], (4, 3))):
        assert run("sample", home / "label.flow", "-n", 10, *options, "--out", tmp_path / "s.png", "-q")[0] == 0
        with Image.open(tmp_path / "s.png") as grid:
            assert grid.size == (size[0] * CELL + 1, size[1] * CELL + 1)


def test_an_attribute_of_two_values_is_there_where_it_is_higher(home, tmp_path):
    command = ["edit", home / "x.flow", home / "x.npz", "--rows", 2, "--steps", 3]
    code, _, err = run(*command, "--attribute", "smile", "--out", tmp_path / "a.npy")
    assert code == 0, err
    # -1 and 1 in the training part
    assert "17 pictures with smile minus that of 33 without" in err
    assert run(*command, "--attribute", "smile=1", "--out", tmp_path / "b.npy")[0] == 0
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), np.load(tmp_path / "b.npy"))
    assert run(*command, "--attribute", "smile=-1", "--strength", "-1..1", "--out", tmp_path / "c.npy")[0] == 0
    # the pictures are those of the test part, where strength 0 leaves them alone
    middle = np.load(tmp_path / "c.npy").reshape(2, 3, 1, 8, 8)[:, 1]
    np.testing.assert_array_equal(middle, np.load(home / "x.npz")["test_x"][:2])


def test_scores_on_standard_output(home):
    code, out, err = run("score", home / "x.flow", home / "x.npz", "--out", "-", "--top", 2)
    assert code == 0
    assert out.splitlines()[0] == "log_prob"
    assert len(out.splitlines()) == 11
    assert "picture  log_prob" in err
    assert "10 test pictures: <= " in err


# --- tables and pictures ----------------------------------------------------------------------------------------------------


def test_pictures_are_told_from_tables(home, tmp_path):
    np.save(tmp_path / "flat.npy", np.zeros((4, 3)))
    np.savez(tmp_path / "flat.npz", a=np.zeros(4), b=np.zeros(4))
    (tmp_path / "damaged.npy").write_bytes(b"\x93NUMPY\x01\x00v\x00{'shape': ((4,")
    np.savez_compressed(tmp_path / "cube.npz", name=np.zeros(4), pictures=np.zeros((4, 3, 3)))
    for source in ("mnist", home / "photos", home / "photos" / "cat" / "0.png", home / "x.npz", tmp_path / "cube.npz"):
        assert PictureTask.holds(str(source))
    for name in ("flat.npy", "flat.npz", "damaged.npy", "absent.csv", "absent.npy"):
        assert not PictureTask.holds(str(tmp_path / name))
        assert _task_of_source(str(tmp_path / name)) is TableTask
    assert _task_of_source("-") is TableTask
    assert _task_of_source("absent.csv") is TableTask
    assert _task_of_source("mnits") is PictureTask


def test_models_of_the_other_kind(home, tmp_path):
    refused(run("score", home / "t.flow", "digits"), 1, "t.flow", "pictures in digits")
    refused(run("score", home / "t.flow", home / "absent.csv"), 1, "expected a file, got none")
    refused(run("edit", home / "t.flow", home / "x.npz", "--attribute", "a", "--out", tmp_path / "s.png"), 1, "a table")
    assert list(tmp_path.iterdir()) == []


def test_without_pillow(home, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "PIL", None)
    words = ["Pillow", "pip install 'pushforward[images]'"]
    refused(run("sample", home / "x.flow", "--out", tmp_path / "s.png"), 1, *words)
    fit = ["fit", home / "x.npz", "--levels", 4, *SMALL, "-q", "--out", tmp_path / "m.flow"]
    refused(run(*fit, "--grids", tmp_path / "g"), 1, *words)
    refused(run("fit", home / "photos", *SMALL, "--image-size", 8, "--out", tmp_path / "m.flow"), 1, *words)
    # said before the pictures, which are not there either, are looked for
    refused(run("resample", home / "x.flow", home / "absent.npy", "--out", tmp_path / "s.png"), 1, *words)
    assert list(tmp_path.iterdir()) == []
    assert run(*fit) == (0, "", "")
    assert run("sample", tmp_path / "m.flow", "-n", 2, "--out", tmp_path / "s.npy")[0] == 0


def test_options_from_the_file(home, tmp_path):
    (tmp_path / "c.toml").write_text(
        "[fit]\nlabel = 'label'\npreset = 'tiny'\nflips = true\nmax_steps = 1\nlevels = 4\n"
    )
    command = ["fit", home / "x.npz", "--config", tmp_path / "c.toml", "--json", "-q", "--out", tmp_path / "m.flow"]
    code, out, err = run(*command)
    assert code == 0, err
    assert (json.loads(out)["spec"]["classes"], json.loads(out)["spec"]["hidden"]) == (3, 16)
    (tmp_path / "c.toml").write_text("[fit]\nlabel = true\npreset = 'tiny'\nmax_steps = 1\nlevels = 4\n")
    assert json.loads(run(*command)[1])["data"]["label"] == "label"


@pytest.mark.parametrize(
    ("shape", "options", "system"),
    [
        ((1, 6, 7), [], "pixelcnn"),
        ((1, 8, 8), [], "glow"),
        ((1, 8, 8), ["--quick"], "pixelcnn"),
        ((1, 8, 8), ["--quick", "--preset", "tiny"], "glow"),
        ((3, 40, 40), ["--quick"], "glow"),
    ],
)
def test_small_pictures_of_any_size_have_a_default(tmp_path, shape, options, system):
    np.savez(tmp_path / "p.npz", images=noise(12, shape=shape))
    options = [*options, "--levels", 4, "--max-steps", 1, "--out", tmp_path / "p.flow", "--no-baselines"]
    code, _, err = run("fit", tmp_path / "p.npz", *options)
    assert code == 0, err
    assert pf.load(tmp_path / "p.flow").spec.name == system
