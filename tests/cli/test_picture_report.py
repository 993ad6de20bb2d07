"""`report` for pictures: one self-contained page."""

import json
import re

import numpy as np
import pytest
from command_line import run

from pushforward.evaluation import Bits
from pushforward.report.picture_page import PictureReport, build_picture_report

SMALL = ["--preset", "tiny", "--set", "steps=1", "--set", "hidden=4", "--set", "scales=1", "--epochs", 1, "-q"]


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    home = tmp_path_factory.mktemp("report")
    x = np.random.default_rng(0).integers(0, 4, (40, 1, 8, 8), dtype=np.uint8)
    np.savez(home / "x.npz", x=x, y=np.arange(40) % 3)
    np.save(home / "other.npy", x[:7] // 2)
    fit = ["fit", home / "x.npz", "--levels", 4, "--label", "--test", 10, *SMALL]
    assert run(*fit, "--out", home / "x.flow", "--json")[0] == 0
    return home


def test_the_page_is_about_the_pictures_that_were_held_out(home, tmp_path):
    fitted = json.loads(run("inspect", home / "x.flow", "--json")[1])["training"]["scores"]
    command = [
        "report",
        home / "x.flow",
        home / "x.npz",
        "--out",
        tmp_path / "r.html",
        "--title",
        "Noise & <b>more</b>",
    ]
    code, out, err = run(*command, "--json")
    assert code == 0, err
    scores = json.loads(out)["scores"]
    assert (scores["rows"], scores["events"]) == ("test", 10)
    assert scores["value"] == pytest.approx(fitted["value"])
    assert scores["baselines"] == fitted["baselines"]
    assert "so its 10 test pictures are used" in err
    page = (tmp_path / "r.html").read_text()
    for words in ("Noise &amp; &lt;b&gt;more", "10 held-out pictures", "independent pixels", "Mean log-likelihood by epoch",
                  "glow", "Nearest pictures of the training part", "10 least likely held-out pictures", "each column",
                  "grey pictures of 8 x 8"):  # fmt: skip
        assert words in page, words
    assert page.count("data:image/png;base64,") == 6
    assert not re.search(r'(?:src|href)="(?!data:)', page)
    assert "<script" not in page
    assert "http" not in page.replace("http-equiv", "")


def test_other_pictures_are_all_used(home, tmp_path):
    np.savez(tmp_path / "other.npz", x=np.load(home / "other.npy"), y=np.arange(7) % 3)
    command = ["report", home / "x.flow", tmp_path / "other.npz", "--out", tmp_path / "r.html"]
    code, out, err = run(*command, "--no-baselines")
    assert code == 0, err
    assert "not what the model was fitted to; the 7 pictures" in err
    assert "bits per dimension of 7 pictures" in out
    page = (tmp_path / "r.html").read_text()
    assert "No baselines were computed" in page
    assert "no nearest pictures are shown" in page


def test_the_nearest_pictures_and_the_least_likely_are_the_right_ones():
    from pushforward.report import picture_page

    rng = np.random.default_rng(0)
    known = rng.integers(0, 256, (20, 3, 4, 4), dtype=np.uint8)
    numbers, apart = picture_page._distances(known[[7, 3]], known, 256)
    assert numbers.tolist() == [7, 3]
    np.testing.assert_allclose(apart, 0, atol=1e-6)
    log_prob = -np.arange(20.0) - 300
    inputs = PictureReport(
        title="t",
        system="glow",
        levels=256,
        held_out=known,
        samples=known[:5],
        log_prob=log_prob,
        bits=Bits(2.0, 0.1, "=", 1, 20),
        baselines={"independent pixels": 3.0},
        files=[f"{i}.png" for i in range(20)],
    )
    page = build_picture_report(inputs)
    files = re.findall(r'<td class="name">(\d+)\.png', page)
    assert [int(name) for name in files] == list(range(19, -1, -1))
    assert "The model needs 1.000 bits per dimension fewer than the best baseline, independent pixels" in page
