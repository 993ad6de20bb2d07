"""Picture files and grids of pictures: from a file to an array (C, H, W) and back, by Pillow.

Accepted files have 8 bits per channel and are grey, RGB or with a palette; an alpha channel must be opaque everywhere.
All other files raise an error, because Pillow would silently drop bits or transparency.
"""

from __future__ import annotations

import io
import math
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import DataError, FileError, FlowError
from ..output import atomic_output, reason
from ..tables.numpy_files import write_numpy
from ..terminal import quiet_standard_error
from .png import exif_follows_pixels

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff")
"""Suffixes of the picture files that are read."""
ARRAYS = (".npz", ".npy")
FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF")
"""Formats that Pillow may open; none of them runs another program."""
WITH_EXIF = ("JPEG", "MPO", "WEBP", "PNG")
"""Formats whose orientation mark this module applies. Pillow applies that of TIFF itself, and the others have none."""
ORIENTATION = 0x0112
ENLARGED = 64
"""Number of pixels along a side up to which small pictures of a grid are enlarged."""
BACKGROUND = 128
"""Grey value between the pictures of a grid, visible next to black and white."""


@dataclass(frozen=True)
class Header:
    """Properties of a picture that are known before its pixels are decoded.

    Args:
        size: Width and height, as displayed.
        kind: Kind of picture: "grey", "colour", or "either" for a palette with grey values only.
    """

    size: tuple[int, int]
    kind: str


def load_pillow(what: str) -> Any:
    """Return the module PIL.Image.

    Raises:
        FileError: Pillow is not installed.
    """
    try:
        from PIL import Image
    except ImportError:
        raise FileError(f"{what} needs Pillow; install it with pip install 'pushforward[images]'") from None
    return Image


def read_header(path: Path) -> Header:
    """Return the size and kind of a picture file.

    Raises:
        FileError: The file is not a picture, is damaged, or is too large.
        DataError: It has 16 bits, or channels other than grey or RGB.
    """
    with opened(path) as image:
        _require_eight_bits(path, image)
        width, height = image.size
        if _orientation(image) >= 5:
            width, height = height, width
        if image.mode == "P":
            palette = np.array(image.getpalette("RGB") or [], dtype=np.uint8).reshape(-1, 3)
            kind = "either" if (palette == palette[:, :1]).all() else "colour"
        else:
            kind = "grey" if image.mode in ("1", "L", "LA") else "colour"
        return Header((width, height), kind)


def require_one_kind(source: Path, files: Sequence[Path], headers: Sequence[Header]) -> int:
    """Return the number of channels of pictures that are all grey (1) or all in colour (3).

    Raises:
        DataError: Some pictures are grey and some in colour.
    """
    kinds = [header.kind for header in headers]
    grey, colour = kinds.count("grey"), kinds.count("colour")
    if grey and colour:
        raise DataError(
            f"{source}: expected all pictures grey or all in colour, got {grey} grey ({files[kinds.index('grey')].name}) "
            f"and {colour} in colour ({files[kinds.index('colour')].name}); convert them to one kind"
        )
    return 3 if colour else 1


def read_picture(path: Path, channels: int, size: int | None = None) -> np.ndarray:
    """Return the pixels of a picture file, turned upright by its orientation mark; of several frames or pages, the first.

    Args:
        path: Path of the file.
        channels: 1 for grey, 3 for RGB.
        size: Height and width to which the centre square is resized; by default the picture keeps its size.

    Returns:
        Pixels (C, H, W) in uint8.

    Raises:
        FileError: The file is not a picture, is damaged, or is too large.
        DataError: It has 16 bits, channels other than grey or RGB, or transparent pixels.
    """
    with opened(path) as image:
        _require_eight_bits(path, image)
        load_pixels(image)
        orientation = _orientation(image)
        if image.mode in ("LA", "PA", "RGBA") or "transparency" in image.info:
            image = image.convert("RGBA")
            lowest, _ = image.getchannel("A").getextrema()
            if lowest < 255:
                raise DataError(
                    f"{path}: expected opaque pixels, got transparent ones; put the picture on a background"
                )
        image = _upright(image.convert("L" if channels == 1 else "RGB"), orientation)
        pixels = np.asarray(image if size is None else resized(image, size))
    return pixels[None] if channels == 1 else pixels.transpose(2, 0, 1)


def resized(image: Any, size: int) -> Any:
    """Return the centre square of a Pillow image, resampled (Lanczos) to size x size, or unchanged if it has this size."""
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    square = image.crop((left, top, left + side, top + side))
    return square if side == size else square.resize((size, size), load_pillow("resizing").Resampling.LANCZOS)


@contextmanager
def opened(path: Path, data: bytes | None = None) -> Iterator[Any]:
    """Open a picture file with Pillow; all errors that Pillow raises for damaged files become one `FileError`.

    Args:
        path: Path of the file, also for messages.
        data: Bytes of the file, if they were already read.

    Raises:
        FileError: The file is not a picture, is damaged, or is too large.
    """
    library = load_pillow("reading pictures")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", library.DecompressionBombWarning)
            # Open the file here and not by its path: for a path Pillow maps some files into memory, and then does not turn
            # TIFF files with an orientation mark.
            with (
                open(path, "rb") if data is None else io.BytesIO(data) as file,
                library.open(file, formats=FORMATS) as image,
            ):
                yield image
    except FlowError:
        raise
    except (library.DecompressionBombWarning, library.DecompressionBombError):
        most = library.MAX_IMAGE_PIXELS / 1e6
        raise FileError(f"{path}: expected at most {most:.0f} million pixels, got more; make it smaller") from None
    except library.UnidentifiedImageError:
        raise FileError(f"{path}: expected a picture, got another kind of file; remove or replace it") from None
    except Exception as error:  # decoders raise various errors for damaged files: SyntaxError, IndexError, ...
        if isinstance(error, OSError) and error.errno is not None:
            raise FileError(f"{path} cannot be read: {reason(error)}") from None
        raise FileError(f"{path}: expected a whole picture, got one that is damaged or truncated; replace it") from None


def load_pixels(image: Any) -> None:
    """Decode the pixels of an open picture, without the messages of libtiff to standard error about damaged files."""
    with quiet_standard_error() if image.format == "TIFF" else nullcontext():
        image.load()


def _require_eight_bits(path: Path, image: Any) -> None:
    # Pillow opens 16-bit colour as RGB and drops the low bits; only the decoder's name of the stored pixels shows it
    # (BGR;16 means five or six bits per channel, in old BMP files).
    stored = [tile.args if isinstance(tile.args, str) else (tile.args or ("",))[0] for tile in image.tile]
    if image.mode.startswith("I") or any(";16" in str(name) and name != "BGR;16" for name in stored):
        raise DataError(f"{path}: expected 8 bits for each channel, got 16 or more; convert it to 8 bits")
    if image.mode not in ("1", "L", "LA", "P", "PA", "RGB", "RGBA"):
        raise DataError(f"{path}: expected a grey or RGB picture, got the channels {image.mode}; convert it to RGB")


def _orientation(image: Any) -> int:
    """Return the orientation mark of a camera, 1 to 8; 1 is upright, 5 to 8 exchange width and height. Damaged marks give 1."""
    if image.format not in WITH_EXIF:
        return 1
    try:
        if image.format == "PNG" and image.fp and exif_follows_pixels(image.fp):
            image.load()
        # The base class's method: that of PNG would decode the pixels if there is no mark before them.
        found = load_pillow("reading pictures").Image.getexif(image).get(ORIENTATION, 1)
    except Exception:  # a damaged mark
        return 1
    return found if type(found) is int and 1 <= found <= 8 else 1


def _upright(image: Any, orientation: int) -> Any:
    turn = load_pillow("turning pictures").Transpose
    turns = {
        2: turn.FLIP_LEFT_RIGHT,
        3: turn.ROTATE_180,
        4: turn.FLIP_TOP_BOTTOM,
        5: turn.TRANSPOSE,
        6: turn.ROTATE_270,
        7: turn.TRANSVERSE,
        8: turn.ROTATE_90,
    }
    return image if orientation == 1 else image.transpose(turns[orientation])


def require_levels(levels: int) -> None:
    """Check that a number of levels fits into bytes.

    Raises:
        DataError: The number is not between 2 and 256.
    """
    if not 2 <= levels <= 256:
        raise DataError(f"expected 2 to 256 levels, got {levels}")


def require_values(images: np.ndarray, levels: int) -> None:
    """Check that values are between 0 and levels - 1.

    Args:
        images: Pictures (N, ...) of integers.
        levels: Number of values that a pixel can take.

    Raises:
        DataError: They are not; the message has the first such picture.
    """
    require_levels(levels)
    if not images.size or (images.min() >= 0 and images.max() < levels):
        return
    flat = images.reshape(len(images), -1)
    worst = np.where(flat.min(1) < 0, flat.min(1), flat.max(1))
    first = int(np.flatnonzero((worst < 0) | (worst >= levels))[0])
    raise DataError(
        f"expected values 0 to {levels - 1} for {levels} levels, got {worst[first]} in picture {first + 1}; "
        f"{'correct it' if worst[first] < 0 or worst[first] > 255 else 'give the right number of levels'}"
    )


def to_grid(
    images: np.ndarray, levels: int = 256, *, columns: int | None = None, padding: int = 1, scale: int | None = None
) -> np.ndarray:
    """Return pictures side by side, in rows, as one; value v of K levels is shown as round(255 v / (K - 1)).

    Args:
        images: Pictures (N, C, H, W) of integers from 0 to levels - 1, C is 1 or 3.
        levels: Number of levels K.
        columns: Number of pictures in a row; by default as many as rows, or one more.
        padding: Number of grey pixels between and around the pictures.
        scale: Integer factor of enlargement, each pixel a square; by default the largest that keeps sides within 64 pixels.

    Returns:
        Picture (H', W', C) in uint8, with H' = rows (scale H + padding) + padding.

    Raises:
        DataError: There are no pictures, or their shape or values are invalid.
    """
    pictures = _require_pictures(images, levels)
    n, channels, height, width = pictures.shape
    columns = math.ceil(math.sqrt(n)) if columns is None else min(columns, n)
    scale = max(1, ENLARGED // max(height, width)) if scale is None else scale
    if columns < 1 or padding < 0 or scale < 1:
        raise DataError(
            f"expected columns and scale >= 1 and padding >= 0, got columns {columns}, scale {scale}, padding {padding}"
        )
    rows = -(-n // columns)
    shades = np.rint(np.arange(levels) * (255 / (levels - 1))).astype(np.uint8)
    shown = shades[pictures].repeat(scale, axis=2).repeat(scale, axis=3).transpose(0, 2, 3, 1)
    high, wide = scale * height + padding, scale * width + padding
    grid = np.full((rows * high + padding, columns * wide + padding, channels), BACKGROUND, dtype=np.uint8)
    for i, picture in enumerate(shown):
        top, left = padding + i // columns * high, padding + i % columns * wide
        grid[top : top + scale * height, left : left + scale * width] = picture
    return grid


def write_picture(path: str | os.PathLike[str], array: np.ndarray) -> None:
    """Write one picture as PNG; the file appears complete or not at all.

    Args:
        path: Path with suffix .png.
        array: Picture (H, W), (H, W, 1) or (H, W, 3) in uint8.

    Raises:
        FileError: The suffix is another one, or the path cannot be written.
        DataError: The array has another shape or dtype.
    """
    _require_suffix(path, (".png",))
    array = np.asarray(array)
    pixels = array[..., 0] if array.ndim == 3 and array.shape[-1] == 1 else array
    fits = pixels.ndim == 2 or (pixels.ndim == 3 and pixels.shape[-1] == 3)
    if array.dtype != np.uint8 or not fits or not array.size:
        raise DataError(
            f"{os.fspath(path)}: expected a picture (H, W), (H, W, 1) or (H, W, 3) of uint8, "
            f"got {array.dtype} of shape {array.shape}"
        )
    image = load_pillow("writing pictures").fromarray(np.ascontiguousarray(pixels))
    with atomic_output(path) as temporary:
        image.save(temporary, format="PNG")


def write_images(
    path: str | os.PathLike[str],
    images: np.ndarray,
    levels: int = 256,
    *,
    columns: int | None = None,
    padding: int = 1,
    scale: int | None = None,
    attributes: Mapping[str, np.ndarray] | None = None,
) -> None:
    """Write pictures: .png gives a grid of them, .npy their array, .npz their array `x` and their attributes.

    Args:
        path: Path whose suffix determines the format.
        images: Pictures (N, C, H, W) of integers from 0 to levels - 1, C is 1 or 3; stored as uint8.
        levels: Number of values that a pixel can take.
        columns: Number of columns of the grid; see `to_grid`, also for `padding` and `scale`.
        padding: Number of grey pixels between the pictures of the grid.
        scale: Integer factor of enlargement of the grid's pictures.
        attributes: Integers (N,) by name, for .npz; "label" is stored as `y`.

    Raises:
        FileError: The suffix is unknown, or the path cannot be written.
        DataError: There are no pictures, or their shape or values are invalid.
    """
    suffix = _require_suffix(path, (".png", *ARRAYS))
    if suffix == ".png":
        write_picture(path, to_grid(images, levels, columns=columns, padding=padding, scale=scale))
        return
    pictures = _require_pictures(images, levels).astype(np.uint8)
    with atomic_output(path) as temporary:
        if suffix == ".npy":
            with open(temporary, "wb") as file:
                np.save(file, pictures, allow_pickle=False)
        else:
            named = {"y" if name == "label" else name: values for name, values in (attributes or {}).items()}
            write_numpy({"x": pictures, **named}, temporary, suffix)


def _require_pictures(images: np.ndarray, levels: int) -> np.ndarray:
    array = np.asarray(images)
    if array.ndim != 4 or array.shape[1] not in (1, 3) or not array.size or array.dtype.kind not in "iu":
        raise DataError(
            "expected one or more pictures (N, C, H, W) of integers with one or three channels, "
            f"got {array.dtype} of shape {array.shape}"
        )
    require_values(array, levels)
    return array


def _require_suffix(path: str | os.PathLike[str], known: tuple[str, ...]) -> str:
    suffix = Path(path).suffix.lower()
    if suffix not in known:
        raise FileError(f"{os.fspath(path)}: expected a file name that ends in {' or '.join(known)}; rename it")
    return suffix
