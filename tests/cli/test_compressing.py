"""`pushforward compress` and `decompress`, and discrete flows on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import pushforward as pf
from pushforward.cli import main
from pushforward.systems import IDF, Glow


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def model(tmp_path):
    torch.manual_seed(0)
    spec = IDF(shape=(1, 4, 4), scales=1, steps=2, hidden=4, depth=1)
    flow = spec.build()
    pf.initialise(flow, torch.randint(100, 150, (200, 1, 4, 4)).float())
    pf.save("photos.idf", flow, spec=spec)
    return "photos.idf"


def grey(*shape, seed=0):
    return np.random.default_rng(seed).normal(125, 10, shape).clip(0, 255).astype(np.uint8)


def write_pictures():
    Path("images/sub").mkdir(parents=True)
    kept = {
        "a.png": grey(9, 7),
        "sub/a.png": grey(5, 8, 3),
        "one.png": grey(1, 1),
        "clear.png": grey(6, 6, 4),
        "wide.png": (np.arange(20, dtype=np.uint16) * 3000).reshape(4, 5),
    }
    for name, array in kept.items():
        Image.fromarray(array).save(Path("images") / name)
    np.save("images/many.npy", grey(12, 6, 5))
    np.save("images/colour.npy", grey(3, 6, 5, 3))
    Image.fromarray(grey(8, 8)).convert("P").save("images/palette.gif")
    return kept


def run(capsys, *arguments):
    code = main([*arguments])
    out, err = capsys.readouterr()
    return code, out, err


def test_every_pixel_comes_back(capsys, model):
    kept = write_pictures()
    code, out, err = run(capsys, "compress", model, "images", "--out", "all.pfz")
    assert code == 0, err
    assert "PNG" in out
    assert "WebP" in out
    assert "MB/s, every block decoded again" in out
    assert "2 blocks stored without the model: not of the model's kind" in err
    code, out, err = run(capsys, "decompress", "all.pfz", "--out", "restored")
    assert code == 0, err
    assert "restored 8 of 8 to restored" in out
    for name, array in kept.items():
        with Image.open(Path("restored") / name) as image:
            assert np.array_equal(np.asarray(image), array), name
    for name in ("many.npy", "colour.npy"):
        assert np.array_equal(np.load(Path("restored") / name), np.load(Path("images") / name))
    assert Path("restored/palette.gif").read_bytes() == Path("images/palette.gif").read_bytes()


def test_files_by_name_and_the_record_as_json(capsys, model):
    write_pictures()
    code, out, _ = run(capsys, "compress", model, "images/a.png", "images/one.png", "--out", "b.pfz", "--json", "-q")
    record = json.loads(out)
    assert code == 0
    assert record["values"] == 64
    assert record["archive_bytes"] == Path("b.pfz").stat().st_size
    assert record["bits_per_dimension"] == pytest.approx(8 * record["archive_bytes"] / 64)
    assert set(record["others"]) == {"PNG", "WebP"}
    code, out, _ = run(capsys, "decompress", "b.pfz", "--out", "r", "--only", "one.png", "--json", "-q")
    assert code == 0
    assert json.loads(out)["restored"] == ["r/one.png"]
    assert not Path("r/a.png").exists()


def test_the_model_is_found_beside_the_archive_or_asked_for(capsys, model):
    write_pictures()
    assert run(capsys, "compress", model, "images/a.png", "--out", "a.pfz", "-q")[0] == 0
    Path("photos.idf").rename("elsewhere.idf")
    code, _, err = run(capsys, "decompress", "a.pfz", "--out", "r")
    assert code == 2
    assert "photos.idf, which is neither beside the archive nor here; give it with --model" in err
    assert run(capsys, "decompress", "a.pfz", "--out", "r", "--model", "elsewhere.idf", "-q")[0] == 0
    spec = IDF(shape=(1, 4, 4), scales=1, steps=2, hidden=4, depth=1)
    pf.save("other.idf", spec.build(), spec=spec)
    code, _, err = run(capsys, "decompress", "a.pfz", "--out", "r2", "--model", "other.idf")
    assert code == 1
    assert "written with another model (photos.idf)" in err


def test_zero_pictures(capsys, model):
    Path("empty").mkdir()
    code, out, err = run(capsys, "compress", model, "empty", "--out", "a.pfz")
    assert code == 0, err
    code, out, err = run(capsys, "decompress", "a.pfz", "--out", "r")
    assert code == 0, err
    assert "restored 0 of 0" in out


def test_blocks_need_not_be_decoded_again(capsys, model):
    write_pictures()
    code, out, _ = run(capsys, "compress", model, "images/a.png", "--out", "a.pfz", "--no-verify")
    assert code == 0
    assert "only the first block decoded again" in out


def test_a_damaged_archive_restores_what_is_whole_and_says_what_is_lost(capsys, model):
    write_pictures()
    assert run(capsys, "compress", model, "images", "--out", "a.pfz", "--rows", "1", "-q", "--no-baselines")[0] == 0
    broken = bytearray(Path("a.pfz").read_bytes())
    broken[len(broken) // 2] ^= 4
    Path("a.pfz").write_bytes(bytes(broken))
    code, out, err = run(capsys, "decompress", "a.pfz", "--out", "r")
    assert code == 1
    assert "restored 7 of 8" in out
    assert "is lost: its block is damaged" in err
    assert "a.pfz is damaged: 1 of 8 items are lost, the others were restored and checked" in err
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (
            ["compress", "photos.idf", "--out", "a.pfz"],
            2,
            "expected pictures, .npy arrays or folders to compress, got none",
        ),
        (["compress", "photos.idf", "nothing.png", "--out", "a.pfz"], 1, "at nothing.png, got nothing"),
        (["compress", "photos.idf", "notes.txt", "--out", "a.pfz"], 1, "expected files of type .png"),
        (
            ["compress", "photos.idf", "bad.png", "--out", "a.pfz"],
            1,
            "bad.png: expected a picture, got another kind of file",
        ),
        (
            ["compress", "photos.idf", "bad.npy", "--out", "a.pfz"],
            1,
            "bad.npy: expected an .npy array of numbers, got another",
        ),
        (["compress", "photos.idf", "words.npy", "--out", "a.pfz"], 1, "expected an array of numbers in words.npy"),
        (["compress", "photos.idf", "ok.png", "--out", "photos.idf"], 2, "--out photos.idf is an input"),
        (["compress", "photos.idf", "ok.png", "--out", "no/a.pfz"], 1, "there is no directory no"),
        (["compress", "photos.idf", "ok.png", "ok.png", "--out", "a.pfz"], 1, "'ok.png' twice"),
        (["compress", "glow.flow", "ok.png", "--out", "a.pfz"], 2, "expected an exact model"),
        (["compress", "ok.png", "ok.png", "--out", "a.pfz"], 1, "not a model file"),
        (["compress", "photos.idf", "ok.png", "--out", "a.pfz", "--device", "cuda"], 2, "computes on the processor"),
        (["decompress", "ok.png", "--out", "r"], 1, "ok.png is not an archive of pushforward"),
        (["decompress", "none.pfz", "--out", "r"], 1, "none.pfz cannot be read"),
        (["decompress", "good.pfz", "--out", "ok.png"], 1, "it is a file; give a folder"),
        (["decompress", "good.pfz", "--out", "r", "--only", "b.png"], 1, "the archive holds no 'b.png'"),
    ],
)
def test_one_sentence_for_what_goes_wrong(capsys, model, arguments, code, sentence):
    Image.fromarray(grey(4, 4)).save("ok.png")
    Path("bad.png").write_bytes(b"nonsense")
    Path("bad.npy").write_bytes(b"nonsense")
    Path("notes.txt").write_text("hello")
    np.save("words.npy", np.array(["a", "b"]))
    spec = Glow(shape=(1, 4, 4), scales=1, steps=1, hidden=4)
    pf.save("glow.flow", spec.build(), spec=spec)
    assert run(capsys, "compress", model, "ok.png", "--out", "good.pfz", "-q")[0] == 0
    found, _, err = run(capsys, *arguments)
    assert (found, sentence in err) == (code, True), err
    assert "Traceback" not in err
    assert not Path("a.pfz").exists()


def test_an_integer_flow_of_pictures_is_fitted_scored_sampled_and_used(capsys):
    np.save("train.npy", grey(300, 8, 8))
    options = ["--flow", "idf", "--preset", "tiny", "--epochs", "2", "-q", "--out", "m.idf"]
    code, _, err = run(capsys, "fit", "train.npy", *options)
    assert code == 0, err
    code, _, err = run(capsys, "score", "m.idf", "train.npy")
    assert code == 0
    assert "bits per dimension, exact" in err
    assert run(capsys, "sample", "m.idf", "--rows", "4", "--out", "grid.png")[0] == 0
    assert run(capsys, "compress", "m.idf", "train.npy", "--out", "t.pfz")[0] == 0
    assert run(capsys, "decompress", "t.pfz", "--out", "r")[0] == 0
    assert np.array_equal(np.load("r/train.npy"), np.load("train.npy"))


def test_a_discrete_flow_takes_whole_numbers_and_text_as_labels(capsys):
    rng = np.random.default_rng(0)
    a = rng.integers(0, 5, 600)
    lines = "\n".join(f"{i},{(2 * i) % 5},{'xyz'[i % 3]}" for i in a)
    Path("codes.csv").write_text(f"a,b,c\n{lines}\n")
    code, out, err = run(capsys, "fit", "codes.csv", "--flow", "discrete", "--epochs", "3", "--out", "c.flow")
    assert code == 0, err
    assert err.count(" categorical ") == 3
    assert "discrete" in out
    code, out, _ = run(capsys, "inspect", "c.flow")
    assert "discrete: Tran" in out
    code, out, _ = run(capsys, "sample", "c.flow", "-n", "5")
    assert len(out.splitlines()) == 6
    code, _, err = run(capsys, "compress", "c.flow", "codes.csv", "--out", "a.pfz")
    assert code == 1
    assert "one of a table" in err


def test_labels_of_a_mixed_table_may_have_a_discrete_flow(capsys):
    rng = np.random.default_rng(0)
    kind = rng.integers(0, 3, 300)
    lines = "\n".join(f"{v:.4f},{'pqr'[k]},{'st'[k % 2]}" for v, k in zip(rng.normal(kind), kind, strict=True))
    Path("mixed.csv").write_text(f"v,k,l\n{lines}\n")
    options = ["--epochs", "1", "--out", "m.flow", "-q"]
    assert run(capsys, "fit", "mixed.csv", "--labels", "discrete", *options)[0] == 0
    saved = pf.load("m.flow")
    assert saved.model.label_spec.name == "discrete"
    code, _, err = run(capsys, "fit", "mixed.csv", "--flow", "discrete", *options)
    assert code == 1
    assert "got the numeric column 'v'" in err
    code, _, err = run(capsys, "fit", "mixed.csv", "--labels", "nsf", *options)
    assert code == 2
    assert "expected a system of labels" in err
