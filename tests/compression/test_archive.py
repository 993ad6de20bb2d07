"""Archives: what is kept comes back, damage is found and costs no more than its block, hostile files are harmless."""

from __future__ import annotations

import io
import itertools
import os
import signal
import struct
import subprocess
import sys
import time
import zlib

import numpy as np
import pytest
import torch

from pushforward.compression import Archive, Item, compress, tiles, writing
from pushforward.compression.allocation import accepted_rows, rows_for
from pushforward.compression.container import BLOCK, START, TRAILER, Reader, deflated, inflated, unpacked
from pushforward.compression.file_names import Restored, restored_names, safe_name
from pushforward.compression.sources import file_of
from pushforward.errors import DataError, FileError, SpecError
from pushforward.systems import IDF, Discrete


def shaken(module, size=0.1, seed=0):
    generator = torch.Generator().manual_seed(seed)
    for p in module.parameters():
        p.data.add_(size * torch.randn(p.shape, generator=generator))
    return module


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    flow = shaken(IDF(shape=(1, 4, 4), levels=256, scales=1, steps=2, hidden=4, depth=1).build())
    flow.base.free.data[5:10] += 4.0  # means near grey
    return flow


@pytest.fixture(autouse=True)
def blocks_are_coded(monkeypatch):
    """Blocks of these tests are so small that deflate makes them smaller than the model."""
    monkeypatch.setattr(writing, "smaller", lambda coded, deflated: True)


def pictures(*shapes, seed=0):
    rng = np.random.default_rng(seed)
    return [
        Item(f"{i}.png", rng.normal(128, 30, shape).clip(0, 255).astype(np.uint8), "L")
        for i, shape in enumerate(shapes)
    ]


def small(path, model, **options):
    items = pictures((1, 5, 6, 1), (1, 4, 4, 1), (1, 1, 1, 1), (1, 9, 4, 1), (1, 4, 8, 1))
    compress(path, items, model, **{"rows": 4, **options})
    return items


# tiles


@pytest.mark.parametrize("event", [(1, 4, 4), (3, 8, 2), (1, 1, 1), (2, 5, 3)])
@pytest.mark.parametrize("shape", [(1, 1, 1, 6), (2, 9, 7, 6), (3, 8, 8, 6), (0, 4, 4, 6)])
def test_tiles_are_joined_again(event, shape):
    x = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    cut = tiles.cut(x, event)
    assert cut.shape == (tiles.count(shape, event), *event)
    assert np.array_equal(tiles.joined(cut, shape), x)


def test_tiles_hold_neighbouring_pixels_and_groups_of_channels():
    x = np.arange(2 * 4 * 6).reshape(1, 4, 6, 2).astype(np.uint8)
    cut = tiles.cut(x, (1, 2, 3))
    assert np.array_equal(cut[0, 0], x[0, :2, :3, 0])
    assert np.array_equal(cut[4, 0], x[0, :2, :3, 1])
    assert tiles.count((1, 4, 4, 4), (3, 2, 2)) == 0


# what is kept comes back


def test_pictures_of_all_sizes_come_back(tmp_path, model):
    path = tmp_path / "a.pfz"
    items = [*pictures((1, 5, 6, 1), (1, 40, 3, 3), (1, 1, 1, 4), (1, 17, 17, 2)), *pictures()]
    items += [
        Item("many", np.random.default_rng(1).integers(0, 256, (7, 6, 5, 3)).astype(np.uint8), "array"),
        Item("none", np.zeros((0, 4, 4, 1), np.uint8), "array"),
        Item("wide.png", np.arange(12, dtype="<u2").reshape(3, 4), "raw"),
        Item("floats", np.linspace(0, 1, 5), "raw"),
    ]
    summary = compress(path, items, model, rows=8)
    assert summary.items == len(items)
    assert summary.values == sum(item.array.size for item in items)
    assert summary.size == path.stat().st_size
    with Archive(path, model) as archive:
        assert archive.check() == []
        assert archive.same_machine
        assert sorted(archive.names) == sorted(item.name for item in items)
        for item in items:
            found = archive.read(item.name)
            assert found.dtype == item.array.dtype
            assert np.array_equal(found, item.array)
        assert np.array_equal(archive.picture("many", 3), items[-4].array[3])


def test_an_archive_of_nothing(tmp_path, model):
    path = tmp_path / "a.pfz"
    assert compress(path, [], model).items == 0
    with Archive(path, model) as archive:
        assert len(archive) == 0
        assert archive.check() == []


def test_rows_of_labels_come_back_at_their_cost(tmp_path):
    torch.manual_seed(0)
    labels = shaken(Discrete(classes=(5, 3, 4), hidden=(8,)).build(), 0.5)
    x = labels.sample(2000).numpy()
    summary = compress(tmp_path / "a.pfz", [Item("codes", x, "events")], labels)
    assert not summary.stored
    assert 8 * summary.size < 1.01 * summary.bits + 8 * 1200
    with Archive(tmp_path / "a.pfz", labels) as archive:
        assert np.array_equal(archive.read(0), x)
        assert np.array_equal(archive.picture(0, 1234), x[1234])
    with pytest.raises(DataError, match="expected rows of shape"):
        compress(tmp_path / "b.pfz", [Item("codes", x[:, :2], "events")], labels)
    assert not (tmp_path / "b.pfz").exists()


def test_the_bytes_are_the_same_for_any_number_of_workers(tmp_path, model):
    before = torch.get_num_threads()
    found = []
    try:
        for workers, threads in ((1, 1), (3, 1), (2, 2)):
            torch.set_num_threads(threads)
            small(tmp_path / "a.pfz", model, rows=2, workers=workers)
            found.append((tmp_path / "a.pfz").read_bytes())
            with Archive(tmp_path / "a.pfz", model, workers=workers) as archive:
                assert [archive.read(i).shape for i in range(len(archive))]
    finally:
        torch.set_num_threads(before)
    assert found[0] == found[1] == found[2]


def test_another_order_and_one_by_one(tmp_path, model):
    items = small(tmp_path / "a.pfz", model)
    compress(tmp_path / "b.pfz", items[::-1], model, rows=3)
    for name in ("a.pfz", "b.pfz"):
        with Archive(tmp_path / name, model) as archive:
            for item in (items[3], items[0], items[2], items[3]):
                assert np.array_equal(archive.read(item.name), item.array)


def test_only_the_blocks_of_an_item_are_read(tmp_path, model, monkeypatch):
    items = small(tmp_path / "a.pfz", model, rows=1)
    with Archive(tmp_path / "a.pfz", model) as archive:
        read = []
        block = Reader.block
        monkeypatch.setattr(Reader, "block", lambda self, i: (read.append(i), block(self, i))[1])
        assert np.array_equal(archive.read(items[1].name), items[1].array)
        assert len(set(read)) == 1


def test_what_the_model_cannot_code_is_stored(tmp_path):
    torch.manual_seed(0)
    labels = Discrete(classes=(3, 3), hidden=(4,), layers=1).build()
    x = np.array([[0, 1], [2, 5], [1, 1]])
    summary = compress(tmp_path / "a.pfz", [Item("codes", x, "events")], labels)
    assert (summary.coded, summary.stored) == (0, 1)
    assert "outside" in next(iter(summary.reasons))
    with Archive(tmp_path / "a.pfz", labels) as archive:
        assert np.array_equal(archive.read(0), x)


def test_a_block_that_does_not_decode_to_itself_is_stored(tmp_path, model, monkeypatch):
    from pushforward.compression.events import EventCoder

    real = EventCoder.decode
    monkeypatch.setattr(EventCoder, "decode", lambda self, data, n: real(self, data, n) + 1)
    summary = compress(tmp_path / "a.pfz", pictures((1, 4, 4, 1)), model)
    monkeypatch.undo()
    assert summary.stored == 1
    with Archive(tmp_path / "a.pfz", model) as archive:
        assert np.array_equal(archive.read(0), pictures((1, 4, 4, 1))[0].array)


# damage


@pytest.fixture
def one_coder(model, monkeypatch):
    """The same coder for every archive that is opened."""
    from pushforward.compression import archive

    coders = archive.Coders(model, 2, 1)
    monkeypatch.setattr(archive, "Coders", lambda *_: coders)


@pytest.mark.dear
@pytest.mark.usefixtures("one_coder")
def test_one_flipped_bit_anywhere_is_found_and_costs_one_block(tmp_path, model):
    path = tmp_path / "a.pfz"
    items = pictures((1, 4, 4, 1), (1, 1, 1, 1), (1, 8, 4, 1))
    compress(path, items, model, rows=2)
    whole = path.read_bytes()
    with Archive(path, model) as archive:
        places = [(p[0], p[0] + p[1]) for p in archive._reader.places]
        owners = {entry.name: entry for entry in archive.entries}
        blocks = {
            item.name: {
                i
                for i, p in enumerate(archive._reader.places)
                if p[3] < owners[item.name].first + tiles.count(item.array.shape, (1, 4, 4))
                and p[3] + p[2] > owners[item.name].first
            }
            for item in items
        }
    broken_path = tmp_path / "b.pfz"
    for place in range(len(whole)):
        bit = place % 8
        broken = bytearray(whole)
        broken[place] ^= 1 << bit
        broken_path.write_bytes(bytes(broken))
        hit = {i for i, (begin, end) in enumerate(places) if begin <= place < end}
        with Archive(broken_path, model) as archive:
            assert archive.check(), (place, bit)
            for item in items:
                if blocks[item.name] & hit:
                    if item.name in archive.names:
                        try:
                            assert np.array_equal(archive.read(item.name), item.array)
                        except FileError as error:
                            assert "lost" in str(error)  # noqa: PT017
                else:
                    assert np.array_equal(archive.read(item.name), item.array), (place, bit, item.name)


@pytest.mark.dear
@pytest.mark.usefixtures("one_coder")
def test_truncation_at_every_byte_is_one_sentence_or_what_is_whole(tmp_path, model):
    path = tmp_path / "a.pfz"
    kept = pictures((1, 4, 4, 1), (1, 1, 1, 1), (1, 8, 4, 1))
    compress(path, kept, model, rows=2)
    items = {item.name: item.array for item in kept}
    whole = path.read_bytes()
    opened = 0
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        try:
            archive = Archive(path, model)
        except FileError as error:
            assert "\n" not in str(error)  # noqa: PT017
            continue
        opened += 1
        with archive:
            assert archive.check()
            for name in archive.names:
                try:
                    assert np.array_equal(archive.read(name), items[name])
                except FileError as error:
                    assert "lost" in str(error)  # noqa: PT017
    assert opened > len(whole) // 2


def test_another_model_is_refused(tmp_path, model):
    small(tmp_path / "a.pfz", model, model_name="photos.idf")
    other = shaken(IDF(shape=(1, 4, 4), scales=1, steps=2, hidden=4, depth=1).build(), seed=9)
    with pytest.raises(FileError, match=r"written with another model \(photos.idf\); give the one"):
        Archive(tmp_path / "a.pfz", other)
    with pytest.raises(FileError, match="another model"):
        Archive(tmp_path / "a.pfz", model, spec={"system": "idf"})


def test_a_machine_that_computes_otherwise_is_noticed_and_nothing_is_wrong(tmp_path, model, monkeypatch):
    from pushforward.compression.events import EventCoder
    from pushforward.compression.frequencies import LogisticTable

    items = small(tmp_path / "a.pfz", model)
    real = LogisticTable.__init__

    def otherwise(self, log_weights, means, log_scales):
        real(self, log_weights, means * (1 + 1e-3), log_scales)

    monkeypatch.setattr(LogisticTable, "__init__", otherwise)
    assert EventCoder(model, 4)
    with Archive(tmp_path / "a.pfz", model) as archive:
        assert not archive.same_machine
        for item in items:
            with pytest.raises(FileError, match="is lost"):
                archive.read(item.name)


@pytest.mark.parametrize(
    "data", [b"", b"PK\x03\x04", os.urandom(400), b"\x89PFZ\r\n\x1a\n" + b"\xff" * 60, b"\0" * 1000], ids=range(5)
)
def test_other_files_are_refused(tmp_path, model, data):
    (tmp_path / "a.pfz").write_bytes(data)
    with pytest.raises(FileError, match=r"not an archive of pushforward|cannot be read"):
        Archive(tmp_path / "a.pfz", model)
    with pytest.raises(FileError, match="cannot be read"):
        Archive(tmp_path / "nothing.pfz", model)


def sound(data):
    return data + struct.pack("<I", zlib.crc32(data))


def forged(header, blocks):
    """An archive with true sums and whatever is inside."""
    text = deflated(header)
    out = io.BytesIO()
    out.write(sound(START.pack(b"\x89PFZ\r\n\x1a\n", 1, len(text)) + text))
    places = []
    for kind, events, first, items, payload, *sums in blocks:
        manifest = deflated(items)
        head = BLOCK.pack(b"PFZB", kind, events, first, len(manifest), len(payload), *(sums or [0]))
        data = sound(head + manifest + payload)
        places.append([out.tell(), len(data), events, first])
        out.write(data)
    place = out.tell()
    text = deflated({"header": header, "blocks": places})
    out.write(sound(struct.pack("<4sI", b"PFZI", len(text)) + text))
    body = out.getvalue()
    return body + sound(struct.pack("<4sQQI", b"PFZE", place, len(body) + TRAILER.size, zlib.crc32(body)))


def test_hostile_files_allocate_nothing_and_end_in_one_sentence(tmp_path, model):
    small(tmp_path / "a.pfz", model)
    with Archive(tmp_path / "a.pfz") as archive:
        header = archive.header
    huge = [1, 1 << 20, 1 << 20, 1]
    bomb = zlib.compress(b"\0" * 10_000_000)
    cases = [
        [(0, 4, 0, [["x", "L", huge, 0]], b"junk")],
        [(0, 1 << 31, 0, [["x", "L", [1, 4, 4, 1], 0]], b"junk")],
        [(1, 4, 0, [["x", "L", [4, 4, 4, 1], 0]], bomb)],
        [(2, 0, 0, [["x", "raw", [4], "<f8"]], bomb)],
        [(2, 0, 0, [["x", "raw", [1 << 50], "<f8"]], b"")],
        [(2, 0, 0, [["x", "raw", [4], "O"]], b"")],
        [(0, 4, 0, [["x", "L", [-1, 4, 4, 1], 0], ["y"], 7, None, ["z", "L", [1, 4, 4, 1], 1 << 62]], b"")],
        [(0, 4, 1 << 62, [["x", "L", [1, 4, 4, 1], 0]], struct.pack("<HHII", 16, 2048, 0, 0) + b"\xff" * 128)],
    ]
    for blocks in cases:
        (tmp_path / "b.pfz").write_bytes(forged(header, blocks))
        with Archive(tmp_path / "b.pfz", model) as archive:
            for i in range(len(archive)):
                with pytest.raises(FileError):
                    archive.read(i)
    for change in ({"rows": 1 << 40}, {"rows": -1}, {"event": [1 << 30]}, {"rows": "4"}, {"dtype": "O"}, {"event": []}):
        (tmp_path / "b.pfz").write_bytes(forged({**header, **change}, []))
        with pytest.raises(FileError, match=r"damaged"):
            Archive(tmp_path / "b.pfz", model)
    assert inflated(deflated([0] * 100), most=50) is None
    assert unpacked(bomb, 1000) is None
    assert inflated(zlib.compress(b"[" * 100_000)) is None


def test_events_in_a_block_are_bounded_by_what_the_blocks_hold(tmp_path, model):
    small(tmp_path / "a.pfz", model)
    with Archive(tmp_path / "a.pfz") as archive:
        header = archive.header
    junk = [(0, 65_536, 0, [["x", "L", [65_536, 4, 4, 1], 0]], b"\xff" * 1000)]
    for rows in (65_536, 4_000_000, 10**400):
        (tmp_path / "b.pfz").write_bytes(forged({**header, "rows": rows}, junk))
        with pytest.raises(FileError, match="expected 1 to 4,096 events in a block, got"):
            Archive(tmp_path / "b.pfz", model)
    with pytest.raises(SpecError, match="expected at most 4,096 events of 16 numbers in a block, got 4,097"):
        compress(tmp_path / "c.pfz", [], model, rows=4097)
    # Blocks of older archives may be larger, if they are as long as they say.
    assert accepted_rows(16, [[0, 65_536 * 16 // 8, 65_536, 0]]) == 65_536
    assert accepted_rows(16, [[0, 1000, 65_536, 0]]) == 4096


HOSTILE = [
    None,
    True,
    -1,
    1 << 64,
    10**400,
    float("nan"),
    "",
    "O",
    "\ud800",
    [],
    [[]],
    [1 << 40] * 9,
    {},
    ["png", "!", ""],
    "../x",
]


@pytest.mark.usefixtures("one_coder")
def test_forged_items_are_damage_and_never_another_exception(tmp_path, model):
    small(tmp_path / "a.pfz", model, rows=2)
    with Archive(tmp_path / "a.pfz") as archive:
        header = archive.header
    data = bytes(32)
    good = ["x.png", "L", [1, 4, 4, 1], 0, ["rows", "AA==", ""]]
    forgeries = [HOSTILE, [good, good], [good, ["y.png", "L", [1 << 40, 0, 4, 1], 0], ["z", "array", [0, 4, 4, 1], 0]]]
    forgeries += [[[*good[:i], value, *good[i + 1 :]]] for i in range(5) for value in HOSTILE]
    shapes = [[2, 4, 4], [1, 4, 4, 2], [32], [2, 1, 4, 4], [4]]
    for mode, shape, last in itertools.product(
        ("RGB", "events", "file", "raw", "grey array"), shapes, (0, 3, "|u1", "<f8", "<f16")
    ):
        forgeries.append([["x", mode, shape, last]])
    restored = 0
    for kind in (1, 2):
        for items in forgeries:
            block = (kind, 2 if kind == 1 else 0, 0, items, zlib.compress(data), zlib.crc32(data))
            (tmp_path / "b.pfz").write_bytes(forged(header, [block]))
            with Archive(tmp_path / "b.pfz", model) as archive:
                names = restored_names(archive.entries)
                for i, entry in enumerate(archive.entries):
                    try:
                        Restored(tmp_path / "out").add(names[i], file_of(entry, archive.read(i)))
                        restored += 1
                    except FileError as error:
                        assert "\n" not in str(error)  # noqa: PT017
    assert restored > 20
    for key in header:
        for value in HOSTILE:
            (tmp_path / "b.pfz").write_bytes(forged({**header, key: value}, []))
            try:
                Archive(tmp_path / "b.pfz", model).close()
            except FileError as error:
                assert "\n" not in str(error)  # noqa: PT017


def test_newer_versions_are_said(tmp_path, model):
    small(tmp_path / "a.pfz", model)
    data = (tmp_path / "a.pfz").read_bytes()
    _, _, length = START.unpack_from(data)
    head = bytearray(data[: START.size + length])
    head[8] = 9
    (tmp_path / "a.pfz").write_bytes(sound(bytes(head)) + data[len(head) + 4 :])
    with pytest.raises(FileError, match="has version 9; this one reads up to 2"):
        Archive(tmp_path / "a.pfz", model)


# bad arguments, killed runs


def test_names_come_once_and_stay_in_the_folder(tmp_path, model):
    twice = [*pictures((1, 4, 4, 1)), *pictures((1, 4, 4, 1))]
    with pytest.raises(DataError, match=r"'0.png' twice"):
        compress(tmp_path / "a.pfz", twice, model)
    assert list(tmp_path.iterdir()) == []
    for name in (
        "a/b.png",
        "12:30:45.png",
        "a\\b.png",
        "...png",
        "a..png",
        "caf\udce9.png",
        "a\nb\x1b[1m.png",
        "x" * 300,
    ):
        assert safe_name(name, windows=False) == name
    for name in ("../x.png", "/etc/x.png", "a/../../x", "a//b", "./a", "..", "", "x\0.png"):
        with pytest.raises(FileError, match="leads out of the folder"):
            safe_name(name)
    for name in ("a\\..\\x", "C:x.png", "a./b.png", "a.png ", "what?.png"):
        with pytest.raises(FileError, match="does not allow"):
            safe_name(name, windows=True)
    with pytest.raises(FileError, match="does not allow"):
        safe_name("\ud800.png")


def test_bad_arguments(tmp_path, model):
    for options in ({"rows": 0}, {"workers": 0}):
        with pytest.raises(SpecError, match="at least one"):
            compress(tmp_path / "a.pfz", [], model, **options)
    with pytest.raises(FileError, match="cannot be written"):
        compress(tmp_path / "none" / "a.pfz", [], model)
    small(tmp_path / "a.pfz", model)
    with Archive(tmp_path / "a.pfz", model) as archive:
        for which in (-1, 99, "nobody"):
            with pytest.raises(DataError):
                archive.read(which)
        with pytest.raises(DataError, match="from 0 to 0"):
            archive.picture(0, 1)
    assert rows_for(model.space.size) == 4096


def test_a_killed_run_leaves_nothing_under_the_name(tmp_path):
    code = f"""
import time, numpy as np, torch
from pushforward.compression import Item, compress
from pushforward.systems import IDF
model = IDF(shape=(1, 4, 4), scales=1, steps=1, hidden=4, depth=1).build()
def items():
    for i in range(10_000):
        yield Item(str(i), np.zeros((1, 4, 4, 1), np.uint8), "L")
        print(i, flush=True)
        time.sleep(0.01)
compress({str(tmp_path / "a.pfz")!r}, items(), model, rows=2)
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for _ in range(20):
            process.stdout.readline()
        process.send_signal(signal.SIGKILL)
        process.wait(10)
    time.sleep(0.05)
    assert not (tmp_path / "a.pfz").exists()
