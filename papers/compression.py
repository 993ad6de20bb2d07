"""Lossless compression by integer discrete flows and by models of labels, beside general and picture formats.

Every model is trained here, its test pictures are coded by the archive that `pushforward compress` writes, and decoded and compared:
the sizes are those of whole files, headers and checksums included. Natural patches: 8 x 8 grey ones of BSDS300, raw 8 bits. Digits:
8 x 8 with 17 levels, a bad case for integer shifts, whose rounding blurs the piles at 0 and 16. MNIST. Colour: tiles of CIFAR-10
pictures, used for other pictures too (Hoogeboom et al. 2019, arXiv:1905.07376; Tran et al. 2019, arXiv:1905.10347).

Parts can be run one by one with --only; what was found before is kept in results/compression.json.
"""

from __future__ import annotations

import argparse
import bz2
import io
import json
import lzma
import math
import tempfile
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import data, keep, known, table, write
from pictures import digits as digit_parts

import pushforward as pf
from pushforward.compression import Archive, Item, compress
from pushforward.compression.writing import LARGER
from pushforward.core import Distribution, Flow, Integers
from pushforward.distributions import DiscretisedLogistic
from pushforward.systems import IDF, MADE, Discrete, PixelCNN
from pushforward.transforms import Reshape

Array = np.ndarray[Any, np.dtype[Any]]


def bsds_patches(images: Array, transposed: Array, count: int, seed: int) -> Array:
    """8 x 8 patches by the recipe of the data's page: (count, 8, 8, 1) bytes."""
    random = np.random.RandomState(seed)
    k = random.randint(0, len(images), count)
    i, j = (random.randint(0, size - 7, count) for size in images.shape[1:])
    out = np.empty((count, 8, 8), np.uint8)
    steps = np.arange(8)
    for at in range(0, count, 50_000):
        end = min(count, at + 50_000)
        rows, columns = i[at:end, None, None] + steps[None, :, None], j[at:end, None, None] + steps[None, None, :]
        found = images[k[at:end, None, None], rows, columns]
        out[at:end] = np.where(transposed[k[at:end]][:, None, None], found.transpose(0, 2, 1), found)
    return out[..., None]


def fitted(
    make: Callable[[], Distribution],
    x: torch.Tensor,
    valid: torch.Tensor,
    *,
    steps: int,
    batch: int,
    lr: float,
    **options: Any,
) -> Distribution:
    """A model trained for about so many steps at a rate that falls to zero, unless the options say otherwise."""
    torch.manual_seed(0)
    model = make()
    epochs = max(1, round(steps * batch / len(x)))
    defaults = {"schedule": "cosine", "patience": 0, "ema": 0.995, "clip": 5.0 * valid[0].numel(), "progress": False}
    result = pf.fit(
        model, x, validation=(valid, None), epochs=epochs, batch_size=batch, lr=lr, **{**defaults, **options}
    )
    print(f"{epochs} epochs, {result.seconds / 60:.1f} min", flush=True)
    return model.eval()


def chw(pictures: Array) -> torch.Tensor:
    """Pictures (N, H, W, C) as levels (N, C, H, W)."""
    return torch.from_numpy(np.ascontiguousarray(pictures.transpose(0, 3, 1, 2))).float()


def archived(model: Distribution, items: list[Item], rows: int | None = None) -> dict[str, float]:
    """Bits per number of a whole archive, and of the model's own account; every item is restored and compared."""
    values = sum(item.array.size for item in items)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pictures.pfz"
        summary = compress(path, items, model, rows=rows)
        with Archive(path, model) as archive:
            damage = archive.check()
            wrong = [item.name for item in items if not np.array_equal(archive.read(item.name), item.array)]
    if damage or wrong or set(summary.reasons) - {LARGER}:
        raise SystemExit(f"the archive is not as it should be: {damage} {wrong} {summary.reasons}")
    return {
        "archive": 8 * summary.size / values,
        "coded": 8 * summary.payload / values,
        "account": summary.bits / values,
        "MB/s": summary.raw / 1e6 / summary.seconds,
    }


def general(pictures: list[Array]) -> dict[str, float]:
    """Bits per number of general coders over all bytes together."""
    together = b"".join(p.tobytes() for p in pictures)
    sizes = {
        "zlib, all together": len(zlib.compress(together, 9)),
        "bz2, all together": len(bz2.compress(together, 9)),
        "xz, all together": len(lzma.compress(together, preset=9 | lzma.PRESET_EXTREME)),
    }
    return {name: 8 * size / len(together) for name, size in sizes.items()}


def per_picture(pictures: list[Array]) -> dict[str, float]:
    """Bits per number of picture formats, each picture a file of its own; JPEG-LS and JPEG-XL where imagecodecs is installed."""
    from PIL import Image

    def pillow(kind: str, **options: Any) -> Callable[[Array], int]:
        def size(picture: Array) -> int:
            buffer = io.BytesIO()
            Image.fromarray(picture[..., 0] if picture.shape[2] == 1 else picture).save(buffer, kind, **options)
            return buffer.tell()

        return size

    ways = {"PNG": pillow("PNG", optimize=True), "WebP": pillow("WEBP", lossless=True, quality=100, method=6)}
    try:
        import imagecodecs
    except ImportError:
        pass
    else:
        ways["JPEG-XL"] = lambda p: len(imagecodecs.jpegxl_encode(p.squeeze(), lossless=True, effort=7))
        ways["JPEG-LS"] = lambda p: len(imagecodecs.jpegls_encode(p.squeeze()))
    values = sum(p.size for p in pictures)
    return {name: 8 * sum(size(p) for p in pictures) / values for name, size in ways.items()}


def patches(minutes: float) -> list[dict[str, Any]]:
    """BSDS300."""
    z = data("bsds300.npz")
    chosen, kept = z["train_image_idx"], z["valid_image_idx"]
    train = bsds_patches(z["train_images"][chosen], z["train_transposed"][chosen], 1_000_000, 1)
    valid = bsds_patches(z["train_images"][kept], z["train_transposed"][kept], 5_000, 2)
    test = bsds_patches(z["test_images"], z["test_transposed"], 250_000, 3)
    spec = IDF(shape=(1, 8, 8), **IDF.preset_arguments("small"))
    steps = int(minutes * 1000)
    seen = chw(train[: 256 * steps])
    model = fitted(spec.build, seen, chw(valid), steps=steps, batch=256, lr=4e-3)
    found = archived(model, [Item("test", test, "array")])
    others = {"full-covariance Gaussian, not coded": gaussian_bits(train[:200_000], test), **general([test])}
    return [{"data": "BSDS300, 250,000 test patches of 8 x 8", "by": "IDF", **found, "others": others}]


def gaussian_bits(train: Array, test: Array) -> float:
    """Bits per pixel of a Gaussian of x + u."""
    random = np.random.RandomState(0)
    a, b = (p.reshape(len(p), -1) + random.rand(len(p), p[0].size) for p in (train, test))
    mean, covariance = a.mean(0), np.cov(a.T)
    d = np.linalg.solve(np.linalg.cholesky(covariance), (b - mean).T)
    nll = 0.5 * (d**2).sum(0) + 0.5 * np.linalg.slogdet(2 * math.pi * covariance)[1]
    return float(nll.mean()) / a.shape[1] / math.log(2)


def digits(minutes: float) -> list[dict[str, Any]]:
    """Digits of scikit-learn: integer flows, whose priors are no worse alone, and models of labels."""
    train, valid, test = (part.images.transpose(0, 2, 3, 1) for part in digit_parts())
    name, others = "digits, 297 test pictures of 8 x 8", general([test])
    rows = []

    def prior() -> Flow:
        space = Integers((1, 8, 8))
        return Flow(Reshape(space, (64,)), DiscretisedLogistic((64,), components=5, unit=17 / 8))

    integers: dict[str, Callable[[], Distribution]] = {
        "mixture of 5 discretised logistics for each pixel": prior,
        "IDF on the same prior, 4 couplings": IDF(
            shape=(1, 8, 8), levels=17, scales=1, steps=4, hidden=48, depth=2
        ).build,
        "IDF on the same prior, 16 couplings": IDF(
            shape=(1, 8, 8), levels=17, scales=1, steps=16, hidden=48, depth=2
        ).build,
    }
    for kind, make in integers.items():
        model = fitted(make, chw(train), chw(valid), steps=3000, batch=100, lr=3e-3)
        found = archived(model, [Item("test", test, "array")])
        rows.append({"data": name, "by": kind, **found, "others": others})
    labels = [torch.from_numpy(p.reshape(len(p), 64).astype(np.int64)) for p in (train, valid, test)]
    kinds = {
        "autoregressive labels": {"layers": 0, "hidden": (500,)},
        "discrete flow, autoregressive base": {"layers": 1, "hidden": (500,)},
    }
    for kind, fields in kinds.items():
        spec = Discrete(classes=(17,) * 64, dropout=0.5, **fields)
        training = {"steps": 4000, "batch": 100, "lr": 1e-3, "patience": 40, "schedule": "plateau"}
        model = fitted(spec.build, labels[0], labels[1], **training)
        found = archived(model, [Item("test", labels[2].numpy(), "events")], rows=297)
        rows.append({"data": name, "by": kind, **found, "others": others})
    return rows


def mnist(minutes: float) -> list[dict[str, Any]]:
    """MNIST, filled up to 32 x 32 so that it can be halved five times."""
    z = data("mnist.npz")
    train, valid = (
        np.pad(z[f"{part}_x"], ((0, 0), (0, 4), (0, 4)), mode="edge")[..., None] for part in ("train", "valid")
    )
    spec = IDF(shape=(1, 32, 32), scales=5, steps=1, hidden=32, depth=2, prior_components=5)
    model = fitted(spec.build, chw(train), chw(valid[:1000]), steps=int(minutes * 450), batch=64, lr=6e-3)
    pictures = z["test_x"][..., None]
    found = archived(model, [Item("test", pictures, "array")])
    others = {**per_picture(list(pictures)), **general([pictures])}
    return [{"data": "MNIST, 10,000 test pictures", "by": "IDF, mixtures in all priors", **found, "others": others}]


def colour(minutes: float) -> list[dict[str, Any]]:
    """CIFAR-10, 3000 pictures to train on, and larger pictures in tiles of the same model."""
    z = data("cifar10_lossless4k.npz")
    train, valid, test = (z[name] for name in ("train_x", "valid_x", "test_x"))
    tiles = np.concatenate([train[:, i : i + 16, j : j + 16] for i in (0, 8, 16) for j in (0, 8, 16)])
    some = valid[:, :16, :16]
    spec = IDF(shape=(3, 16, 16), scales=3, steps=3, hidden=96, depth=3, prior_components=3)
    model = fitted(spec.build, chw(tiles), chw(some), steps=int(minutes * 200), batch=64, lr=4e-3)
    rows = []
    natural = {}
    sets = data("sr_sets.npz")
    for name in sets:
        if sets[name].ndim == 3 and sets[name].dtype == np.uint8:
            natural[name] = sets[name]
    for name, pictures in {
        "CIFAR-10, 500 test pictures": {f"{i}": p for i, p in enumerate(test)},
        f"Set5, Set14, Kodak: {len(natural)} colour pictures": natural,
    }.items():
        items = [Item(key, p[None], "RGB") for key, p in pictures.items()]
        if "CIFAR" in name:
            items = [Item("test", test, "array")]
        found = archived(model, items)
        others = {**per_picture(list(pictures.values())), **general(list(pictures.values()))}
        rows.append({"data": name, "by": "IDF, tiles of 16 x 16", **found, "others": others})
    return rows


def pixels(minutes: float) -> list[dict[str, Any]]:
    """Autoregressive models: digits pixel by pixel, and binary MNIST by MADE."""
    train, valid, test = (part.images.transpose(0, 2, 3, 1) for part in digit_parts())
    spec = PixelCNN(shape=(1, 8, 8), levels=17, hidden=32, blocks=3, dropout=0.3)
    training = {"steps": int(minutes * 600), "batch": 100, "lr": 2e-3, "weight_decay": 1e-3}
    model = fitted(spec.build, chw(train), chw(valid), **training)
    found = archived(model, [Item("test", test, "array")], rows=297)
    name = "digits pixel by pixel, 297 test pictures"
    rows = [{"data": name, "by": "gated PixelCNN", **found, "others": general([test])}]
    z = data("mnist.npz")
    bits = {part: (z[f"{part}_x"].reshape(-1, 784) >= 128).astype(np.int64) for part in ("train", "valid", "test")}
    chosen = bits["test"][:2000]
    packed = np.packbits(chosen.astype(np.uint8), axis=1)
    # The general coders see eight bits in a byte; their sizes are given for each bit.
    others = {kind: size / 8 for kind, size in general([packed]).items()}
    made = MADE(features=784, labels=(2,) * 784, hidden=(500,), direct=True)
    training = {"steps": int(minutes * 700), "batch": 200, "lr": 2e-3}
    model = fitted(made.build, torch.from_numpy(bits["train"]), torch.from_numpy(bits["valid"][:2000]), **training)
    found = archived(model, [Item("test", chosen, "events")], rows=500)
    rows.append({"data": "binary MNIST, 2,000 test pictures", "by": "MADE", **found, "others": others})
    return rows


PARTS = {
    "patches": (patches, 5.0),
    "digits": (digits, 0.0),
    "mnist": (mnist, 25.0),
    "colour": (colour, 8.0),
    "pixels": (pixels, 3.0),
}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=PARTS, action="append")
    parser.add_argument("--minutes", type=float, help="of training, roughly, on one core")
    options = parser.parse_args()
    torch.set_num_threads(1)
    started = time.time()
    for name in options.only or PARTS:
        run, minutes = PARTS[name]
        found = run(options.minutes or minutes)
        print(json.dumps(found, indent=1), flush=True)
        keep("compression", name, value=found)
    rows = [
        [
            row["data"],
            row["by"],
            f"{row['account']:.3f}",
            f"{row['coded']:.3f}" if "archive" in row else "",
            f"{row.get('archive', row['coded']):.3f}",
            "; ".join(f"{name} {bits:.3f}" for name, bits in row["others"].items()),
        ]
        for name in PARTS
        for row in known("compression").get(name, [])
    ]
    body = (
        "Bits for each number (pixel and channel) of the test pictures: the model's own account, -log2 p; the coded symbols; the whole "
        "archive, with its header, names, checksums and index; and other formats for the same pictures. Every archive was decoded "
        "and compared. Patches overlap, which xz finds where it sees all of them, and a model of single patches cannot.\n\n"
        + table(["data", "model", "account", "coded", "archive", "others"], rows)
    )
    write("compression", "Lossless compression", body, started)


if __name__ == "__main__":
    main()
