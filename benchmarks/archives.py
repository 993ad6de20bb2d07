"""Folders of all kinds of pictures, names and arrays, compressed and restored with the commands that a user has.

Each folder must come back identical, or be refused before anything is written. A file is identical if its bytes are the same,
or if it is a picture of the same format, size, mode and pixels with the same transparency, profile and orientation.

    python benchmarks/archives.py --folders 200
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import struct
import tempfile
import time
import zlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
from PIL import Image

import pushforward as pf
from pushforward.cli import main
from pushforward.compression import writing
from pushforward.systems import IDF

Random = np.random.Generator
DTYPES = ("u1", "u1", "u1", "i1", "<u2", ">u2", "<i4", ">i8", "<f2", "<f4", "<f8", ">f4", "?", "<c8")
NAMES = (
    "12:30:45",
    "back\\slash",
    "x" * 240,
    "\N{SNOWMAN}" * 80,
    "caf\udce9",
    "new\nline",
    "bold\x1b[1m",
    "...",
    ".hidden",
    " blank ",
    "-dash",
    "a*[12]?",
    "~",
    "%s{}",
    "Upper",
    "upper",
    "quo\"te's",
    "tab\t",
)


def pixels(rng: Random, channels: int = 1, high: int = 256, dtype: str = "u1") -> Any:
    """A picture (H, W, C), or (H, W) for one channel: noise, a flat colour or a smooth gradient."""
    height, width = rng.integers(1, 24, 2)
    shape = (height, width, channels) if channels > 1 else (height, width)
    kind = rng.integers(3)
    if kind == 0:
        found = rng.integers(0, high, shape)
    elif kind == 1:
        found = np.full(shape, rng.integers(high))
    else:
        found = np.add.outer(np.arange(height), np.arange(width))[..., None] * rng.integers(1, 9, channels) % high
        found = found.reshape(shape)
    return found.astype(dtype)


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    """A picture as a file of some format."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def exif(rng: Random) -> Image.Exif:
    """An orientation mark."""
    marks = Image.Exif()
    marks[0x0112] = int(rng.integers(1, 9))
    return marks


def png_chunk(name: bytes, data: bytes) -> bytes:
    """A chunk of a PNG file."""
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def deep_png(rng: Random) -> bytes:
    """A PNG file of 16 bits for each channel, of any colour type that has them."""
    colour, channels = [(0, 1), (2, 3), (4, 2), (6, 4)][rng.integers(4)]
    x = rng.integers(0, 1 << 16, (*rng.integers(1, 20, 2), channels)).astype(">u2")
    head = struct.pack(">IIBBBBB", x.shape[1], x.shape[0], 16, colour, 0, 0, 0)
    body = zlib.compress(b"".join(b"\0" + row.tobytes() for row in x))
    parts = [png_chunk(b"IHDR", head), png_chunk(b"IDAT", body), png_chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def plain_png(rng: Random) -> bytes:
    """A PNG file of bytes, with or without marks, text, a profile, a transparent colour or resolution."""
    channels = int(rng.integers(1, 5))
    options: dict[str, Any] = {}
    if rng.random() < 0.4:
        options["exif"] = exif(rng)
    if rng.random() < 0.3:
        options["icc_profile"] = rng.bytes(300)
    if rng.random() < 0.3:
        options["dpi"] = (72, 300)
    if channels in (1, 3) and rng.random() < 0.5:
        options["transparency"] = 7 if channels == 1 else (1, 2, 3)
    return saved(Image.fromarray(pixels(rng, channels)), "PNG", **options)


def palette(rng: Random) -> Image.Image:
    """A picture with a palette of noise."""
    image = Image.fromarray(pixels(rng, high=16)).convert("P")
    image.putpalette(rng.integers(0, 256, 48).astype(np.uint8).tobytes())
    return image


def odd_png(rng: Random) -> bytes:
    """A PNG file with a palette, with one bit, with 16 bits of grey, or of several frames."""
    kind = rng.integers(4)
    if kind == 0:
        return saved(palette(rng), "PNG", **({"transparency": bytes([0, 128, 255])} if rng.random() < 0.5 else {}))
    if kind == 1:
        return saved(Image.fromarray(pixels(rng) > 99), "PNG")
    if kind == 2:
        return saved(Image.fromarray(pixels(rng, high=1 << 16, dtype="u2")), "PNG")
    frames = [Image.fromarray(rng.integers(0, 256, (6, 7, 3)).astype(np.uint8)) for _ in range(3)]
    return saved(frames[0], "PNG", save_all=True, append_images=frames[1:])


def tiff(rng: Random) -> bytes:
    """A TIFF file of any mode that Pillow writes, compressed or not, with one page or two."""
    mode = str(rng.choice(["1", "L", "LA", "RGB", "RGBA", "P", "CMYK", "YCbCr", "LAB", "I;16", "I;16B", "I", "F"]))
    if mode in ("I", "F"):
        image = Image.fromarray(pixels(rng, high=1 << 20, dtype="i4" if mode == "I" else "f4"))
    elif mode.startswith("I;16"):
        image = Image.fromarray(pixels(rng, high=1 << 16, dtype="<u2" if mode == "I;16" else ">u2"))
    elif mode == "P":
        image = palette(rng)
    elif mode in ("LA", "RGBA"):
        image = Image.fromarray(pixels(rng, len(mode)))
    elif mode in ("LAB", "YCbCr", "CMYK"):
        x = pixels(rng, len(mode) if mode != "YCbCr" else 3)
        image = Image.frombytes(mode, x.shape[1::-1], x.tobytes())
    else:
        image = Image.fromarray(pixels(rng, 3 if mode == "RGB" else 1)).convert(mode)
    options: dict[str, Any] = {}
    if rng.random() < 0.4:
        options["compression"] = "tiff_lzw"
    if rng.random() < 0.3:
        options["exif"] = exif(rng)
    if rng.random() < 0.2:
        options.update(save_all=True, append_images=[image])
    return saved(image, "TIFF", **options)


def bmp(rng: Random) -> bytes:
    """A BMP file."""
    if rng.random() < 0.3:
        return saved(palette(rng), "BMP")
    return saved(Image.fromarray(pixels(rng, int(rng.choice([1, 3, 4])))), "BMP")


def jpeg(rng: Random) -> bytes:
    """A JPEG file: grey, colour or CMYK, with or without an orientation mark."""
    mode = str(rng.choice(["L", "RGB", "CMYK"]))
    image = Image.fromarray(pixels(rng, 1 if mode == "L" else 3)).convert(mode)
    return saved(image, "JPEG", **({"exif": exif(rng)} if rng.random() < 0.5 else {}))


def webp(rng: Random) -> bytes:
    """A WebP file, lossless or not."""
    image = Image.fromarray(pixels(rng, int(rng.choice([3, 4]))))
    return saved(image, "WEBP", lossless=bool(rng.random() < 0.5), exif=exif(rng))


def gif(rng: Random) -> bytes:
    """A GIF file, animated or not."""
    image = palette(rng)
    return saved(image, "GIF", save_all=bool(rng.random() < 0.5), append_images=[palette(rng).resize(image.size)])


def array(rng: Random) -> bytes:
    """An array of any type, shape and order."""
    dtype = np.dtype(str(rng.choice(DTYPES)))
    shape = tuple(int(n) for n in rng.integers(0 if rng.random() < 0.1 else 1, 9, int(rng.integers(0, 6))))
    x = rng.integers(0, 200, shape).astype(dtype)
    if rng.random() < 0.3:
        x = np.asfortranarray(x)
    buffer = io.BytesIO()
    np.save(buffer, x)
    return buffer.getvalue()


MAKERS: dict[str, tuple[str, Callable[[Random], bytes]]] = {
    "png": (".png", plain_png),
    "odd png": (".png", odd_png),
    "deep png": (".png", deep_png),
    "tiff": (".tif", tiff),
    "bmp": (".bmp", bmp),
    "jpeg": (".jpg", jpeg),
    "webp": (".webp", webp),
    "gif": (".gif", gif),
    "npy": (".npy", array),
}


def file_name(rng: Random, suffix: str, i: int) -> str:
    """A name of a file in the folder or below it: plain, odd, or clashing with others but for its suffix."""
    kind = rng.integers(4)
    if kind == 0:
        stem = str(i)
    elif kind == 1:
        stem = str(rng.choice(["x", "x.jpg", "x.png", "x.png.npy"]))
    else:
        stem = str(NAMES[rng.integers(len(NAMES))])
    folder = str(rng.choice(["", "", "sub/", "a/b/", "co:lon/", ".dot/"]))
    ending = suffix.upper() if rng.random() < 0.1 else suffix
    return folder + stem + ending + ("." if rng.random() < 0.05 else "")


def make_folder(folder: Path, seed: int) -> dict[str, bytes]:
    """Fill a folder with one to eight files; their bytes by name."""
    rng = np.random.default_rng(seed)
    kinds = list(MAKERS) if rng.random() < 0.7 else [str(rng.choice(list(MAKERS)))]
    files: dict[str, bytes] = {}
    for i in range(int(rng.integers(1, 9))):
        suffix, make = MAKERS[str(rng.choice(kinds))]
        name = file_name(rng, suffix, i)
        files[name] = make(rng)
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return files


def look(data: bytes) -> tuple[Any, ...]:
    """What must be the same in two picture files whose bytes differ."""
    with Image.open(io.BytesIO(data)) as image:
        image.load()
        return image.format, image.size, image.mode, image.tobytes(), dict(image.info), dict(image.getexif())


def same(before: bytes, after: bytes) -> bool:
    """Whether a restored file is identical in all that counts."""
    return before == after or (before[:4] == b"\x89PNG" and look(before) == look(after))


def make_model(path: Path, channels: int) -> None:
    """A model of tiles of 8 x 8 that nobody trained."""
    torch.manual_seed(0)
    spec = IDF(shape=(channels, 8, 8), scales=1, steps=1, hidden=4, depth=1)
    model = spec.build()
    pf.initialise(model, torch.randint(0, 256, (64, channels, 8, 8)).float())
    pf.save(path, model, spec=spec)


def outcome(seed: int, root: Path) -> str:
    """Compress and restore a folder: "identical", "refused" or what was lost."""
    folder, archive, restored = root / f"{seed}", root / f"{seed}.pfz", root / f"{seed}-restored"
    files = make_folder(folder, seed)
    model = root / f"{(1, 3)[seed % 2]}.idf"
    quiet = ["--quiet"] if seed % 3 else ["--threads", "2"]
    said = io.StringIO()
    # Pictures as small as these are hardly ever smaller when they are coded, so every other pair of folders is coded anyway.
    coded = mock.patch.object(writing, "smaller", lambda coded, deflated: bool(seed & 2) or len(coded) < len(deflated))
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said), coded:
        code = main(
            ["compress", str(model), str(folder), "--out", str(archive), "--no-baselines", "--rows", "8", *quiet]
        )
        if code:
            return f"refused: {said.getvalue().strip()}" if not archive.exists() else "lost: refused, but written"
        code = main(["decompress", str(archive), "--out", str(restored), *quiet])
    if code:
        return f"lost: {said.getvalue().strip()}"
    found = {os.path.relpath(path, restored): path.read_bytes() for path in restored.rglob("*") if path.is_file()}
    if set(found) != set(files):
        return f"lost: the names {sorted(set(found) ^ set(files))!r} differ"
    wrong = [name for name, data in files.items() if not same(data, found[name])]
    return f"lost: {wrong!r} differ" if wrong else "identical"


def run(folders: int, first: int = 0) -> Counter[str]:
    """Outcomes of so many folders, counted; what was refused or lost is printed."""
    counts: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        for channels in (1, 3):
            make_model(root / f"{channels}.idf", channels)
        for seed in range(first, first + folders):
            found = outcome(seed, root)
            counts[found.split(":")[0]] += 1
            if found != "identical":
                print(f"folder {seed}: {found!r}", flush=True)
    return counts


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folders", type=int, default=200)
    parser.add_argument("--first", type=int, default=0, help="seed of the first folder")
    options = parser.parse_args()
    started = time.perf_counter()
    counted = run(options.folders, options.first)
    print(f"{dict(counted)} of {options.folders} folders in {time.perf_counter() - started:.0f} s")
