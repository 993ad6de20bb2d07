"""Random crops of pictures of any sizes, and `fit --tiles` with them."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from command_line import refused, run
from PIL import Image

import pushforward as pf
from pushforward.errors import DataError, FileError
from pushforward.pictures.crops import LEAST, list_pictures, random_crops


@pytest.fixture
def photos(tmp_path):
    """Pictures whose pixels tell where they lie: column, row, and the number of the picture."""
    folder = tmp_path / "photos"
    (folder / "sub").mkdir(parents=True)
    for i, (height, width) in enumerate([(40, 60), (33, 16), (9, 70)]):
        y, x = np.indices((height, width))
        pixels = np.stack([x, y, np.full_like(x, i)], -1).astype(np.uint8)
        Image.fromarray(pixels).save(folder / ("sub" if i == 1 else "") / f"{i}.png")
    return folder


def test_crops_are_parts_of_the_pictures_in_proportion_to_their_area(photos):
    found = list_pictures(photos)
    assert (found.channels, found.sizes, found.levels) == (3, ((60, 40), (70, 9), (16, 33)), 256)
    crops = random_crops(found, range(3), 8)
    assert crops.shape == (3, 8, 8)
    assert len(crops) == pytest.approx(LEAST, abs=2)
    x, y, i = crops.images[:, 0], crops.images[:, 1], crops.images[:, 2]
    assert (np.diff(x.astype(int), axis=2) == 1).all()
    assert (np.diff(y.astype(int), axis=1) == 1).all()
    assert (i == i[:, :1, :1]).all()
    share = (i[:, 0, 0] == 0).mean()
    assert share == pytest.approx(2400 / (2400 + 630 + 528), abs=0.01)
    assert set(np.unique(x[i[:, 0, 0] == 0, 0, 0])) == set(range(53))
    again = random_crops(found, range(3), 8)
    assert np.array_equal(crops.images, again.images)
    assert not np.array_equal(crops.images, random_crops(found, range(3), 8, seed=1).images)


def test_small_pictures_are_enlarged_and_numbers_limited(photos):
    crops = random_crops(list_pictures(photos), [1], 16, most=10)
    assert len(crops) == 10
    assert (crops.images[:, 1, 8:] == 8).all()
    assert len(random_crops(list_pictures(photos), [0, 1, 2], 16, most=1)) == 3
    with pytest.raises(DataError, match="expected crops of 1 pixel or more"):
        random_crops(list_pictures(photos), [], 16)


def test_arrays_one_file_and_what_is_refused(photos, tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((5, 9, 7), np.uint8))
    found = list_pictures(tmp_path / "a.npy", 4)
    assert (found.channels, found.sizes, found.levels) == (1, ((7, 9),) * 5, 4)
    assert list_pictures(photos / "0.png").sizes == ((60, 40),)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="expected pictures"):
        list_pictures(tmp_path / "empty")
    with pytest.raises(FileError, match="no such name"):
        list_pictures(tmp_path / "none")
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(photos / "grey.png")
    with pytest.raises(DataError, match="all pictures grey or all in colour"):
        list_pictures(photos)


def test_fit_score_and_compress_with_tiles(photos, tmp_path):
    options = ["--flow", "idf", "--preset", "tiny", "--set", "hidden=4", "--max-steps", 3, "--tiles", 8]
    command = ["fit", photos, *options, "--out", tmp_path / "m.idf"]
    code, out, err = run(*command, "--test", 1, "--validation", 0, "--json")
    assert code == 0, err
    assert "colour pictures of 8 x 8" in err
    record = json.loads(out)
    assert record["data"]["tiles"] == 8
    assert record["split"]["rows"] == 3
    assert pf.load(tmp_path / "m.idf").model.space.shape == (3, 8, 8)
    assert torch.isfinite(torch.tensor(record["scores"]["value"]))
    code, out, err = run("score", tmp_path / "m.idf", photos)
    assert code == 0, err
    code, _, err = run("compress", tmp_path / "m.idf", photos, "--out", tmp_path / "a.pfz", "--no-baselines")
    assert code == 0, err
    code, _, err = run(
        "fit", photos / "0.png", *options, "--test", 0, "--validation", 0, "-q", "--out", tmp_path / "n.idf"
    )
    assert (code, err) == (0, "")
    refused(run(*command, "--image-size", 8), 2, "--tiles", "--image-size")
    refused(run(*command, "--label"), 2, "--tiles", "--label")
    (tmp_path / "t.csv").write_text("a,b\n1,2\n3,4\n")
    refused(run("fit", tmp_path / "t.csv", "--tiles", 8, "--out", tmp_path / "t.flow"), 2, "--tiles")
