"""Models that are given pictures, on the command line: fit, score, sample, report, colourise, upscale and restyle."""

import json

import numpy as np
import pytest
import torch
from command_line import refused, run
from PIL import Image

import pushforward as pf
from pushforward.evaluation import log_likelihoods
from pushforward.pictures import condition_from, read_images, scaled

TINY = {
    "cinn": ["--flow", "cinn", "--preset", "tiny", "--set", "steps=1", "--set", "dense=1"],
    "conditional-image": ["--preset", "tiny", "--set", "steps=1", "--set", "hidden=4"],
    "pixelcnn": ["--flow", "pixelcnn", "--preset", "tiny", "--set", "blocks=1"],
}


def no(words, *arguments):
    result = run(*arguments)
    assert result[0] in (1, 2)
    refused(result, result[0], words)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """Colour pictures, grey ones beside them, and a model for each condition."""
    home = tmp_path_factory.mktemp("conditions")
    rng = np.random.default_rng(0)
    np.savez(home / "x.npz", train_x=rng.integers(0, 256, (12, 8, 8, 3), dtype=np.uint8),
             test_x=rng.integers(0, 256, (4, 8, 8, 3), dtype=np.uint8))  # fmt: skip
    np.savez(home / "mask.npz", train_x=rng.integers(0, 2, (12, 8, 8), dtype=np.uint8),
             test_x=rng.integers(0, 2, (4, 8, 8), dtype=np.uint8))  # fmt: skip
    np.savez(home / "y.npz", x=rng.integers(0, 4, (20, 4, 4), dtype=np.uint8), y=np.arange(20) % 3)
    for name, source, options in (
        ("colours", "x.npz", ["--condition", "lightness", *TINY["cinn"]]),
        ("larger", "x.npz", ["--condition", "smaller:2", *TINY["conditional-image"]]),
        ("masks", "mask.npz", ["--condition", home / "x.npz", "--levels", 2, *TINY["conditional-image"],
                               "--set", "half_infinite=yes"]),
        ("half", "y.npz", ["--condition", "left", "--levels", 4, *TINY["pixelcnn"]]),
        ("label", "y.npz", ["--label", "--levels", 4, *TINY["cinn"]]),
    ):  # fmt: skip
        code, out, err = run("fit", home / source, *options, "--max-steps", 2, "-o", home / f"{name}.flow", "--json")
        assert code == 0, err
        (home / f"{name}.json").write_text(out)
    return home


def test_scores_are_those_of_the_model_in_python(home):
    code, out, err = run("score", home / "half.flow", home / "y.npz", "--json")
    assert code == 0, err
    part = condition_from("left").split(read_images(home / "y.npz", levels=4).train)
    loaded = pf.load(home / "half.flow")
    nats = log_likelihoods(loaded.model, torch.as_tensor(part.images).float(), torch.as_tensor(scaled(part.given)))
    assert json.loads(out)["value"] == pytest.approx(float(-nats.mean() / 8 / np.log(2)), rel=1e-4)


def test_samples_complete_the_pictures_that_are_given(home):
    assert run("sample", home / "half.flow", "--condition", home / "y.npz", "-o", home / "s.npy")[0] == 0
    drawn, whole = np.load(home / "s.npy"), read_images(home / "y.npz", levels=4).train.images
    assert drawn.reshape(20, 4, 4)[:, :, :2].tolist() == whole[:, 0, :, :2].tolist()
    code, _, err = run("sample", home / "masks.flow", "--condition", home / "x.npz", "-n", 6, "-o", home / "m.npy")
    assert code == 0, err
    assert set(np.unique(np.load(home / "m.npy"))) <= {0, 1}


def test_report_and_scores_with_other_pictures(home):
    code, _, err = run("score", home / "masks.flow", home / "mask.npz", "--condition", home / "x.npz", "--top", 1)
    assert code == 0, err
    code, _, err = run("report", home / "colours.flow", home / "x.npz", "-o", home / "r.html")
    assert code == 0, err
    assert "<img" in (home / "r.html").read_text()
    no("--condition", "score", home / "masks.flow", home / "mask.npz")
    no("--condition", "sample", home / "masks.flow", "-o", home / "m.npy")


def test_colourise(home):
    Image.fromarray(np.random.default_rng(1).integers(0, 256, (12, 20), dtype=np.uint8)).save(home / "grey.png")
    assert run("colourise", home / "colours.flow", home / "grey.png", "--draws", 2, "-o", home / "c.npy")[0] == 0
    grey, first, second = np.load(home / "c.npy")
    assert grey.shape == (3, 12, 20)
    assert (grey[0] == grey[1]).all()
    assert (first != second).any()
    assert np.abs(first.astype(float).mean(0) - grey.mean(0)).mean() < 60
    no("--condition lightness", "colourise", home / "larger.flow", home / "grey.png", "-o", home / "c.png")
    no("no condition", "colourise", home / "label.flow", home / "grey.png", "-o", home / "c.png")


def test_upscale_by_tiles(home):
    small = np.random.default_rng(2).integers(0, 256, (2, 4, 8, 3), dtype=np.uint8)
    np.save(home / "small.npy", small)
    code, _, err = run("upscale", home / "larger.flow", home / "small.npy", "-o", home / "u.npy")
    assert code == 0, err
    first, enlarged = np.load(home / "u.npy")[:2]
    assert enlarged.shape == (3, 8, 16)
    assert (first[:, ::2, ::2] == small[0].transpose(2, 0, 1)).all()
    np.save(home / "odd.npy", small[:, :3])
    no("colour pictures of 4 x 4", "upscale", home / "larger.flow", home / "odd.npy", "-o", home / "u.png")


def test_restyle_keeps_the_picture_under_its_own_class(home):
    """The code of a picture with its own label gives the picture back, up to rounding of the flow."""
    assert run("restyle", home / "label.flow", home / "y.npz", "--rows", 3, "-o", home / "r.npy")[0] == 0
    grid = np.load(home / "r.npy").reshape(3, 4, 4, 4)
    for row in range(3):
        assert (grid[row, 0] == grid[row, 1 + row]).mean() > 0.9
    assert run("restyle", home / "half.flow", home / "y.npz", "--rows", 2, "-o", home / "r.png")[0] in (0, 2)
    assert run("restyle", home / "colours.flow", home / "x.npz", "--rows", 2, "-o", home / "r.png")[0] == 0


@pytest.mark.parametrize(
    ("words", "options"),
    [
        ("got grey", ["mask.npz", "--condition", "lightness"]),
        ("whole factor", ["x.npz", "--condition", "smaller:0"]),
        ("leave --tiles and --label out", ["y.npz", "--condition", "left", "--label"]),
        ("no such name", ["x.npz", "--condition", "nowhere.npz"]),
        ("for each of the 12 pictures", ["x.npz", "--condition", "y.npz"]),
        (
            "got 4; leave half_infinite out",
            ["y.npz", "--condition", "left", "--levels", 4, "--set", "half_infinite=yes"],
        ),
        ("follows from the pictures", ["y.npz", "--levels", 4, "--set", "condition=1,2,2"]),
    ],
)
def test_conditions_that_do_not_fit(home, monkeypatch, words, options):
    monkeypatch.chdir(home)
    no(words, "fit", *options, "-o", "no.flow")


def test_pictures_are_for_models_that_are_given_pictures(home):
    no("--condition is for models", "score", home / "label.flow", home / "y.npz", "--condition", home / "y.npz")
    no("without classes or conditions", "restyle", _plain(home), home / "y.npz", "-o", home / "r.png")


def test_models_that_are_given_pictures_are_refused_where_nothing_gives_them(home):
    source, out = home / "x.npz", home / "e.png"
    no("pictures alone", "resample", home / "colours.flow", source, "-o", out)
    no("pictures alone", "edit", home / "colours.flow", source, "--attribute", "label", "-o", out)
    no("pictures alone", "interpolate", home / "colours.flow", source, source, "-o", out)


def _plain(home):
    options = ["--levels", 4, *TINY["cinn"], "--max-steps", 1, "-o", home / "plain.flow"]
    assert run("fit", home / "y.npz", *options)[0] == 0
    return home / "plain.flow"
