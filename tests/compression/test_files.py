"""Files in archives: all kinds of pictures, arrays and names come back, or are refused before anything is written."""

from __future__ import annotations

import base64
import io
import os
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[2]))
from benchmarks import archives
from benchmarks.archives import look, make_model, png_chunk, same, saved

from pushforward.cli import main
from pushforward.cli.compressing import _damage, _workers
from pushforward.cli.options import MachineOptions
from pushforward.compression import Archive, Item, compress, frames, writing
from pushforward.compression.events import EventCoder
from pushforward.errors import FileError
from pushforward.pictures.folders import find_files
from pushforward.systems import IDF

OLD = (
    "iVBGWg0KGgoBAKUAAAB42iXMWwqDMBRF0amE+9sQbh6N1amUUsyrCpqEqBUpnXsj/d2scz4wJ+cn6CCIK6LRyhrXG41cNMpyqW++9cpYaYH+6T"
    "P2s68+TY6NLtTs3z6u0N0lFVQ8KJS0L9ApbDUFtx751NsY11u1YYwvX3IZzwX0rUYjveSm0ZzjeWaO2vO2DCGVvS+OIOMMKVlTsQMRjEuGF5s3"
    "SuI256MWxTR8f1R6OxbmLg9VUEZaQgIAAAAAAAAAAAAAAAAqAAAAFAAAAGh7dq142ouOVkovSq3UK8hLV9JR8lHSiTbUMdYx0TGM1VGqKTVUio"
    "0FAKx7CV542mMQ1bIPyaybvGLvpecAF4IFazQtFZZQRlpCAgAAAAAAAAAAAAAAACgAAAAUAAAAqyVfxHjai45WKs9MSdUryEtX0lEqSixX0ok2"
    "0jGO1VGyKTVSio0FAKNtCVN42mNg4FeX89MttZnjfRgADIcDK4/HYNFQRlpCAgAAAAAAAAAAAAAAACUAAAAfAAAA0lGDyHjai45WStMryUxT0l"
    "EqSixX0ok20jGO1VGySTNRio0FAH0NCAF42mNgYGBQ9RSyU/WcZLc99zaQFrLPu21mDwBBQwa3yzhjjFBGWkIADAAAAAAAAAAAAAAAQwAAANwA"
    "AAAdRokCeNqLjlaq0MsqSFfSUQpyd1LSiTbUMdYx0TGO1TGI1YHK6RXkYZE3AcnnJuZV6uUVVAKlE4uKEiuRFVjExgIAqnUZXgEAAQCQAAAAMg"
    "AAACs7mroBAAAAqX5+n4qajeDiAZxKysHY8XbR/TYGmPy9Dwn+jNaJ/vZ/YP99hYr+bds3/yao/P5skpT/SXTX/6NXqP+ZvLf/4n3f/30qDv/e"
    "UF//1mAX+HJD6vOpF/35/sqT/03Y1v/hH6j/pypF/Sfzhf7Xcz6AEqdCf1GnGa8xIdfp7EzI2GRkFMqZP1y+xEgh9LRYVvhFrbXlZN/M0eVjIt"
    "16Iw//cihh/wdY1/6H6Q3/eF2Q/2eXt//Ln8//vpPP/1NWlP+v18T/68ff/yc+X0vUUEZaSdMAAAB42i2N64qDMBBGX0Xm7w5hJknj5VVEFnNx"
    "lVUjqbZI6btvZPvzHM4384Ix9D4kaF6wRB9maGCQNyJrtLO+t4ZYltqxMlWog7ZOOcD/9Hvtl5D7OHsx+SHr8AjrDk2rUKLsEFJ83qHRVBsEv5"
    "/bVR/Tule5Hab1J6QtTdcC+tqQVUGxLQ0zXcfsmf123MchpmeffEGCBWGxx+TGQgpWgr7cdmCxHst2ZqOFgXceztH95r9ty5XC+oaE1GErywpr"
    "9QFVMjLxh3QpUUlClhm79x+bPk5y2U7sO1BGWkUYAwAAAAAAABMEAAAAAAAAEnMt7CFiO68="
)
"""An archive of version 1, with a colour model: pictures without frames, one of them of other channels than the model's."""


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Models of grey and of colour tiles, by channels."""
    root = tmp_path_factory.mktemp("models")
    for channels in (1, 3):
        make_model(root / f"{channels}.idf", channels)
    return {channels: str(root / f"{channels}.idf") for channels in (1, 3)}


@pytest.fixture(params=["coded", "stored"])
def blocks(request, monkeypatch):
    """Blocks so small are stored, unless the model is made to code them."""
    if request.param == "coded":
        monkeypatch.setattr(writing, "smaller", lambda coded, deflated: True)


def run(capsys, *arguments):
    code = main([*map(str, arguments)])
    out, err = capsys.readouterr()
    return code, out, err


def there_and_back(capsys, model, files):
    """Compress the files of a folder, restore them, and return them by name."""
    for name, data in files.items():
        path = Path("in") / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    code, _, err = run(capsys, "compress", model, "in", "--out", "a.pfz", "-q", "--no-baselines", "--rows", 8)
    assert code == 0, err
    code, _, err = run(capsys, "decompress", "a.pfz", "--out", "out", "-q", "--model", model)
    assert code == 0, err
    return {str(path.relative_to("out")): path.read_bytes() for path in Path("out").rglob("*") if path.is_file()}


def noise(*shape, dtype="u1", high=256):
    return np.random.default_rng(0).integers(0, high, shape).astype(dtype)


# --- generated folders ----------------------------------------------------------------------------------------------------


def test_generated_folders_come_back_identical():
    assert archives.run(12, first=1000) == {"identical": 12}


# --- pictures -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.usefixtures("blocks")
def test_pictures_of_other_channels_than_the_models(capsys, models, channels):
    files = {
        "grey.png": saved(Image.fromarray(noise(9, 7)), "PNG"),
        "grey-alpha.png": saved(Image.fromarray(noise(9, 7, 2)), "PNG"),
        "colour.png": saved(Image.fromarray(noise(9, 7, 3)), "PNG"),
        "alpha.png": saved(Image.fromarray(noise(9, 7, 4)), "PNG"),
        "bits.png": saved(Image.fromarray(noise(9, 7) > 99), "PNG"),
        "clear-grey.png": saved(Image.fromarray(noise(9, 7)), "PNG", transparency=3),
        "clear.png": saved(Image.fromarray(noise(9, 7, 3)), "PNG", transparency=(1, 2, 3)),
        "palette.png": saved(Image.fromarray(noise(9, 7)).convert("P"), "PNG", transparency=bytes([0, 9])),
    }
    for shape in [(4, 5), (2, 4, 5), (2, 4, 5, 1), (2, 4, 5, 3), (2, 3, 4, 5), (1, 2, 2, 2, 3)]:
        buffer = io.BytesIO()
        np.save(buffer, noise(*shape))
        files[f"{shape}.npy"] = buffer.getvalue()
    found = there_and_back(capsys, models[channels], files)
    assert set(found) == set(files)
    for name, data in files.items():
        assert same(data, found[name]), name


def test_deep_and_wide_numbers_keep_every_bit(capsys, models):
    deep = noise(5, 6, 3, dtype=">u2", high=1 << 16)
    head = (6).to_bytes(4, "big") + (5).to_bytes(4, "big") + bytes([16, 2, 0, 0, 0])
    body = archives.zlib.compress(b"".join(b"\0" + row.tobytes() for row in deep))
    png = b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", head) + png_chunk(b"IDAT", body) + png_chunk(b"IEND", b"")
    files = {"deep.png": png}
    for mode, kind in (("I", "<i4"), ("F", "<f4"), ("I;16", "<u2"), ("I;16B", ">u2")):
        files[f"{mode}.tif"] = saved(Image.fromarray(noise(4, 5, dtype=kind, high=1 << 16)), "TIFF")
    for mode in ("CMYK", "YCbCr", "LAB"):
        x = noise(4, 5, 4 if mode == "CMYK" else 3)
        files[f"{mode}.tif"] = saved(Image.frombytes(mode, (5, 4), x.tobytes()), "TIFF")
    pages = [Image.fromarray(noise(4, 5)), Image.fromarray(noise(3, 2))]
    files["pages.tif"] = saved(pages[0], "TIFF", save_all=True, append_images=pages[1:])
    files["moving.gif"] = saved(pages[0], "GIF", save_all=True, append_images=[Image.fromarray(255 - noise(4, 5))])
    files["photo.jpg"] = saved(Image.fromarray(noise(8, 8, 3)), "JPEG")
    assert there_and_back(capsys, models[3], files) == files


@pytest.mark.usefixtures("blocks")
def test_what_lies_around_the_pixels_comes_back(capsys, models):
    marks = Image.Exif()
    marks[0x0112] = 6
    options = {"exif": marks, "icc_profile": b"profile" * 40, "dpi": (72, 300), "transparency": (1, 2, 3)}
    files = {
        "all.png": saved(Image.fromarray(noise(9, 7, 3)), "PNG", **options),
        "turned.tif": saved(Image.fromarray(noise(9, 7, 3)), "TIFF", exif=marks),
        "plain.tif": saved(Image.fromarray(noise(9, 7, 3)), "TIFF", dpi=(72, 300)),
        "plain.bmp": saved(Image.fromarray(noise(9, 7, 3)), "BMP"),
        "grey.bmp": saved(Image.fromarray(noise(9, 7)), "BMP"),
    }
    found = there_and_back(capsys, models[3], files)
    for name in files:
        assert found[name] == files[name] or name == "all.png"
        assert look(found[name]) == look(files[name])
    with Image.open(io.BytesIO(found["all.png"])) as image:
        assert image.getexif()[0x0112] == 6
    with Archive("a.pfz") as archive:
        kept = {entry.name: entry.mode for entry in archive.entries}
    assert kept == {"all.png": "RGB", "plain.tif": "RGB", "plain.bmp": "RGB", "turned.tif": "file", "grey.bmp": "file"}


def test_frames_are_only_of_files_that_can_be_made_again():
    data = saved(Image.fromarray(noise(4, 4)), "PNG")
    pixels = noise(4, 4)[..., None]
    frame = frames.split(data, "PNG", "L", pixels)
    assert look(frames.join(frame, pixels[None])) == look(data)
    changed = bytearray(data)
    changed[28] = 1  # interlaced
    assert frames.split(bytes(changed), "PNG", "L", pixels) is None
    assert frames.split(data, "PNG", "RGB", pixels) is None
    assert frames.split(data[:-12], "PNG", "L", pixels) is None
    assert frames.split(data, "JPEG", "L", pixels) is None
    long = data[:-12] + png_chunk(b"teXt", b"a" * frames.LARGEST) + data[-12:]
    assert frames.split(long, "PNG", "L", pixels) is None
    # What follows the end of a picture is kept too.
    assert frames.split(data + b"more", "PNG", "L", pixels).after.endswith(b"more")


# --- names ----------------------------------------------------------------------------------------------------------------


def test_odd_names_come_back(capsys, models):
    names = [
        "12:30:45.png",
        "back\\slash.png",
        "x" * 251 + ".png",
        "caf\udce9.png",
        "a\nb\x1b[1m.png",
        "...png",
        ".a.png",
    ]
    names += ["x.jpg", "x.jpg.png", "x.png", "x.bmp", "X.PNG", "dots.png..", "c:/d.png", " .png", "-a.png"]
    kinds = {".jpg": "JPEG", ".bmp": "BMP"}
    files = {
        name: saved(Image.fromarray(np.full((3, 4), i, np.uint8)), kinds.get(name[-4:], "PNG"))
        for i, name in enumerate(names)
    }
    found = there_and_back(capsys, models[1], files)
    assert sorted(found) == sorted(names)
    for name in names:
        assert same(files[name], found[name]), name


def test_two_files_of_one_name_are_refused(capsys, models):
    for folder in ("a", "b"):
        Path(folder).mkdir()
        Image.fromarray(noise(3, 3)).save(f"{folder}/x.png")
    code, _, err = run(capsys, "compress", models[1], "a", "b", "--out", "a.pfz")
    assert code == 1
    assert "got 'x.png' twice, from a/x.png and b/x.png; give a folder that holds both" in err
    assert not Path("a.pfz").exists()


def test_an_empty_name_is_not_the_current_folder(capsys, models):
    Image.fromarray(noise(3, 3)).save("x.png")
    code, _, err = run(capsys, "compress", models[1], "", "--out", "a.pfz")
    assert (code, "got an empty one" in err) == (2, True)
    assert run(capsys, "compress", models[1], ".", "--out", "a.pfz")[0] == 0
    Path("x.png").unlink()
    code, _, err = run(capsys, "decompress", "a.pfz", "--model", models[1], "--out", "")
    assert (code, "got an empty one" in err) == (2, True)
    assert [path.name for path in Path().iterdir()] == ["a.pfz"]


def test_no_more_coders_are_made_than_there_are_processors():
    assert _workers(MachineOptions(threads=1)) == 1
    assert _workers(MachineOptions(threads=10**6)) <= (os.cpu_count() or 1)


def test_what_is_left_of_a_damaged_archive_is_said():
    assert _damage("a", 0, 0, 0).endswith("no item was found in it, and nothing was restored")
    assert _damage("a", 3, 0, 3).endswith("none of the 3 items found in it is lost, and 3 were restored")
    assert _damage("a", 3, 1, 2).endswith("1 of 3 items are lost, the others were restored and checked")
    assert _damage("a", 3, 1, 1).endswith("1 of 3 items are lost, 1 were restored")
    assert _damage("a", 3, 3, 0).endswith("3 of 3 items are lost, nothing was restored")


def test_an_archive_replaces_no_file_of_the_folder(capsys, models):
    Path("in").mkdir()
    Image.fromarray(noise(3, 3)).save("in/x.png")
    before = Path("in/x.png").read_bytes()
    code, _, err = run(capsys, "compress", models[1], "in", "--out", "in/x.png")
    assert (code, "--out in/x.png is an input of this command" in err) == (2, True)
    assert Path("in/x.png").read_bytes() == before


def test_what_is_no_picture_is_left_out_by_fit_and_compress_alike(capsys, models):
    Path("in").mkdir()
    for i in range(3):
        Image.fromarray(noise(8, 8) + i).save(f"in/{i}.png")
    Path("in/._0.png").write_bytes(b"\0\5\x16\7 of a Mac")
    Path("in/.DS_Store").write_bytes(b"\0")
    Path("in/notes.txt").write_text("hello")
    sentence = "in: 3 files left out, not of a type that is read here: '.DS_Store', '._0.png', 'notes.txt'"
    assert [path.name for path in find_files(Path("in"), (".png",))] == ["0.png", "1.png", "2.png"]
    code, _, err = run(capsys, "compress", models[1], "in", "--out", "a.pfz")
    assert (code, sentence in err) == (0, True)
    options = ["--flow", "idf", "--preset", "tiny", "--max-steps", "1", "--test", "0", "--validation", "0"]
    code, _, err = run(capsys, "fit", "in", *options, "--out", "m.idf")
    assert (code, sentence in err) == (0, True)


def test_folders_that_cannot_be_searched_are_said(capsys, models, monkeypatch, tmp_path):
    Path("in/sub").mkdir(parents=True)
    Image.fromarray(noise(8, 8)).save("in/0.png")
    Path("in/link").symlink_to(tmp_path)
    Path("in/gone.png").symlink_to("nowhere")
    code, _, err = run(capsys, "compress", models[1], "in", "--out", "a.pfz")
    assert (code, "in: 2 files left out, not of a type that is read here: 'gone.png', 'link'" in err) == (0, True)
    real = archives.os.scandir

    def scandir(path):
        if str(path).endswith("sub"):
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr("os.scandir", scandir)
    code, _, err = run(capsys, "compress", models[1], "in", "--out", "b.pfz")
    assert (code, "in/sub cannot be read: permission denied" in err) == (1, True)
    assert not Path("b.pfz").exists()


# --- verification ---------------------------------------------------------------------------------------------------------


def broken_decoder(monkeypatch):
    real = EventCoder.decode
    calls = []

    def decode(self, data, n):
        calls.append(n)
        found = real(self, data, n)
        return found if len(calls) == 1 else found.index_fill(-1, torch.tensor([0]), 7)

    monkeypatch.setattr(EventCoder, "decode", decode)


def broken_join(monkeypatch):
    monkeypatch.setattr(frames, "join", lambda frame, pixels: saved(Image.fromarray(pixels[0, ..., 0] // 2), "PNG"))


def broken_name(monkeypatch):
    real = writing.listed
    monkeypatch.setattr(writing, "listed", lambda name, *rest: real(name.upper(), *rest))


@pytest.mark.parametrize("fault", [broken_decoder, broken_join, broken_name])
def test_a_difference_is_found_before_the_archive_has_its_name(capsys, models, monkeypatch, fault):
    Image.fromarray(noise(9, 7)).save("x.png")
    monkeypatch.setattr(writing, "smaller", lambda coded, deflated: True)
    fault(monkeypatch)
    code, _, err = run(capsys, "compress", models[1], "x.png", "--out", "a.pfz", "-q")
    assert code == 1
    assert err.count("\n") == 1
    assert "expected the written archive to restore every item exactly, got a difference" in err
    assert [path.name for path in Path().iterdir()] == ["x.png"]
    assert run(capsys, "compress", models[1], "x.png", "--out", "a.pfz", "-q", "--no-verify")[0] == 0


def test_a_file_that_changes_meanwhile_is_noticed(capsys, models, monkeypatch):
    Image.fromarray(noise(9, 7)).save("x.png")
    real = writing.verify_archive

    def later(*arguments, **options):
        Image.fromarray(noise(9, 7) // 2).save("x.png")
        real(*arguments, **options)

    monkeypatch.setattr(writing, "verify_archive", later)
    code, _, err = run(capsys, "compress", models[1], "x.png", "--out", "a.pfz", "-q")
    assert (code, "'x.png' would be restored with other pixels" in err) == (1, True)
    assert not Path("a.pfz").exists()


# --- blocks that the model makes larger ------------------------------------------------------------------------------------


def test_blocks_that_the_model_makes_larger_are_deflated_and_said(capsys, models):
    Path("in").mkdir()
    for i in range(3):
        Image.fromarray(noise(7, 9)).save(f"in/{i}.png")
    code, _, err = run(capsys, "compress", models[1], "in", "--out", "a.pfz")
    assert code == 0
    assert "note: 1 block stored without the model: deflate makes them smaller" in err
    assert err.count("warning: the archive has") == 1
    assert Path("a.pfz").stat().st_size < 3 * 63 + 1300


# --- archives of version 1 ---------------------------------------------------------------------------------------------------


def test_an_archive_of_version_1_is_read(capsys):
    spec = IDF(shape=(3, 2, 2), levels=256, scales=1, steps=1, hidden=2, depth=1)
    model = spec.build()
    for p in model.parameters():
        p.data.fill_(0.01)
    Path("old.pfz").write_bytes(base64.b64decode(OLD))
    x = (np.arange(36) * 7 % 256).astype(np.uint8).reshape(1, 3, 4, 3)
    with Archive("old.pfz", model) as archive:
        if not archive.same_machine:
            pytest.skip("this machine computes otherwise")
        assert archive.check() == []
        assert np.array_equal(archive.read("x.jpg"), x)
        # The writer of version 1 kept this picture, and the reader of version 1 could not read it.
        assert np.array_equal(archive.read("grey.png"), x[..., :1])
        assert np.array_equal(archive.picture("grey.png", 0), x[0, ..., :1])
        from pushforward.compression.file_names import Restored, restored_names
        from pushforward.compression.sources import file_of

        names = restored_names(archive.entries)
        out = Restored("out")
        for i, entry in enumerate(archive.entries):
            out.add(names[i], file_of(entry, archive.read(i)))
    assert sorted(names) == ["f.tif.npy", "grey.png", "many.npy", "wide.png", "x.jpg.png", "x.jpg.png.png"]
    with Image.open("out/x.jpg.png") as image:
        assert np.array_equal(np.asarray(image), x[0, ::-1])
    with Image.open("out/x.jpg.png.png") as image:
        assert np.array_equal(np.asarray(image), x[0])
    with Image.open("out/wide.png") as image:
        assert np.array_equal(np.asarray(image), np.arange(6).reshape(2, 3) * 9999)


def test_a_restored_file_replaces_no_other_one_and_leaves_no_folder_through_a_link(tmp_path):
    from pushforward.compression.file_names import Restored

    out = Restored("out")
    out.add("a.png", b"1")
    with pytest.raises(FileError, match="are one name on this system"):
        out.add("a.png", b"2")
    Path("elsewhere").mkdir()
    Path("out/link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(FileError, match="through a link"):
        out.add("link/b.png", b"3")
    with pytest.raises(FileError, match="cannot be written"):
        out.add("a.png/b.png", b"4")
    assert out.paths == ["out/a.png"]
    assert not list(Path("elsewhere").iterdir())


def test_frames_do_not_fill_a_manifest(models, monkeypatch):
    monkeypatch.setattr(writing, "MANIFEST", 50)
    model = IDF(shape=(1, 2, 2), scales=1, steps=1, hidden=2, depth=1).build()
    items = [
        Item(f"{i}.npy", noise(1, 4, 4, 1), "array", frames.FileFrame(frames.ROWS, b"x" * 30, b"")) for i in range(5)
    ]
    compress("a.pfz", items, model)
    with Archive("a.pfz", model) as archive:
        assert len({entry.block for entry in archive.entries}) == 3
        assert all(np.array_equal(archive.read(i), items[i].array) for i in range(5))
