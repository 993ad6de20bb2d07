"""Models of pictures from files, the pictures they are asked about, and the files that pictures are written to."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..core import Flow
from ..errors import DataError, FlowError, listed, suggestion
from ..pictures import ImageSet, ImageSplit, read_images, write_images
from ..pictures.crops import PictureList, list_pictures, random_crops
from ..pictures.picture_files import load_pillow
from ..serialize import load
from ..systems.picture_spec import PictureSpec
from .files import require_writable
from .problems import UsageError
from .records import usable

WRITTEN = (".png", ".npy", ".npz")
"""Suffixes of the files that pictures are written to."""
CHUNK = 256
"""Pictures that are encoded or decoded together."""
WIDEST = 16
"""Classes up to which a grid has a column for each."""
FLAGS = {
    "; give a size": "; give --image-size",
    "resize or pad the images": "give --image-size, or pad the pictures",
    "give the right number of levels": "give --levels",
}
"""What the library advises, as options of `fit`."""
WITHOUT_FLAGS = {
    "; give a size to crop and resize them to": "; make them of the size of the model's",
    "give the right number of levels": "give pictures of the levels of the model's",
}
"""The same where the model has decided."""


@contextmanager
def advised(source: str, flags: Mapping[str, str] = FLAGS) -> Iterator[None]:
    """Errors within as a user of the command line can act on them: with the source, and with flags for arguments."""
    try:
        yield
    except FlowError as error:
        text = str(error)
        for advice, flag in flags.items():
            text = text.replace(advice, flag)
        raise type(error)(text if source in text else f"{source}: {text}") from None


def read_pictures(source: str, *, size: int | None, levels: int | None) -> ImageSplit:
    """`read_images`, with the advice of its errors as flags.

    Raises:
        FlowError: as `read_images`.
    """
    with advised(source):
        return read_images(source, size=size, levels=levels)


def read_list(source: str, levels: int | None) -> PictureList:
    """`list_pictures`, with the advice of its errors as flags.

    Raises:
        FlowError: as `list_pictures`.
    """
    with advised(source):
        return list_pictures(source, levels)


def describe(shape: Sequence[int]) -> str:
    """Pictures of a shape (C, H, W) in words, such as "grey pictures of 8 x 8"."""
    channels, height, width = shape
    kind = {1: "grey", 3: "colour"}.get(channels, f"{channels}-channel")
    return f"{kind} pictures of {height} x {width}"


@dataclass(frozen=True)
class LoadedPictures:
    """A model of pictures, from a file.

    Args:
        path: of the file.
        model: on its device, in evaluation mode.
        spec: of the system.
        training: the record that `fit` saved.
    """

    path: str
    model: Flow
    spec: PictureSpec
    training: dict[str, Any]

    @property
    def _data(self) -> Mapping[str, Any]:
        return self.training.get("data", {})

    @property
    def label(self) -> str:
        """The attribute that the model is conditional on."""
        return self._data.get("label") or "label"

    @property
    def columns(self) -> int | None:
        """Of a grid of samples of all classes in turn."""
        return grid_columns(self.spec.classes)

    def read(self, source: str) -> ImageSplit:
        """Pictures for this model, cropped and resized if those of the fit were; random crops if it learned tiles.

        Raises:
            DataError: they differ from the model's in size, channels or levels.
        """
        tiles = self._data.get("tiles")
        with advised(source, WITHOUT_FLAGS):
            if tiles is not None:
                found = list_pictures(source, self.spec.levels)
                split = ImageSplit(random_crops(found, range(len(found)), self.spec.shape[1]))
            else:
                size = self.spec.shape[1] if self._data.get("image_size") else None
                split = read_images(source, size=size, levels=self.spec.levels)
        if split.train.shape != self.spec.shape:
            raise DataError(
                f"{source}: expected {describe(self.spec.shape)} as {self.path} models, got {describe(split.train.shape)}"
            )
        return split

    def read_held(self, source: str) -> ImageSet:
        """The test part of a source, all of it where there is none.

        Raises:
            DataError: as `read`.
        """
        split = self.read(source)
        return split.train if split.test is None else split.test

    def rows(self, part: ImageSet) -> Tensor:
        """Pictures as the model takes them."""
        return torch.as_tensor(part.images, dtype=self.model.dtype, device=self.model.device)

    def context_of(self, part: ImageSet) -> Tensor | None:
        """The labels of pictures as the model takes them; None where it takes none.

        Raises:
            DataError: they have none, or other ones.
        """
        if not self.spec.classes:
            return None
        labels, _ = part.labels(self.label)
        names = list(self._data.get("classes", ()))
        if names and part.classes and self.label == "label":
            # Folders number their classes by name, and these may not have all of the fit's.
            if unknown := [name for name in part.classes if name not in names]:
                raise DataError(
                    f"expected pictures of the classes {listed(names)} as {self.path} models, got {listed(unknown)}"
                )
            labels = np.array([names.index(name) for name in part.classes])[labels]
        if len(labels) and labels.max() >= self.spec.classes:
            raise DataError(
                f"expected {self.label} 0 to {self.spec.classes - 1} as {self.path} models, got {labels.max()}"
            )
        return self.one_hot(torch.as_tensor(labels))

    def classes_for(self, label: str | None, count: int) -> Tensor | None:
        """Numbers of one class for so many pictures, by number or name; all classes in turn where none is asked for.

        Raises:
            UsageError: the model takes no label, or there is no such class.
        """
        if not self.spec.classes:
            if label is not None:
                raise UsageError(f"{self.path} takes no label; fit with --label to make a model by class")
            return None
        if label is None:
            return torch.arange(count) % self.spec.classes
        names = list(self._data.get("classes", ()))
        numbers = [str(i) for i in range(self.spec.classes)]
        if label not in names and label not in numbers:
            raise UsageError(
                f"expected --label to be a class of {self.path}, got {label!r}; "
                f"{suggestion(label, names or numbers, 'it has')}"
            )
        number = names.index(label) if label in names else int(label)
        return torch.full((count,), number)

    def one_hot(self, labels: Tensor | None) -> Tensor | None:
        """Class numbers as the context that the model takes."""
        if labels is None:
            return None
        return torch.nn.functional.one_hot(labels, self.spec.classes).to(self.model.device, self.model.dtype)

    def write(
        self,
        out: str,
        x: Tensor,
        columns: int | None = None,
        attributes: Mapping[str, np.ndarray[Any, np.dtype[Any]]] | None = None,
    ) -> None:
        """Pictures as a grid or arrays."""
        write_samples(out, x, self.spec.levels, columns=columns, attributes=attributes)


def open_pictures(path: str, device: torch.device) -> LoadedPictures:
    """Read a model of pictures.

    Raises:
        FileError: the file cannot be read, or holds no model.
        DataError: the model is not one of pictures, or is given pictures itself.
    """
    saved = load(path)
    if not isinstance(saved.spec, PictureSpec) or not isinstance(saved.model, Flow):
        other = "one of a table" if saved.schema is not None else "another one"
        raise DataError(f"expected a model of pictures in {path}, got {other}")
    if saved.spec.condition:
        raise DataError(
            f"expected a model of pictures alone in {path}, got one that is given pictures as context; use it in Python "
            "with pushforward.load"
        )
    return LoadedPictures(path, saved.model.to(device).eval(), saved.spec, usable(saved.training))


def grid_columns(classes: int) -> int | None:
    """Columns of a grid of samples of all classes in turn: one for each, unless there are too many."""
    return classes if 1 < classes <= WIDEST else None


def write_samples(path: str | os.PathLike[str], x: Tensor, levels: int, **options: Any) -> None:
    """Pictures of a model, (N, C, H, W) levels, as a grid or arrays."""
    write_images(path, x.clamp(0, levels - 1).to(torch.uint8).cpu().numpy(), levels, **options)


def require_pillow(path: str, option: str) -> None:
    """Refuse a .png file where Pillow is missing.

    Raises:
        FileError: it is.
    """
    if Path(path).suffix.lower() == ".png":
        load_pillow(f"{option} for pictures")


def require_picture_output(out: str, inputs: Sequence[str]) -> None:
    """Refuse an output for pictures that cannot be written, before any work is done.

    Raises:
        UsageError: it is of another type, or one of the inputs.
        FileError: it cannot be written, or Pillow is missing.
    """
    if Path(out).suffix.lower() not in WRITTEN:
        raise UsageError(f"expected --out to be a file of type {', '.join(WRITTEN)} for pictures, got {out}")
    require_pillow(out, f"--out {out}")
    require_writable(out, "--out", inputs)
