"""Size of handwritten digits after lossless compression: a PixelCNN beside general and picture formats."""

import io
import lzma
import sys
import tempfile
import zlib
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from PIL import Image
from sklearn.datasets import load_digits

import pushforward as pf
from pushforward.compression import Item, compress

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "own_systems"))

from pixel_cnn import PixelCNN


def main(out: Path, *, quick: bool = False) -> None:
    """Learn 1500 digits, and compress the other 297."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    pictures = load_digits().images.astype(np.uint8)
    test = pictures[1500:1505] if quick else pictures[1500:]
    model = PixelCNN(shape=(1, 8, 8), levels=17, layers=1 if quick else 4).build()
    x = torch.tensor(pictures[:1500, None]).float()
    pf.fit(
        model,
        x[:1350],
        validation=x[1350:],
        epochs=35,
        max_steps=1 if quick else None,
        batch_size=64,
        lr=3e-3,
        clip=320.0,
        schedule="cosine",
        progress=False,
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "archive.pfz"
        compress(path, [Item("digits", test[..., None], "array")], model, rows=len(test))
        own = path.stat().st_size

    raw, sheet = test.tobytes(), Image.fromarray(np.concatenate(list(test)))
    sizes = {
        "PNG": encoded(sheet, "PNG", optimize=True),
        "zlib": len(zlib.compress(raw, 9)),
        "xz": len(lzma.compress(raw, preset=9)),
        "WebP": encoded(sheet, "WEBP", lossless=True, quality=100, method=6),
        "PixelCNN": own,
    }
    figure = Figure(figsize=(9, 3), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(1, 2))
    shown = np.pad(pictures[1500:1536], ((0, 0), (0, 1), (0, 1))).reshape(6, 6, 9, 9).swapaxes(1, 2).reshape(54, 54)
    left.imshow(shown, cmap="gray_r")
    left.set_axis_off()
    bars = right.barh(list(sizes), list(sizes.values()), color=["#8a8f98"] * 4 + ["#D55E00"])
    labels = [f"{size / 1000:.1f} kB, {8 * size / test.size:.2f} bits for each pixel" for size in sizes.values()]
    right.bar_label(bars, labels, padding=4)
    right.set(xticks=[], xlim=(0, 1.6 * max(sizes.values())))
    right.spines[["top", "right", "bottom"]].set_visible(False)
    figure.savefig(out, dpi=100)


def encoded(picture: Image.Image, kind: str, **options: object) -> int:
    """Return the number of bytes of a picture in a lossless format."""
    file = io.BytesIO()
    picture.save(file, kind, **options)  # type: ignore[arg-type]
    return len(file.getvalue())


if __name__ == "__main__":
    main(Path("compression.png"))
