"""Clips on the command line: fit, score, sample and what is refused."""

import json

import numpy as np
import pytest
import torch
from command_line import refused, run
from PIL import Image

import pushforward as pf
from pushforward.evaluation.clips import clip_log_likelihoods
from pushforward.pictures import read_clips, write_clips

TINY = ["--flow", "videoflow", "--preset", "tiny", "--set", "steps=1", "--set", "hidden=4", "--max-steps", 2]


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """Grey clips, clips in colour with parts, and a model of each."""
    home = tmp_path_factory.mktemp("clips")
    rng = np.random.default_rng(0)
    grey = rng.integers(0, 8, (12, 3, 4, 6), dtype=np.uint8)
    colour = rng.integers(0, 256, (8, 3, 4, 4, 3), dtype=np.uint8)
    np.savez(home / "grey.npz", x=grey)
    np.savez(home / "colour.npz", train_x=colour[:6], test_x=colour[6:])
    np.savez(home / "first.npz", x=grey[:2, :2])
    np.savez(home / "uneven.npz", a=grey[0], b=grey[1, :2])
    np.save(home / "one.npy", grey[0])
    np.save(home / "fractions.npy", grey / 8)
    np.savez(home / "small.npz", x=grey[:2, :2, :2, :2])
    for name, options in (("grey", ["--levels", 8]), ("colour", ["--set", "given=1"])):
        code, out, err = run("fit", home / f"{name}.npz", *TINY, *options, "-o", home / f"{name}.flow", "--json")
        assert code == 0, err
        (home / f"{name}.json").write_text(out)
    return home


def test_fit_scores_held_out_clips(home):
    scores = json.loads((home / "colour.json").read_text())["scores"]
    assert (scores["rows"], scores["events"], scores["symbol"]) == ("test", 2, "<=")
    assert [entry["name"] for entry in scores["baselines"]] == ["independent pixels", "uniform"]
    code, out, _ = run("inspect", home / "grey.flow")
    assert code == 0
    assert "a model of clips" in out
    assert "test clips" in out


def test_scores_are_those_of_python(home):
    code, out, err = run("score", home / "grey.flow", home / "grey.npz", "--json", "--top", 2, "-o", home / "s.csv")
    assert code == 0, err
    loaded = pf.load(home / "grey.flow")
    x = torch.as_tensor(read_clips(home / "grey.npz", levels=8).train.clips).float()
    nats = clip_log_likelihoods(loaded.model, x)
    found = json.loads(out)
    assert found["value"] == pytest.approx(float(-nats.mean() / 72 / np.log(2)), rel=1e-4)
    assert found["least_likely"][0]["clip"] == int(nats.argmin()) + 1
    code, out, _ = run("score", home / "colour.flow", home / "colour.npz", "--top", 1)
    assert (code, "clip" in out) == (0, True)


def test_sample_keeps_given_frames_in_every_format(home):
    given = np.load(home / "first.npz")["x"]
    code, _, err = run("sample", home / "grey.flow", "--given", home / "first.npz", "--frames", 5, "-o", home / "a.npz")
    assert code == 0, err
    assert "after 2 given ones" in err
    drawn = np.load(home / "a.npz")["x"]
    assert drawn.shape == (2, 7, 4, 6)
    assert (drawn[:, :2] == given).all()
    for end in ("gif", "png", "npy"):
        assert run("sample", home / "grey.flow", "-n", 3, "-o", home / f"a.{end}")[0] == 0
    assert np.load(home / "a.npy").shape == (3, 3, 4, 6)
    with Image.open(home / "a.gif") as image:
        assert image.n_frames == 3
    assert run("sample", home / "grey.flow", "--given", home / "one.npy", "-n", 2, "-o", home / "b.npy")[0] == 0
    assert np.load(home / "b.npy").shape == (2, 6, 4, 6)


def test_a_folder_of_gifs_is_read_as_it_was_written(tmp_path):
    clips = 255 * np.random.default_rng(1).integers(0, 2, (3, 2, 1, 80, 80), dtype=np.uint8)
    for i, clip in enumerate(clips):
        write_clips(tmp_path / f"{i}.gif", clip[None])
    found = read_clips(tmp_path).train
    assert (found.clips == clips).all()
    assert run("fit", tmp_path, *TINY, "--test", 0, "--validation", 0, "-o", tmp_path / "g.flow")[0] == 0


@pytest.mark.parametrize(
    ("words", "arguments"),
    [
        ("one length and size", ["fit", "uneven.npz", *TINY, "-o", "no.flow"]),
        ("expected whole numbers", ["fit", "fractions.npy", *TINY, "-o", "no.flow"]),
        ("follows from the clips", ["fit", "grey.npz", *TINY, "--set", "frames=2", "-o", "no.flow"]),
        ("crop or pad the clips", ["fit", "grey.npz", *TINY, "--set", "scales=2", "-o", "no.flow"]),
        ("are for pictures", ["fit", "grey.npz", *TINY, "--flips", "-o", "no.flow"]),
        ("does not model clips", ["fit", "glow.npz", "--flow", "glow", "-o", "no.flow"]),
        ("at least 2 clips", ["fit", "one.npy", *TINY, "-o", "no.flow"]),
        ("no such name", ["fit", "nowhere", *TINY, "-o", "no.flow"]),
        ("grey pictures of 4 x 6", ["sample", "grey.flow", "--given", "small.npz", "-o", "no.gif"]),
        ("clips of 3 frames", ["score", "grey.flow", "first.npz"]),
        ("give these with --given", ["sample", "colour.flow", "-o", "no.gif"]),
        (".gif, .png", ["sample", "grey.flow", "-o", "no.mp4"]),
        ("--label and --nearest", ["sample", "grey.flow", "--label", "1", "-o", "no.gif"]),
        ("got one of clips", ["report", "grey.flow", "grey.npz", "-o", "no.html"]),
    ],
)
def test_what_does_not_fit_gets_one_sentence(home, monkeypatch, words, arguments):
    monkeypatch.chdir(home)
    if not (home / "glow.npz").exists():
        np.savez(home / "glow.npz", x=np.load(home / "colour.npz")["train_x"])
    result = run(*arguments)
    refused(result, result[0], words)
    assert result[0] in (1, 2)


def test_given_frames_are_for_models_of_clips(home, monkeypatch):
    monkeypatch.chdir(home)
    np.savez(home / "pictures.npz", x=np.random.default_rng(0).integers(0, 4, (12, 4, 4), dtype=np.uint8))
    options = ["--levels", 4, "--preset", "tiny", "--set", "scales=1", "--set", "steps=1", "--max-steps", 1]
    assert run("fit", "pictures.npz", *options, "-o", "p.flow")[0] == 0
    refused(run("sample", "p.flow", "--frames", 2, "-o", "no.png"), 2, "are for models of clips")
