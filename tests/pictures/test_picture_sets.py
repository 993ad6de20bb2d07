"""Reading pictures and writing them, named sets among them."""

import dataclasses
import gzip
import hashlib
import io
import math
import os
import pickle
import struct
import subprocess
import sys
import tarfile
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pushforward.errors import DataError, FileError, FlowError
from pushforward.pictures import datasets
from pushforward.pictures.datasets import DATASETS, RemoteFile, load_dataset
from pushforward.pictures.picture_files import to_grid, write_images, write_picture
from pushforward.pictures.picture_sets import ImageSet, ImageSplit
from pushforward.pictures.png import png_chunks
from pushforward.pictures.reading import read_images
from pushforward.terminal import quiet_standard_error

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (5, 6, 4), dtype=np.uint8)
COLOUR = RNG.integers(0, 256, (5, 6, 4, 3), dtype=np.uint8)
DATA = os.environ.get("PUSHFORWARD_DATA")


@pytest.fixture(autouse=True)
def _no_data_by_default(monkeypatch, tmp_path):
    monkeypatch.delenv("PUSHFORWARD_DATA", raising=False)
    monkeypatch.setenv("PUSHFORWARD_CACHE", str(tmp_path / "cache"))


def save(path, array, **options):
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path, **options)
    return path


def refused(error, source, *words, **options):
    """One sentence, of the right class, with these words."""
    with pytest.raises(FlowError) as caught:
        read_images(source, **options)
    message = str(caught.value)
    assert caught.type is error, message
    assert "\n" not in message
    assert not message.endswith(".")
    for word in words:
        assert str(word) in message, message


# --- sets --------------------------------------------------------------------------------------------------------------


def test_a_set_knows_its_shape_rows_and_labels():
    images = ImageSet(
        GREY[:, None],
        attributes={"label": np.array([0, 2, 1, 0, 2], np.uint8), "old": [1, 0, 1, 0, 1]},
        files=tuple("abcde"),
    )
    assert (len(images), images.shape, images.levels) == (5, (1, 6, 4), 256)
    some = images.take(np.array([3, 1]))
    np.testing.assert_array_equal(some.images, GREY[[3, 1]][:, None])
    assert some.files == ("d", "b")
    values, classes = some.labels()
    assert values.tolist() == [0, 2]
    assert values.dtype == np.int64
    assert classes == 3
    assert images.labels("old")[1] == 2
    assert images.take(np.array([True, False, False, False, True])).files == ("a", "e")
    assert images.take(slice(1, 3)).files == ("b", "c")
    assert ImageSet(GREY[:, None], attributes={"smile": np.ones(5, int)}).labels()[1] == 2


def test_named_classes_are_counted_even_where_a_part_lacks_one():
    images = ImageSet(GREY[:, None], attributes={"label": np.zeros(5, int)}, classes=("a", "b", "c"))
    assert images.labels()[1] == images.take(slice(1)).labels()[1] == 3


def test_read_only_memory_is_copied():
    images = ImageSet(np.frombuffer(GREY.tobytes(), np.uint8).reshape(5, 1, 6, 4)).images
    assert torch.from_numpy(images).shape == (5, 1, 6, 4)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"images": GREY}, "shape (5, 6, 4)"),
        ({"images": GREY[:, None].astype(np.float32)}, "float32"),
        ({"images": COLOUR}, "shape (5, 6, 4, 3)"),
        ({"levels": 17}, "0 to 16"),
        ({"levels": 257}, "2 to 256 levels, got 257"),
        ({"attributes": {"label": np.zeros(4, int)}}, "5 whole numbers in the attribute 'label'"),
        ({"attributes": {"label": np.zeros(5)}}, "float64"),
        ({"attributes": {"label": np.full(5, 2**63, np.uint64)}}, "below 2^63"),
        ({"files": ("a",)}, "a file for each of 5"),
        ({"attributes": {"label": np.arange(5)}, "classes": ("a", "b")}, "labels 0 to 1, got 0 to 4"),
    ],
)
def test_a_set_refuses_what_does_not_fit(change, words):
    with pytest.raises(DataError) as caught:
        ImageSet(**{"images": GREY[:, None], **change})
    assert words in str(caught.value)


def test_labels_that_are_not_there():
    images = ImageSet(GREY[:, None], attributes={"smile": np.zeros(5, int), "age": np.full(5, -1)}, name="faces")
    with pytest.raises(
        DataError, match="labels for the pictures of faces, got the attributes 'smile', 'age'; name one"
    ):
        images.labels()
    with pytest.raises(DataError, match=r"an attribute 'hat'.*'smile', 'age'"):
        images.labels("hat")
    with pytest.raises(DataError, match=r"class numbers 0, 1, \.\.\. in the attribute 'age', got -1"):
        images.labels("age")
    with pytest.raises(DataError, match="got none; add labels"):
        ImageSet(GREY[:, None]).labels()


def test_parts_of_a_split_fit_together():
    with pytest.raises(DataError, match=r"expected valid pictures of shape \(1, 6, 4\) and 256 levels"):
        ImageSplit(ImageSet(GREY[:, None]), ImageSet(GREY[:, None, :5]))
    with pytest.raises(DataError, match="expected test pictures"):
        ImageSplit(ImageSet(GREY[:, None] % 17), None, ImageSet(GREY[:, None] % 17, 17))


# --- folders and files -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif", ".tiff", ".webp", ".gif"])
def test_a_folder_of_lossless_pictures_is_exact(tmp_path, suffix):
    for i in (2, 0, 1):
        save(tmp_path / f"p{i}{suffix}", GREY[i], **({"lossless": True} if suffix == ".webp" else {}))
    (tmp_path / "notes.txt").write_text("no picture")
    (tmp_path / ".hidden.png").write_text("no picture")
    split = read_images(tmp_path)
    assert split.valid is None
    assert split.test is None
    assert [Path(file).name for file in split.train.files] == [f"p{i}{suffix}" for i in range(3)]
    # WebP knows no grey; a grey ramp in a GIF's palette is grey
    expected = np.repeat(GREY[:3, None], 3, 1) if suffix == ".webp" else GREY[:3, None]
    np.testing.assert_array_equal(split.train.images, expected)
    assert split.train.levels == 256
    assert split.train.name == tmp_path.name


def test_colour_pictures_and_one_file(tmp_path):
    for i, picture in enumerate(COLOUR):
        save(tmp_path / f"{i}.png", picture)
    np.testing.assert_array_equal(read_images(str(tmp_path)).train.images, COLOUR.transpose(0, 3, 1, 2))
    one = read_images(tmp_path / "3.png").train
    np.testing.assert_array_equal(one.images, COLOUR[3:4].transpose(0, 3, 1, 2))
    save(tmp_path / "j.jpg", np.full((6, 4, 3), 90, np.uint8))
    assert abs(read_images(tmp_path / "j.jpg").train.images.astype(int) - 90).max() <= 2


def test_subfolders_are_classes(tmp_path):
    for i, name in enumerate(("cat", "ant", "bee", "cat", "ant")):
        save(tmp_path / name / f"{i}.png", GREY[i])
    (tmp_path / "empty").mkdir()
    train = read_images(tmp_path).train
    assert train.classes == ("ant", "bee", "cat")
    assert train.labels()[0].tolist() == [0, 0, 1, 2, 2]
    assert train.labels()[1] == 3
    np.testing.assert_array_equal(train.images[:, 0], GREY[[1, 4, 2, 0, 3]])
    save(tmp_path / "top.png", GREY[0])
    assert read_images(tmp_path).train.attributes == {}
    assert len(read_images(tmp_path).train) == 1


def test_subfolders_called_train_and_test_are_a_split(tmp_path):
    for part, name, i in (("train", "b", 0), ("train", "a", 1), ("val", "b", 2), ("test", "c", 3)):
        save(tmp_path / part / name / f"{i}.png", GREY[i])
    split = read_images(tmp_path)
    assert split.train.classes == split.test.classes == ("a", "b", "c")
    assert [part.labels()[0].tolist() for part in (split.train, split.valid, split.test)] == [[0, 1], [1], [2]]
    np.testing.assert_array_equal(split.valid.images[0, 0], GREY[2])
    save(tmp_path / "test" / "flat.png", GREY[4])
    refused(DataError, tmp_path, tmp_path / "test", "subfolders for the classes")


def test_size_crops_the_centre_and_resizes(tmp_path):
    wide = np.full((8, 20), 7, np.uint8)
    wide[:, 6:14] = 200
    save(tmp_path / "a.png", wide)
    save(tmp_path / "b.png", wide.T.copy())
    train = read_images(tmp_path, size=4).train
    assert train.shape == (1, 4, 4)
    assert (train.images == 200).all()
    # without resampling the centre is exact
    np.testing.assert_array_equal(
        read_images(save(tmp_path / "c.png", GREY[0]), size=4).train.images[0, 0], GREY[0, 1:5]
    )


def test_resizing_averages_rather_than_picks(tmp_path):
    checks = np.indices((64, 64)).sum(0) % 2 * 255
    np.save(tmp_path / "a.npy", checks.astype(np.uint8)[None])
    small = read_images(tmp_path / "a.npy", size=8).train.images
    assert abs(small.astype(int) - 127.5).max() < 3


def late_mark(path):
    """Move the orientation mark of a PNG file behind its pixels, where it may be too."""
    data = path.read_bytes()
    parts = [(name, data[begin:end]) for name, begin, end in png_chunks(io.BytesIO(data))]
    parts.sort(key=lambda part: (part[0] == b"eXIf") + 2 * (part[0] == b"IEND"))
    path.write_bytes(data[:8] + b"".join(part for _, part in parts))


def test_a_damaged_tiff_file_is_one_sentence_and_nothing_else(tmp_path, capfd):
    path = save(tmp_path / "a.tif", np.add.outer(np.arange(40), np.arange(40)).astype(np.uint8), compression="tiff_lzw")
    data = bytearray(path.read_bytes())
    data[8:40] = bytes(32)
    path.write_bytes(data)
    refused(FileError, path, "damaged")
    # libtiff writes to the number of the stream, past sys.stderr.
    assert capfd.readouterr().err == ""
    print("after", file=sys.stderr)
    assert capfd.readouterr().err == "after\n"


def test_nothing_is_restored_wrongly_by_threads_that_are_quiet_together(capfd):
    def quiet():
        with quiet_standard_error():
            os.write(2, b"hidden")

    threads = [threading.Thread(target=quiet) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    os.write(2, b"seen")
    assert capfd.readouterr().err == "seen"


@pytest.mark.parametrize("suffix", [".jpg", ".png", "-late.png", "-alpha.png", ".tif", ".webp"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_pictures_stand_upright(tmp_path, orientation, suffix):
    picture = np.zeros((16, 32), np.uint8)
    picture[:8, :16] = 255
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {".jpg": {"quality": 100}, ".webp": {"lossless": True}}.get(suffix, {})
    full = np.stack([picture] * 3 + [np.full_like(picture, 255)], -1) if suffix == "-alpha.png" else picture
    save(tmp_path / f"a{suffix}", full, exif=exif, **options)
    if suffix == "-late.png":
        late_mark(tmp_path / f"a{suffix}")
    upright = {
        1: lambda a: a,
        2: lambda a: a[:, ::-1],
        3: lambda a: a[::-1, ::-1],
        4: lambda a: a[::-1],
        5: lambda a: a.T,
        6: lambda a: a[::-1].T,
        7: lambda a: a[::-1, ::-1].T,
        8: lambda a: a[:, ::-1].T,
    }[orientation](picture)
    got = read_images(tmp_path).train.images[0, 0]
    assert got.shape == upright.shape
    assert abs(got.astype(int) - upright).max() < 8


@pytest.mark.parametrize("exif", [b"Exif\0\0nonsense", b"MM\0*\0\0\0\x08\0\1\1\x12\0\3\0\0\0\1\0\x63\0\0\0\0\0\0"])
def test_a_damaged_orientation_mark_turns_nothing(tmp_path, exif):
    save(tmp_path / "a.png", GREY[0], exif=exif)
    np.testing.assert_array_equal(read_images(tmp_path / "a.png").train.images[0, 0], GREY[0])


def test_palettes_are_converted(tmp_path):
    colour = Image.fromarray(COLOUR[0]).quantize(24)
    colour.save(tmp_path / "a.png")
    np.testing.assert_array_equal(
        read_images(tmp_path / "a.png").train.images[0].transpose(1, 2, 0), np.asarray(colour.convert("RGB"))
    )
    grey = Image.new("P", (2, 2))
    grey.putdata([0, 1, 1, 0])
    grey.putpalette([10, 10, 10, 250, 250, 250])
    grey.save(tmp_path / "g.png")
    assert read_images(tmp_path / "g.png").train.images.tolist() == [[[[10, 250], [250, 10]]]]
    # a grey palette goes with either kind
    save(tmp_path / "with" / "a.png", COLOUR[0, :2, :2])
    grey.save(tmp_path / "with" / "g.png")
    assert read_images(tmp_path / "with").train.images[1, :, 0].tolist() == [[10, 250]] * 3


def test_bits_are_black_and_white(tmp_path):
    Image.fromarray(GREY[0] > 100).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_images(tmp_path).train.images[0, 0], (GREY[0] > 100) * 255)


def test_only_an_opaque_alpha_channel_is_dropped(tmp_path):
    rgba = np.concatenate([COLOUR[0], np.full((6, 4, 1), 255, np.uint8)], 2)
    save(tmp_path / "ok" / "a.png", rgba)
    save(tmp_path / "ok" / "b.png", COLOUR[1])
    np.testing.assert_array_equal(read_images(tmp_path / "ok").train.images, COLOUR[:2].transpose(0, 3, 1, 2))
    Image.fromarray(rgba[..., [0, 3]]).save(tmp_path / "la.png")
    np.testing.assert_array_equal(read_images(tmp_path / "la.png").train.images[0, 0], COLOUR[0, ..., 0])
    rgba[2, 3, 3] = 254
    refused(DataError, save(tmp_path / "t.png", rgba), tmp_path / "t.png", "transparent")
    grey = Image.fromarray(GREY[0])
    grey.save(tmp_path / "k.png", transparency=int(GREY[0, 0, 0]))
    refused(DataError, tmp_path / "k.png", "transparent")
    grey.quantize(8).save(tmp_path / "p.png", transparency=0)
    refused(DataError, tmp_path / "p.png", "transparent")


def chunk(name, body):
    import zlib

    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png(width, height, bits, colour, body):
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", body) + chunk(b"IEND", b"")


@pytest.mark.parametrize("colour", [0, 2, 4, 6])
def test_sixteen_bits_are_refused(tmp_path, colour):
    import zlib

    channels = {0: 1, 2: 3, 4: 2, 6: 4}[colour]
    path = tmp_path / "deep.png"
    path.write_bytes(
        png(2, 2, 16, colour, zlib.compress(b"".join(b"\0" + bytes([255] * 4 * channels) for _ in range(2))))
    )
    refused(DataError, path, path, "8 bits", "16 or more")


def test_sixteen_bits_for_a_pixel_are_no_sixteen_for_a_channel(tmp_path):
    masks = struct.pack("<4I", 0xF800, 0x07E0, 0x001F, 0)
    head = struct.pack("<IiiHHIIiiII", 56, 2, 1, 1, 16, 3, 4, 0, 0, 0, 0) + masks
    pixels = struct.pack("<2H", 0xF800, 0x001F)
    (tmp_path / "a.bmp").write_bytes(struct.pack("<2sIHHI", b"BM", 14 + 56 + 4, 0, 0, 70) + head + pixels)
    assert read_images(tmp_path / "a.bmp").train.images[0, :, 0].tolist() == [[255, 0], [0, 0], [0, 255]]


def test_sixteen_bits_of_a_tiff_are_refused(tmp_path):
    tags = [
        (256, 3, 1, 2), (257, 3, 1, 2), (258, 3, 3, 150), (259, 3, 1, 1), (262, 3, 1, 2),
        (273, 4, 1, 160), (277, 3, 1, 3), (278, 3, 1, 2), (279, 4, 1, 24),
    ]  # fmt: skip
    body = b"II*\0" + struct.pack("<IH", 8, len(tags)) + b"".join(struct.pack("<HHII", *tag) for tag in tags)
    (tmp_path / "a.tif").write_bytes(body.ljust(150, b"\0") + struct.pack("<3H", 16, 16, 16) + b"\0" * 4 + b"\7" * 24)
    refused(DataError, tmp_path / "a.tif", "a.tif", "8 bits")


def test_other_kinds_of_pixels_are_refused(tmp_path):
    Image.new("CMYK", (4, 4)).save(tmp_path / "c.jpg")
    refused(DataError, tmp_path, "c.jpg", "CMYK")
    Image.new("F", (4, 4)).save(tmp_path / "f.tif")
    refused(DataError, tmp_path / "f.tif", "channels F")
    Image.new("I;16", (4, 4)).save(tmp_path / "i.tif")
    refused(DataError, tmp_path / "i.tif", "8 bits")


def test_mixed_sizes_name_two_files(tmp_path):
    save(tmp_path / "a.png", GREY[0])
    save(tmp_path / "b.png", GREY[1])
    save(tmp_path / "c.png", GREY[2, :5])
    refused(DataError, tmp_path, tmp_path, "2 sizes", "4 x 6 in a.png", "4 x 5 in c.png", "give a size")
    assert read_images(tmp_path, size=4).train.shape == (1, 4, 4)


def test_grey_and_colour_mixed_are_counted(tmp_path):
    save(tmp_path / "a.png", GREY[0])
    save(tmp_path / "b.png", np.repeat(GREY[1][..., None], 3, 2))  # equal channels are colour still
    save(tmp_path / "c.png", GREY[2])
    refused(DataError, tmp_path, tmp_path, "2 grey (a.png)", "1 in colour (b.png)")


def test_damaged_files_are_named(tmp_path):
    whole = save(tmp_path / "a.png", RNG.integers(0, 256, (64, 64), dtype=np.uint8)).read_bytes()
    for keep in (0, 4, 20, 60, len(whole) // 2):
        (tmp_path / "b.png").write_bytes(whole[:keep])
        refused(FileError, tmp_path, tmp_path / "b.png")
    (tmp_path / "b.png").write_bytes(whole[: len(whole) // 2] + b"\0" * 64 + whole[len(whole) // 2 + 64 :])
    refused(FileError, tmp_path, tmp_path / "b.png", "damaged")
    (tmp_path / "b.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 4 4\n")
    refused(FileError, tmp_path, "b.png", "another kind of file")
    (tmp_path / "b.png").unlink()
    save(tmp_path / "b.jpg", RNG.integers(0, 256, (64, 64), dtype=np.uint8))
    (tmp_path / "b.jpg").write_bytes((tmp_path / "b.jpg").read_bytes()[:900])
    refused(FileError, tmp_path, "b.jpg", "truncated")


@pytest.mark.parametrize("side", [10_000, 40_000])
def test_bombs_are_not_opened(tmp_path, side):
    (tmp_path / "bomb.png").write_bytes(png(side, side, 8, 0, b"x"))
    refused(FileError, tmp_path, "bomb.png", "89 million pixels")


def test_sources_that_are_not_there(tmp_path):
    refused(FileError, "mnst", "mnst", "did you mean 'mnist'?")
    refused(FileError, str(tmp_path / "nothing"), "nothing", "cifar10")
    refused(FileError, "", "no such name")
    refused(FileError, "x" * 5000, "no such name")
    (tmp_path / "empty").mkdir()
    refused(DataError, tmp_path / "empty", tmp_path / "empty", "got none")
    (tmp_path / "a.txt").write_text("x")
    refused(FileError, tmp_path / "a.txt", "a.txt", ".png")
    refused(DataError, save(tmp_path / "a.png", GREY[0]), "size of 1", size=0)
    refused(DataError, tmp_path / "a.png", "2 to 256 levels", levels=1)
    refused(DataError, tmp_path / "a.png", "a.png", "0 to 16", levels=17)


def test_a_folder_named_as_a_dataset(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save(tmp_path / "digits" / "a.png", GREY[0])
    assert len(read_images("./digits").train) == len(read_images(Path("digits")).train) == 1
    assert len(read_images("digits").train) == 1200


def test_memory_is_the_final_array(tmp_path):
    import tracemalloc

    for i in range(40):
        save(tmp_path / f"{i}.png", np.full((128, 128), i, np.uint8))
    read_images(tmp_path)
    tracemalloc.start()
    images = read_images(tmp_path).train.images
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1.25 * images.nbytes


# --- arrays ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "channels"),
    [
        ((5, 6, 4), (5, 1, 6, 4)),
        ((5, 6, 4, 1), (5, 1, 6, 4)),
        ((5, 6, 4, 3), (5, 3, 6, 4)),
        ((5, 1, 6, 4), (5, 1, 6, 4)),
        ((5, 3, 6, 4), (5, 3, 6, 4)),
        ((5, 3, 3, 3), (5, 3, 3, 3)),
        ((5, 3, 1, 1), (5, 3, 1, 1)),
        ((5, 1, 3, 3), (5, 1, 3, 3)),
        ((5, 1, 1, 3), (5, 3, 1, 1)),
        ((5, 3, 8, 1), (5, 1, 3, 8)),
    ],
)
def test_the_layout_of_arrays(tmp_path, shape, channels):
    array = np.arange(math.prod(shape), dtype=np.int64).reshape(shape) % 256
    np.save(tmp_path / "a.npy", array)
    images = read_images(tmp_path / "a.npy").train.images
    assert images.shape == channels
    assert images.flags.c_contiguous
    first = len(shape) == 4 and (shape == channels) and shape != (5, 3, 3, 3)
    expected = array[:, None] if len(shape) == 3 else array if first else array.transpose(0, 3, 1, 2)
    np.testing.assert_array_equal(images, expected)


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.zeros((5, 6, 4), np.float32), ["float32", "uint8"]),
        (np.full((5, 6, 4), 256), ["0 to 255", "got 256 in picture 1"]),
        (np.stack([np.zeros((6, 4), int), np.full((6, 4), -3)]), ["got -3 in picture 2"]),
        (np.zeros(7, int), ["three or four dimensions", "fewer"]),
        (np.zeros((7, 3), int), ["three or four dimensions", "fewer"]),
        (np.zeros((2, 2, 2, 2, 2), int), ["three or four dimensions", "got 5"]),
        (np.zeros((0, 6, 4), int), ["empty"]),
        (np.zeros((5, 6, 0), int), ["empty"]),
        (np.zeros((5, 6, 4, 4), int), ["one or three channels", "(5, 6, 4, 4)"]),
        (np.zeros((6, 4, 3), int), ["one colour picture"]),
        (np.array([["a"]]), ["<U1"]),
    ],
)
def test_arrays_that_are_no_pictures(tmp_path, array, words):
    np.save(tmp_path / "a.npy", array)
    refused(DataError, tmp_path / "a.npy", tmp_path / "a.npy", *words)


def test_levels_of_arrays(tmp_path):
    np.save(tmp_path / "a.npy", GREY % 17)
    assert read_images(tmp_path / "a.npy").train.levels == 256
    assert read_images(tmp_path / "a.npy", levels=17).train.levels == 17
    refused(DataError, tmp_path / "a.npy", "a.npy", "0 to 7", levels=8)
    np.save(tmp_path / "b.npy", GREY > 100)
    bits = read_images(tmp_path / "b.npy").train
    assert (bits.levels, int(bits.images.max()), bits.images.dtype) == (2, 1, np.uint8)
    # an edge, at which Lanczos overshoots
    np.save(tmp_path / "c.npy", (np.arange(16 * 16).reshape(1, 16, 16) % 16 // 8) * 16)
    assert read_images(tmp_path / "c.npy", size=24, levels=17).train.images.max() == 16


def test_npz_with_a_split(tmp_path):
    np.savez(
        tmp_path / "a.npz",
        train_x=COLOUR,
        train_y=np.arange(5, dtype=np.uint8),
        train_smile=np.array([True, False, True, True, False]),
        train_weight=np.zeros(5),
        train_index=np.arange(3),
        test_x=COLOUR[:2],
        test_y=np.array([1, 0]),
    )
    split = read_images(tmp_path / "a.npz")
    assert split.valid is None
    assert split.test.labels()[0].tolist() == [1, 0]
    assert set(split.train.attributes) == {"label", "smile"}
    assert split.train.labels()[0].tolist() == [0, 1, 2, 3, 4]
    assert split.train.attributes["smile"].tolist() == [1, 0, 1, 1, 0]
    np.testing.assert_array_equal(split.train.images, COLOUR.transpose(0, 3, 1, 2))


@pytest.mark.parametrize("name", ["x", "images", "data", "faces"])
def test_npz_with_one_array_of_pictures(tmp_path, name):
    np.savez(tmp_path / "a.npz", **{name: GREY, "age": np.arange(5), "valid_idx": np.arange(2)})
    split = read_images(tmp_path / "a.npz")
    np.testing.assert_array_equal(split.train.images[:, 0], GREY)
    assert list(split.train.attributes) == ["age"]
    assert split.valid is None


def test_npz_that_does_not_say_which(tmp_path):
    np.savez(tmp_path / "a.npz", a=GREY, b=GREY)
    refused(DataError, tmp_path / "a.npz", "a.npz", "several: 'a', 'b'")
    np.savez(tmp_path / "b.npz", a=np.zeros(3))
    refused(DataError, tmp_path / "b.npz", "b.npz", "none among 'a'")
    np.savez(tmp_path / "c.npz", test_x=GREY)
    refused(DataError, tmp_path / "c.npz", "c.npz", "train_x")
    np.savez(tmp_path / "d.npz", train_x=GREY, valid_x=GREY / 2)
    refused(DataError, tmp_path / "d.npz", "d.npz", "'valid_x'", "float64")
    np.savez(tmp_path / "e.npz", train_x=GREY, valid_x=GREY[:, 1:])
    refused(DataError, tmp_path / "e.npz", "e.npz", "expected valid pictures")


TRIPPED = []


def trip():
    TRIPPED.append(True)


class Trap:
    def __reduce__(self):
        return trip, ()


def test_hostile_numpy_files(tmp_path):
    objects = np.array([Trap()], dtype=object)
    np.savez(tmp_path / "o.npz", x=objects, allow_pickle=True)
    refused(FileError, tmp_path / "o.npz", "o.npz", "pickled")
    np.save(tmp_path / "o.npy", objects, allow_pickle=True)
    refused(FileError, tmp_path / "o.npy", "o.npy", "pickled")
    (tmp_path / "p.npy").write_bytes(pickle.dumps(Trap()))
    refused(FileError, tmp_path / "p.npy", "p.npy", "pickle")
    assert not TRIPPED
    np.savez(tmp_path / "w.npz", x=GREY)
    whole = (tmp_path / "w.npz").read_bytes()
    for part in (whole[:100], whole[:-20], whole[:60] + b"\0\0\0\0" + whole[64:-30], b"PK", b""):
        (tmp_path / "t.npz").write_bytes(part)
        refused(FileError, tmp_path / "t.npz", "t.npz")
    for at, byte in (
        (whole.rindex(b"PK\1\2"), 0),
        (whole.rindex(b"PK\1\2") + 10, 77),
        (whole.rindex(b"PK\1\2") + 8, 1),
    ):
        (tmp_path / "t.npz").write_bytes(whole[:at] + bytes([byte]) + whole[at + 1 :])
        refused(FileError, tmp_path / "t.npz", "t.npz", "damaged")
    np.save(tmp_path / "w.npy", GREY)
    (tmp_path / "w.npy").write_bytes((tmp_path / "w.npy").read_bytes().replace(b"}", b"("))
    refused(FileError, tmp_path / "w.npy", "w.npy", "damaged")
    huge = io.BytesIO()
    np.lib.format.write_array_header_1_0(huge, {"descr": "|u1", "fortran_order": False, "shape": (2**50, 8, 8)})
    (tmp_path / "h.npy").write_bytes(huge.getvalue() + b"\0" * 64)
    refused(FileError, tmp_path / "h.npy", "h.npy", "truncated")


def test_an_archive_that_unpacks_to_far_more_is_refused(tmp_path, monkeypatch):
    from pushforward.pictures import picture_sets as images

    monkeypatch.setattr(images, "UNPACKED", 10**6)
    with zipfile.ZipFile(tmp_path / "z.npz", "w", zipfile.ZIP_DEFLATED) as archive, archive.open("x.npy", "w") as file:
        np.lib.format.write_array(file, np.zeros((2000, 32, 32), np.uint8))
    refused(FileError, tmp_path / "z.npz", "z.npz", "unpacks to")
    monkeypatch.undo()
    assert len(read_images(tmp_path / "z.npz").train) == 2000


# --- writing -----------------------------------------------------------------------------------------------------------


def test_the_grid_is_where_it_should_be():
    images = np.arange(3 * 2 * 2).reshape(3, 1, 2, 2) % 5
    grid = to_grid(images, 5, columns=2, padding=1, scale=3)
    assert grid.shape == (2 * 7 + 1, 2 * 7 + 1, 1)
    assert grid.dtype == np.uint8
    shades = {0: 0, 1: 64, 2: 128, 3: 191, 4: 255}
    for n, (row, column) in enumerate([(0, 0), (0, 1), (1, 0)]):
        for i in range(2):
            for j in range(2):
                block = grid[1 + 7 * row + 3 * i :, 1 + 7 * column + 3 * j :][:3, :3]
                assert (block == shades[int(images[n, 0, i, j])]).all()
    assert (grid[8:, 8:] == 128).all()
    assert (grid[[0, 7, 14]] == 128).all()
    assert (grid[:, [0, 7, 14]] == 128).all()


def test_defaults_of_the_grid():
    eight = to_grid(np.zeros((10, 1, 8, 8), int), 17)
    assert eight.shape == (3 * 65 + 1, 4 * 65 + 1, 1)
    assert to_grid(np.zeros((2, 3, 100, 90), np.uint8), columns=9).shape == (102, 183, 3)
    same = to_grid(COLOUR[:1].transpose(0, 3, 1, 2), padding=0, scale=1)
    np.testing.assert_array_equal(same, COLOUR[0])


@pytest.mark.parametrize(
    ("images", "options", "words"),
    [
        (np.zeros((2, 8, 8), int), {}, r"shape \(2, 8, 8\)"),
        (np.zeros((0, 1, 8, 8), int), {}, "one or more pictures"),
        (np.zeros((2, 2, 8, 8), int), {}, "one or three channels"),
        (np.zeros((2, 1, 8, 8)), {}, "float64"),
        (np.full((2, 1, 8, 8), 17), {"levels": 17}, "got 17 in picture 1"),
        (np.zeros((2, 1, 8, 8), int), {"columns": 0}, "columns 0"),
        (np.zeros((2, 1, 8, 8), int), {"scale": 0}, "scale 0"),
        (np.zeros((2, 1, 8, 8), int), {"padding": -1}, "padding -1"),
    ],
)
def test_grids_that_cannot_be(images, options, words):
    with pytest.raises(DataError, match=words):
        to_grid(images, **options)


def test_pictures_written_are_read_back(tmp_path):
    write_picture(tmp_path / "a.png", COLOUR[0])
    np.testing.assert_array_equal(read_images(tmp_path / "a.png").train.images[0].transpose(1, 2, 0), COLOUR[0])
    for grey in (GREY[0], GREY[0][..., None]):
        write_picture(tmp_path / "b.png", grey)
        np.testing.assert_array_equal(read_images(tmp_path / "b.png").train.images[0, 0], GREY[0])
    assert sorted(os.listdir(tmp_path)) == ["a.png", "b.png"]
    for bad in (GREY[0] / 2, COLOUR, np.zeros((4, 4, 4), np.uint8), GREY[0, 0]):
        with pytest.raises(DataError, match=r"a\.png"):
            write_picture(tmp_path / "a.png", bad)
    with pytest.raises(FileError, match=r"a\.jpg.*\.png"):
        write_picture(tmp_path / "a.jpg", GREY[0])
    with pytest.raises(FileError, match="no such file"):
        write_picture(tmp_path / "no" / "a.png", GREY[0])


def test_images_written_by_suffix(tmp_path):
    images = COLOUR.transpose(0, 3, 1, 2).astype(np.int64) % 17
    label = np.array([2, 0, 1, 1, 0])
    write_images(tmp_path / "a.npz", images, 17, attributes={"label": label})
    back = read_images(tmp_path / "a.npz", levels=17).train
    np.testing.assert_array_equal(back.images, images)
    np.testing.assert_array_equal(back.labels()[0], label)
    with np.load(tmp_path / "a.npz", allow_pickle=False) as arrays:
        assert sorted(arrays) == ["x", "y"]
        assert arrays["x"].dtype == np.uint8
    write_images(tmp_path / "a.npy", images, 17)
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy", allow_pickle=False), images)
    write_images(tmp_path / "a.png", images, 17, columns=5, scale=2, padding=3)
    grid = np.asarray(Image.open(tmp_path / "a.png"))
    np.testing.assert_array_equal(grid, to_grid(images, 17, columns=5, scale=2, padding=3))
    with pytest.raises(FileError, match=r"a\.gif.*\.png or \.npz or \.npy"):
        write_images(tmp_path / "a.gif", images, 17)
    with pytest.raises(DataError, match="0 to 7"):
        write_images(tmp_path / "b.npz", images, 8)
    assert sorted(os.listdir(tmp_path)) == ["a.npy", "a.npz", "a.png"]


# --- named sets --------------------------------------------------------------------------------------------------------


def test_digits_are_the_split_of_the_reference():
    split = load_dataset("digits")
    parts = (split.train, split.valid, split.test)
    assert [len(part) for part in parts] == [1200, 300, 297]
    assert all(part.levels == 17 and part.shape == (1, 8, 8) for part in parts)
    assert split.train.labels()[1] == 10
    from sklearn.datasets import load_digits

    order = np.random.RandomState(0).permutation(1797)
    np.testing.assert_array_equal(split.valid.images.reshape(300, 64), load_digits().data[order][1200:1500])
    np.testing.assert_array_equal(split.test.labels()[0], load_digits().target[order][1500:])
    # an independent categorical with add-one counts scores 2.434 bits/dim on the test rows
    train, test = (part.images.reshape(len(part), 64) for part in (split.train, split.test))
    counts = np.stack([np.bincount(column, minlength=17) + 1 for column in train.T])
    logs = np.log2(counts / counts.sum(1, keepdims=True))
    assert -logs[np.arange(64), test].mean() == pytest.approx(2.434, abs=5e-4)


def test_levels_and_size_of_a_named_set():
    split = read_images("digits", size=16)
    assert split.test.shape == (1, 16, 16)
    assert split.test.levels == 17
    assert split.test.images.max() == 16
    assert read_images("digits", levels=256).train.levels == 256
    refused(DataError, "digits", "0 to 7", levels=8)


def idx(array):
    head = bytes((0, 0, 8, array.ndim)) + struct.pack(f">{array.ndim}I", *array.shape)
    return gzip.compress(head + array.tobytes())


def published(name, contents, parts, places):
    """A named set with small files of the published format in the place of the published ones."""
    files = tuple(RemoteFile(key, hashlib.sha256(body).hexdigest(), len(body)) for key, body in contents.items())
    return dataclasses.replace(DATASETS[name], files=files, parts=parts, places=places)


def mnist_files():
    images = RNG.integers(0, 256, (9, 28, 28), dtype=np.uint8)
    labels = RNG.integers(0, 10, 9, dtype=np.uint8)
    return images, labels, {
        "train-images-idx3-ubyte.gz": idx(images[:7]),
        "train-labels-idx1-ubyte.gz": idx(labels[:7]),
        "t10k-images-idx3-ubyte.gz": idx(images[7:]),
        "t10k-labels-idx1-ubyte.gz": idx(labels[7:]),
    }  # fmt: skip


@pytest.fixture
def server():
    """An HTTP server of the files in `server.files`; requests are counted."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            httpd.asked.append(self.path)
            body = httpd.files.get(self.path)
            self.send_response(404 if body is None else 200)
            self.end_headers()
            self.wfile.write(body or b"")

        def log_message(self, *args):
            pass

    httpd = HTTPServer(("127.0.0.1", 0), Handler)
    httpd.files, httpd.asked = {}, []
    httpd.place = f"http://127.0.0.1:{httpd.server_port}/data/"
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield httpd
    httpd.shutdown()
    thread.join()
    httpd.server_close()


@pytest.mark.parametrize("name", ["mnist", "fashion-mnist"])
def test_downloading_and_caching_mnist(server, tmp_path, name):
    images, labels, files = mnist_files()
    server.files = {f"/data/{key}": body for key, body in files.items()}
    small = published(name, files, (5, 2, 2), (f"{server.place}old/", server.place))
    split = small.load()
    assert len(server.asked) == 8  # the first place has none of the four
    for part, rows in ((split.train, slice(5)), (split.valid, slice(5, 7)), (split.test, slice(7, 9))):
        np.testing.assert_array_equal(part.images[:, 0], images[rows])
        np.testing.assert_array_equal(part.labels()[0], labels[rows])
        assert part.labels()[1] == 10
        assert part.name == name
    assert sorted(os.listdir(tmp_path / "cache" / "datasets" / name)) == sorted(files)
    server.asked.clear()
    small.load()
    assert server.asked == []
    spoiled = small.cache / "t10k-labels-idx1-ubyte.gz"
    spoiled.write_bytes(bytes(len(spoiled.read_bytes())))
    small.load()
    assert server.asked == [f"/data/{part}t10k-labels-idx1-ubyte.gz" for part in ("old/", "")]


def cifar_tar(records, extra=()):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        for i, name in enumerate([*(f"data_batch_{k}.bin" for k in range(1, 6)), "test_batch.bin", *extra]):
            body = records[2 * i : 2 * i + 2].tobytes() if i < 6 else b"x"
            member = tarfile.TarInfo(name if i >= 6 else f"cifar-10-batches-bin/{name}")
            member.size = len(body)
            archive.addfile(member, io.BytesIO(body))
    return out.getvalue()


def test_downloading_cifar(tmp_path):
    records = RNG.integers(0, 256, (12, 3073), dtype=np.uint8)
    records[:, 0] %= 10
    (tmp_path / "site").mkdir()
    body = cifar_tar(records, extra=["../evil.bin"])
    (tmp_path / "site" / "cifar-10-binary.tar.gz").write_bytes(body)
    small = published("cifar10", {"cifar-10-binary.tar.gz": body}, (7, 3, 2), ((tmp_path / "site").as_uri() + "/",))
    split = small.load()
    for part, rows in ((split.train, slice(7)), (split.valid, slice(7, 10)), (split.test, slice(10, 12))):
        np.testing.assert_array_equal(part.images, records[rows, 1:].reshape(-1, 3, 32, 32))
        np.testing.assert_array_equal(part.labels()[0], records[rows, 0])
    assert [path.name for path in tmp_path.rglob("*.*")] == ["cifar-10-binary.tar.gz"] * 2
    for other in (b"no archive", cifar_tar(records)[:-200], cifar_tar(records[:9, :3000])):
        (tmp_path / "site" / "cifar-10-binary.tar.gz").write_bytes(other)
        spoiled = published("cifar10", {"cifar-10-binary.tar.gz": other}, (7, 3, 2), small.places)
        with pytest.raises(FileError, match="expected the binary version of CIFAR-10"):
            spoiled.load()


def test_what_is_not_the_published_file_is_not_used(server, tmp_path):
    _, _, files = mnist_files()
    small = published("mnist", files, (5, 2, 2), (server.place,))
    name = "train-images-idx3-ubyte.gz"
    changed = files[name][:-1] + bytes([files[name][-1] ^ 1])
    for body, words in (
        (changed, "another file, of SHA-256"),
        (files[name] + b"more", "more than its"),
        (files[name][:100], "100 of its"),
        (None, "answer 404"),
    ):
        server.files = {f"/data/{name}": body}
        with pytest.raises(FileError) as caught:
            small.load()
        message = str(caught.value)
        assert words in message
        assert "\n" not in message
        assert f"{server.place}{name}" in message
        assert f"into {tmp_path / 'cache' / 'datasets' / 'mnist'} by hand" in message
        assert small.files[0].sha256 in message
        assert os.listdir(small.cache) == []


def test_without_a_network(tmp_path, monkeypatch):
    here = published("mnist", mnist_files()[2], (5, 2, 2), ("http://127.0.0.1:9/",))
    with pytest.raises(FileError, match=r"127\.0\.0\.1:9.*refused.*by hand"):
        here.load()
    # files put there by hand are enough
    images, _, files = mnist_files()
    here = published("mnist", files, (5, 2, 2), here.places)
    for key, body in files.items():
        (here.cache / key).write_bytes(body)
    np.testing.assert_array_equal(here.load().train.images[:, 0], images[:5])
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("PUSHFORWARD_CACHE", str(tmp_path / "file"))
    with pytest.raises(FileError, match=r"cannot be created.*PUSHFORWARD_CACHE"):
        here.load()


def test_a_broken_connection_is_no_full_disk(monkeypatch):
    class Answer(io.BytesIO):
        def read(self, n=-1):
            raise TimeoutError("timed out")

    monkeypatch.setattr("urllib.request.urlopen", lambda address, timeout: Answer())
    with pytest.raises(FileError, match=r"connection that broke \(timed out\)"):
        DATASETS["cifar10"].load()


@pytest.mark.parametrize("damage", ["magic", "short", "long", "plain", "huge", "no head"])
def test_files_that_are_no_idx(tmp_path, damage):
    body = gzip.decompress(idx(GREY))
    body = {
        "magic": b"\0\0\x0d\3" + body[4:],
        "short": body[:-1],
        "long": body + b"x",
        "plain": body,
        "huge": body[:4] + b"\xff" * 12 + body[16:],
        "no head": body[:9],
    }[damage]
    (tmp_path / "a.gz").write_bytes(body if damage == "plain" else gzip.compress(body))
    with pytest.raises(FileError, match=r"a\.gz: expected a gzipped IDX file"):
        datasets._read_idx(tmp_path / "a.gz", 3)


def test_the_cache_follows_the_environment(monkeypatch, tmp_path):
    assert DATASETS["mnist"].cache == tmp_path / "cache" / "datasets" / "mnist"
    monkeypatch.delenv("PUSHFORWARD_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/xdg")
    assert DATASETS["mnist"].cache == Path("/xdg/pushforward/datasets/mnist")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/home/me")
    assert DATASETS["mnist"].cache == Path("/home/me/.cache/pushforward/datasets/mnist")


def test_the_folder_of_data_goes_first(tmp_path, monkeypatch):
    monkeypatch.setenv("PUSHFORWARD_DATA", str(tmp_path))
    x = RNG.integers(0, 256, (8, 28, 28), dtype=np.uint8)
    labels = np.arange(8) % 3
    np.savez(
        tmp_path / "mnist.npz",
        **{f"{part}_x": x[rows] for part, rows in (("train", slice(4)), ("valid", slice(4, 6)), ("test", slice(6, 8)))},
        train_y=labels[:4],
    )
    split = dataclasses.replace(DATASETS["mnist"], parts=(4, 2, 2), files=(), places=()).load()
    np.testing.assert_array_equal(split.test.images[:, 0], x[6:])
    assert split.train.labels()[1] == 10
    with pytest.raises(DataError, match=r"mnist\.npz: expected mnist with \(50000, 10000, 10000\)"):
        load_dataset("mnist")


def test_names_that_are_no_set():
    with pytest.raises(FileError, match="did you mean 'fashion-mnist'"):
        load_dataset("fashion_mnist")
    with pytest.raises(FileError, match="the datasets are mnist, fashion-mnist, cifar10, cifar10-4k, digits"):
        load_dataset("zzz")
    with pytest.raises(FileError, match=r"cifar10_lossless4k\.npz in the folder that PUSHFORWARD_DATA names"):
        load_dataset("cifar10-4k")


def test_every_published_file_has_a_digest_and_a_place():
    for dataset in DATASETS.values():
        assert len(dataset.classes) == 10
        assert bool(dataset.files) == bool(dataset.places)
        for file in dataset.files:
            assert len(bytes.fromhex(file.sha256)) == 32
            assert file.size > 0


def test_importing_loads_no_extra():
    code = (
        "import sys, pushforward.pictures.picture_sets, pushforward.pictures.datasets, pushforward.pictures.picture_files\n"
        "print([m for m in ('PIL', 'sklearn', 'tarfile', 'urllib.request', 'http.client') if m in sys.modules])"
    )
    bare = subprocess.run(
        [sys.executable, "-c", "import sys, torch; " + code.split("\n")[1]], capture_output=True, text=True
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout == bare.stdout


def test_without_pillow(tmp_path, monkeypatch):
    path = save(tmp_path / "a.png", GREY[0])
    monkeypatch.setitem(sys.modules, "PIL", None)
    refused(FileError, path, "Pillow", "pushforward[images]")
    write_images(tmp_path / "a.npy", GREY[:, None])
    assert len(read_images(tmp_path / "a.npy").train) == 5


@pytest.mark.skipif(not DATA, reason="PUSHFORWARD_DATA is not set")
@pytest.mark.parametrize("name", ["mnist", "cifar10-4k"])
def test_real_data(monkeypatch, name):
    monkeypatch.setenv("PUSHFORWARD_DATA", DATA)
    split = read_images(name)
    assert split.train.labels()[1] == split.test.labels()[1] == 10
    if name == "mnist":
        # the counts of the test file's labels
        assert np.bincount(split.test.labels()[0]).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
        assert split.train.images.mean() == pytest.approx(33.3, abs=0.3)
        assert split.train.labels()[0][:5].tolist() == [5, 0, 4, 1, 9]
    else:
        assert split.train.labels()[0][:3].tolist() == [6, 9, 9]  # frog, truck, truck
        assert split.train.images[0, :, 0, 0].tolist() == [59, 62, 63]


@pytest.mark.skipif(not DATA, reason="PUSHFORWARD_DATA is not set")
def test_real_faces():
    split = read_images(Path(DATA) / "smiles64.npz", size=32)
    assert (len(split.train), len(split.valid), len(split.test)) == (5904, 738, 738)
    assert split.train.labels()[1] == split.train.labels("smile")[1] == 2
    assert split.valid.shape == (1, 32, 32)
    frey = read_images(Path(DATA) / "freyfaces.npz")
    assert frey.train.shape == (1, 28, 20)
    assert frey.test is None
