"""Pictures that are given with pictures, and Lab colours."""

import numpy as np
import pytest

from pushforward.errors import DataError
from pushforward.pictures import ImageSet, ImageSplit, condition_from, scaled
from pushforward.pictures.lab import from_lab, to_lab


def colour(n=3, size=4, seed=0):
    return ImageSet(np.random.default_rng(seed).integers(0, 256, (n, 3, size, size), dtype=np.uint8))


@pytest.mark.parametrize(
    ("rgb", "lab"),
    [
        ((255, 255, 255), (100, 0, 0)),
        ((0, 0, 0), (0, 0, 0)),
        ((255, 0, 0), (53.24, 80.09, 67.20)),
        ((0, 255, 0), (87.73, -86.18, 83.18)),
        ((0, 0, 255), (32.30, 79.19, -107.86)),
        ((119, 119, 119), (50.03, 0, 0)),
    ],
)
def test_lab_of_known_colours(rgb, lab):
    """Values of CIE Lab for sRGB with the white D65, as tables of colours list them."""
    lightness, colours = to_lab(np.array(rgb, dtype=np.uint8).reshape(1, 3, 1, 1))
    assert lightness.item() == pytest.approx(lab[0] * 2.55, abs=0.51)
    assert colours.ravel() - 128.0 == pytest.approx(lab[1:], abs=0.51)


def test_colours_come_back_up_to_rounding():
    pictures = colour(8).images
    back = from_lab(*to_lab(pictures)).astype(int)
    assert np.abs(back - pictures).mean() < 1
    grey = np.repeat(np.arange(256, dtype=np.uint8).reshape(1, 1, 16, 16), 3, axis=1)
    assert np.abs(from_lab(*to_lab(grey)).astype(int) - grey).max() <= 1


@pytest.mark.parametrize(
    ("text", "learned", "given"),
    [
        ("lightness", (2, 4, 4), (1, 4, 4)),
        ("smaller", (3, 4, 4), (3, 2, 2)),
        ("smaller:4", (3, 4, 4), (3, 1, 1)),
        ("top", (3, 2, 4), (3, 2, 4)),
        ("right", (3, 4, 2), (3, 4, 2)),
    ],
)
def test_parts_of_pictures(text, learned, given):
    rule, whole = condition_from(text), colour()
    part = rule.split(whole)
    assert (part.shape, part.given.shape) == (learned, given)
    assert condition_from(rule.text) == rule
    assert part.take(slice(2)).given.images.shape[0] == 2
    joined = rule.join(part.images, part.given.images)
    assert joined.shape == whole.images.shape
    assert np.abs(joined.astype(float) - whole.images).mean() < (1 if text == "lightness" else 1e-9)
    same = rule.conditions(whole, given).images
    assert (same == part.given.images).all()
    assert np.abs(scaled(part.given)).max() <= 1
    assert rule.split_all(ImageSplit(whole, whole)).valid.given.shape == given


def test_halves_and_means_are_the_right_ones():
    x = ImageSet(np.arange(16, dtype=np.uint8).reshape(1, 1, 4, 4), levels=17)
    assert condition_from("bottom").split(x).given.images.ravel().tolist() == list(range(8, 16))
    assert condition_from("left").split(x).images[0, 0, 0].tolist() == [2, 3]
    # The means are 2.5, 4.5, 10.5 and 12.5; halves are rounded to even numbers.
    small = condition_from("smaller:2").split(x).given
    assert (small.images.ravel().tolist(), small.levels) == ([2, 4, 10, 12], 17)
    assert (condition_from("smaller").conditions(small, (1, 2, 2)).images == small.images).all()


def test_other_pictures(tmp_path):
    whole = colour()
    np.save(tmp_path / "grey.npy", whole.images[:, 0])
    rule = condition_from(str(tmp_path / "grey.npy"))
    assert rule.split(whole).given.shape == (1, 4, 4)
    with pytest.raises(DataError, match=r"for each of the 2 pictures \(train\), got 3"):
        rule.split_all(ImageSplit(whole.take(slice(2))))
    with pytest.raises(DataError, match=r"3 pictures \(valid\), got 0"):
        rule.split_all(ImageSplit(whole, whole))


@pytest.mark.parametrize(
    ("text", "part", "words"),
    [
        ("lightness", ImageSet(np.zeros((2, 1, 4, 4), dtype=np.uint8)), "got grey"),
        ("smaller:3", ImageSet(np.zeros((2, 1, 4, 4), dtype=np.uint8)), "3 divides.*got 4 x 4"),
        ("top", ImageSet(np.zeros((2, 1, 3, 4), dtype=np.uint8)), "got 3 pixels"),
    ],
)
def test_pictures_without_such_a_part(text, part, words):
    with pytest.raises(DataError, match=words):
        condition_from(text).split(part)


@pytest.mark.parametrize("text", ["smaller:1", "smaller:x", "smaller:"])
def test_wrong_factors(text):
    if text == "smaller:":
        assert condition_from(text).factor == 2
        return
    with pytest.raises(DataError, match="whole factor of 2 to 64"):
        condition_from(text)
