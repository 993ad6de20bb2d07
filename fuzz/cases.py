"""One input of each kind: a whole file, changed, and a command or a function of the library that reads it."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import torch

from pushforward.cli.main import main
from pushforward.errors import FileError, FlowError
from pushforward.pictures import read_images
from pushforward.serialize import load
from pushforward.tables import infer_schema, read_table
from pushforward.training import fit
from pushforward.training.checkpoint import load_checkpoint, save_checkpoint

from . import mutations as m

TINY = ["--flow", "maf", "--layers", "1", "--hidden", "4", "--max-steps", "1", "--no-baselines", "-q"]
Act = Callable[[], "int | None"]
"""What reads an input: a command gives its exit code, a function of the library raises or returns None."""


def table(draw: Random, seeds: Path, folder: Path) -> Act:
    """A changed table, which is read, scored or fitted."""
    suffix = draw.choice(("csv", "csv", "tsv", "parquet", "arrow", "jsonl", "npz", "npy"))
    data = (seeds / f"t.{suffix}").read_bytes()
    if suffix == "npy" and draw.random() < 0.6:
        data = m.npy_header(draw, data)
    elif suffix == "npz" and draw.random() < 0.5:
        data = _changed_npz(draw, data)
    elif suffix in ("csv", "tsv") and draw.random() < 0.6:
        data = odd_csv(draw, data.decode(), "," if suffix == "csv" else "\t")
    elif suffix == "jsonl" and draw.random() < 0.6:
        lines = data.decode().splitlines()
        i = draw.randrange(len(lines))
        lines[i] = m.json_text(draw, m.change_json(draw, json.loads(lines[i])))
        data = "\n".join(lines).encode("utf-8", "surrogatepass")
    else:
        data = m.any_bytes(draw, data)
    path = folder / f"x.{suffix}"
    path.write_bytes(data)
    way = draw.random()
    if way < 0.6:
        return lambda: _read_table(path)
    if way < 0.85:
        return lambda: main(["score", str(seeds / "table.flow"), str(path), "-q", "--out", str(folder / "s.csv")])
    return lambda: main(["fit", str(path), "--out", str(folder / "m.flow"), *TINY])


def _read_table(path: Path) -> None:
    found = read_table(path)
    if found.n_rows > 1:
        infer_schema(found).encode(found)


def odd_csv(draw: Random, text: str, mark: str) -> bytes:
    """A CSV file as other programs, people and accidents make them."""
    rows = [line.split(mark) for line in text.splitlines()]
    for _ in range(draw.choice((1, 1, 2, 4))):
        i, act = draw.randrange(len(rows)), draw.randrange(9)
        j = draw.randrange(len(rows[i])) if rows[i] else 0
        if act < 4 and rows[i]:
            rows[i][j] = draw.choice(
                (*m.ODD_TEXTS[:-1], "1e999", "-1e400", "9" * 400, "NaN", "inf", "0x10", "1_0", "١", "1,5", '"', '"a""b"', "'", "true", "2026-01-01", "\ufeff", "\x00" * 3)
            )  # fmt: skip
        elif act == 4:
            rows[i] = rows[i] * draw.choice((0, 2, 30))
        elif act == 5:
            rows[i] = rows[i][:-1]
        elif act == 6:
            rows[i:i] = [[]] * draw.choice((1, 3))
        elif act == 7 and rows[i]:
            rows = [[*row, row[j] if j < len(row) else ""] for row in rows]
        else:
            rows = rows[: draw.randrange(len(rows) + 1)] or [[]]
    text = draw.choice(("\n", "\n", "\r\n", "\r")).join(mark.join(row) for row in rows)
    encoding = draw.choice(("utf-8", "utf-8", "utf-8", "utf-8-sig", "utf-16", "latin-1", "utf-32"))
    return text.encode(encoding, "surrogatepass" if encoding.startswith("utf") else "replace")


def _changed_npz(draw: Random, data: bytes) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as source, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in source.namelist():
            content = source.read(name)
            if draw.random() < 0.5:
                content = draw.choice((m.npy_header, m.any_bytes))(draw, content)
            if draw.random() < 0.1:
                content += bytes(10**7)
            archive.writestr(draw.choice((name, name, name, "y", "../x.npy", f"{name}.npy")), content)
    return target.getvalue()


def picture(draw: Random, seeds: Path, folder: Path) -> Act:
    """A changed picture, or array of pictures, which is read or scored."""
    name = draw.choice(
        ("p.png", "p.png", "q.png", "p.tif", "p.tif", "p.jpg", "p.bmp", "p.gif", "p.webp", "p.npy", "p.npz")
    )
    data = (seeds / name).read_bytes()
    if name.endswith(".png") and draw.random() < 0.6:
        data = m.png_chunks(draw, data)
    elif name == "p.npy" and draw.random() < 0.6:
        data = m.npy_header(draw, data)
    elif name == "p.npz" and draw.random() < 0.5:
        data = _changed_npz(draw, data)
    else:
        data = m.any_bytes(draw, data)
    path = folder / name
    path.write_bytes(data)
    if draw.random() < 0.7:
        return lambda: _ignored(read_images(path, size=draw.choice((None, None, 4))))
    return lambda: main(["score", str(seeds / "idf.flow"), str(path), "-q", "--json"])


def model(draw: Random, seeds: Path, folder: Path) -> Act:
    """A changed model file, signed or not, which is inspected, loaded, sampled from or used for scores."""
    name = draw.choice(("table.flow", "table.flow", "system.flow", "idf.flow", "own.flow"))
    data = (seeds / name).read_bytes()
    path = folder / name
    path.write_bytes(_described(draw, data) if draw.random() < 0.75 else m.any_bytes(draw, data))
    way = draw.randrange(6)
    if way == 0:
        return lambda: _ignored(load(path))
    command = [
        ["inspect", str(path)],
        ["inspect", str(path), "--json"],
        ["sample", str(path), "-n", "2", "-q", "--out", str(folder / ("s.npy" if name == "idf.flow" else "s.csv"))],
        [
            "score",
            str(path),
            str(seeds / ("i.npy" if name == "idf.flow" else "t.csv")),
            "-q",
            "--out",
            str(folder / "s.csv"),
        ],
        ["inspect", str(path)],
    ][way - 1]
    return lambda: main(command)


def _described(draw: Random, data: bytes) -> bytes:
    """A model file whose description is changed and, mostly, signed again."""
    length = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8 : 8 + length])
    text = m.json_text(draw, m.change_json(draw, json.loads(header["__metadata__"]["pushforward"])))
    if draw.random() < 0.05:
        text = draw.choice(("[" * 10**5, "9" * 5000, "", "null", '{"a":1}x', "NaN"))
    header["__metadata__"]["pushforward"] = text
    if draw.random() < 0.95:
        header["__metadata__"]["sha256"] = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    if draw.random() < 0.1:
        header = m.change_json(draw, header)
    raw = m.dumped(header).encode("utf-8", "surrogatepass")
    return struct.pack("<Q", len(raw)) + raw + data[8 + length :]


def archive(draw: Random, seeds: Path, folder: Path) -> Act:
    """A changed archive, whose parts have right checksums or not, which is restored."""
    data = (seeds / "a.pfz").read_bytes()
    path = folder / "a.pfz"
    path.write_bytes(_forged(draw, data) if draw.random() < 0.4 else m.any_bytes(draw, data))
    command = ["decompress", str(path), "--out", str(folder / "restored"), "-q", "--model", str(seeds / "idf.flow")]
    return lambda: main(command)


def _forged(draw: Random, data: bytes) -> bytes:
    """An archive with another header at its start, its checksum right."""
    length = struct.unpack("<I", data[10:14])[0]
    header = json.loads(zlib.decompress(data[14 : 14 + length]))
    text = zlib.compress(m.json_text(draw, m.change_json(draw, header)).encode("utf-8", "surrogatepass"))
    start = data[:10] + struct.pack("<I", len(text)) + text
    return start + struct.pack("<I", zlib.crc32(start)) + data[14 + length + 4 :]


def checkpoint(draw: Random, seeds: Path, folder: Path) -> Act:
    """A changed checkpoint, signed or not, from which a run goes on."""
    path = folder / "c"
    source = seeds / "c.checkpoint"
    if draw.random() < 0.4:
        path.write_bytes(m.any_bytes(draw, source.read_bytes()))
    else:
        state = load_checkpoint(source)
        _change_state(draw, state)
        if draw.random() < 0.8:
            with contextlib.suppress(FileError):  # lists in lists that cannot be pickled
                save_checkpoint(path, state)
        else:
            with contextlib.suppress(RecursionError):
                torch.save({**state, "format": "pushforward training checkpoint", "version": 2}, path)
    return lambda: _resume(seeds, path)


def _resume(seeds: Path, path: Path) -> None:
    saved = load(seeds / "table.flow")
    rows = saved.model.schema.encode(read_table(seeds / "t.csv"))
    fit(saved.model, rows, resume=path, epochs=3, batch_size=16, progress=False)


def _change_state(draw: Random, state: dict[str, Any]) -> None:
    for _ in range(draw.choice((1, 1, 2))):
        places = _state_places(state)
        holder, key = draw.choice(places)
        value = holder[key]
        act = draw.randrange(5)
        if act == 0 and isinstance(holder, dict):
            del holder[key]
        elif act == 1 and isinstance(value, torch.Tensor):
            odd = (
                value.double(),
                value[:0] if value.dim() else value[None],
                value.new_zeros(3),
                value.float() * float("nan"),
                torch.zeros(1).expand(2**40),
            )
            holder[key] = draw.choice(odd)  # fmt: skip
        elif act == 2 and isinstance(holder, dict):
            holder[draw.choice(("x", 3, "exp_avg"))] = value
        else:
            holder[key] = draw.choice((m.odd_value(draw), torch.zeros(2), torch.tensor(1.0)))


def _state_places(value: Any) -> list[tuple[Any, Any]]:
    found, waiting = [], [value]
    while waiting:
        holder = waiting.pop()
        keys = list(holder) if isinstance(holder, dict) else range(len(holder)) if isinstance(holder, list) else ()
        for key in keys:
            found.append((holder, key))
            waiting.append(holder[key])
    return found


def toml(draw: Random, seeds: Path, folder: Path) -> Act:
    """A changed configuration of `fit`."""
    text = (seeds / "c.toml").read_text()
    if draw.random() < 0.3:
        raw = m.any_bytes(draw, text.encode())
    else:
        lines = text.splitlines()
        for _ in range(draw.choice((1, 1, 2))):
            i = draw.randrange(len(lines))
            name, equals, _ = lines[i].partition(" = ")
            if equals:
                name = draw.choice(
                    (
                        name,
                        name,
                        name,
                        "a." * draw.choice((1, 50, 2000)) + "b",
                        '"\\u202e"',
                        "batch_size",
                        "validation",
                        "bounds",
                    )
                )
                lines[i] = f"{name} = {_odd_toml(draw)}"
            else:
                lines[i] = draw.choice(
                    ("[fit]", "[[fit]]", "[fit.set]", "[" + "a." * 1000 + "a]", "[no]", "fit = 3", "[")
                )
        raw = "\n".join(lines).encode("utf-8", "surrogatepass")
    path = folder / "c.toml"
    path.write_bytes(raw)
    command = [
        "fit",
        str(seeds / "t.csv"),
        "--out",
        str(folder / "m.flow"),
        "--config",
        str(path),
        "--max-steps",
        "1",
        "-q",
    ]
    return lambda: main(command)


def _odd_toml(draw: Random) -> str:
    deep = draw.choice((3, 100, 500, 3000))
    return draw.choice(
        (
            "[" * deep + "]" * deep, "{a = " * deep + "1" + "}" * deep, "9" * draw.choice((20, 400, 5000)), "nan", "-inf", "1979-05-27",
            "07:32:00", "true", '""', '"\\u0000"', '"\\u202e\\u001b"', "-1", "0.5", "[1, 2]", "{}", "{b = 2}", '["b", "b"]', "1e400",
            "0xdeadbeefdeadbeefdead", '"""a\nb"""', "[[1], {a = 2}]", "{n = 1979-05-27}", "{n = [1, [2]]}", "3",
        )
    )  # fmt: skip


def _ignored(value: object) -> None:
    """Drop what the library returned: that it returned is the result."""


KINDS: dict[str, Callable[[Random, Path, Path], Act]] = {
    "tables": table,
    "pictures": picture,
    "models": model,
    "archives": archive,
    "checkpoints": checkpoint,
    "TOML": toml,
}
SHARES = {"tables": 8, "pictures": 6, "models": 8, "archives": 3, "checkpoints": 3, "TOML": 2}
"""How many of thirty inputs are of each kind."""
ORDER = [kind for kind, share in SHARES.items() for _ in range(share)]


def is_sentence(error: BaseException) -> bool:
    """Whether an exception is one of the library's own, with a message of one line."""
    return isinstance(error, FlowError) and "\n" not in str(error).strip() and len(str(error)) < 4000


def clean(folder: Path) -> None:
    """Remove what an input left in its folder."""
    for root, folders, files in os.walk(folder, topdown=False):
        for name in files:
            os.unlink(os.path.join(root, name))
        for name in folders:
            os.rmdir(os.path.join(root, name))
