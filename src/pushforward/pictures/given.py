"""Pictures that are given with pictures: the condition of a conditional model.

A condition is either a second set of pictures, or a part of the pictures themselves: their lightness, a smaller version, or one
half. A rule splits pictures into what the model learns and what it is given, and puts both together again for display.
"""

from __future__ import annotations

import abc
import re
from dataclasses import dataclass, replace

import numpy as np

from ..errors import DataError
from .lab import from_lab, to_lab
from .picture_sets import ImageSet, ImageSplit
from .reading import read_images

HALVES = ("top", "bottom", "left", "right")
NAMES = ("lightness", "smaller:2", *HALVES)
"""Conditions that are parts of the pictures themselves; the number in "smaller:2" is the factor."""


class PictureCondition(abc.ABC):
    """Rule that says what a model of pictures is given."""

    @property
    @abc.abstractmethod
    def text(self) -> str:
        """Text from which `condition_from` makes the rule again."""

    @abc.abstractmethod
    def separate(self, part: ImageSet) -> tuple[np.ndarray, ImageSet]:
        """Return what is learned of pictures, (N, C, H, W) in uint8, and the pictures that are given with them.

        Raises:
            DataError: The pictures have no such condition.
        """

    def split(self, part: ImageSet) -> ImageSet:
        """Return the pictures to learn, with the pictures that are given in their attribute `given`."""
        learned, given = self.separate(part)
        return replace(part, images=learned, given=given)

    def join(self, learned: np.ndarray, given: np.ndarray) -> np.ndarray:
        """Return pictures to look at, from learned and given ones, each (N, C, H, W) in uint8."""
        return learned

    def conditions(self, part: ImageSet, shape: tuple[int, ...]) -> ImageSet:
        """Return the conditions of new pictures: the pictures themselves if they have the shape (C, H, W) of a condition.

        Otherwise they are whole pictures, whose conditions are computed.
        """
        return part if part.shape == shape else self.given_of(part)

    def given_of(self, part: ImageSet) -> ImageSet:
        """Return the pictures that are given with pictures."""
        return self.separate(part)[1]

    def split_all(self, found: ImageSplit) -> ImageSplit:
        """Return `split` of all parts of a split."""
        valid, test = (None if part is None else self.split(part) for part in (found.valid, found.test))
        return ImageSplit(self.split(found.train), valid, test)


@dataclass(frozen=True)
class Lightness(PictureCondition):
    """The lightness L of colour pictures is given, and their colours a and b in Lab are learned."""

    @property
    def text(self) -> str:
        """The text lightness."""
        return "lightness"

    def separate(self, part: ImageSet) -> tuple[np.ndarray, ImageSet]:
        """Return the colours a + 128 and b + 128, with L scaled to 0 ... 255."""
        if part.shape[0] != 3 or part.levels != 256:
            kind = "grey" if part.shape[0] == 1 else f"{part.levels} levels"
            raise DataError(f"expected colour pictures of 256 levels, whose lightness can be given, got {kind}")
        lightness, colours = to_lab(part.images)
        return colours, ImageSet(lightness)

    def given_of(self, part: ImageSet) -> ImageSet:
        """Return the lightness of colour pictures; grey pictures are their own lightness, as the screen shows it."""
        images = np.repeat(part.images, 3, axis=1) if part.shape[0] == 1 else part.images
        return ImageSet(to_lab(images)[0], files=part.files)

    def conditions(self, part: ImageSet, shape: tuple[int, ...]) -> ImageSet:
        """Return the lightness of grey or colour pictures."""
        return self.given_of(part)

    def join(self, learned: np.ndarray, given: np.ndarray) -> np.ndarray:
        """Return the colour pictures."""
        return from_lab(given, learned)


@dataclass(frozen=True)
class Smaller(PictureCondition):
    """A version of the pictures that is smaller by a whole factor is given: means over blocks, rounded to levels."""

    factor: int = 2

    @property
    def text(self) -> str:
        """The text smaller:FACTOR."""
        return f"smaller:{self.factor}"

    def separate(self, part: ImageSet) -> tuple[np.ndarray, ImageSet]:
        """Return the pictures, with their smaller versions."""
        _, height, width = part.shape
        if height % self.factor or width % self.factor:
            raise DataError(
                f"expected pictures whose height and width {self.factor} divides, for the condition {self.text}, got "
                f"{height} x {width}"
            )
        n, c = part.images.shape[:2]
        blocks = part.images.reshape(n, c, height // self.factor, self.factor, width // self.factor, self.factor)
        small = np.round(blocks.mean((3, 5))).astype(np.uint8)
        return part.images, ImageSet(small, part.levels)


@dataclass(frozen=True)
class Half(PictureCondition):
    """One half of the pictures is given, and the other is learned."""

    side: str

    @property
    def text(self) -> str:
        """The side: top, bottom, left or right."""
        return self.side

    def _cut(self, part: ImageSet) -> tuple[np.ndarray, np.ndarray]:
        """Return the first and the second half: the top and the bottom, or the left and the right."""
        axis = 2 if self.text in ("top", "bottom") else 3
        size = part.images.shape[axis]
        if size % 2:
            raise DataError(f"expected pictures that can be halved for the condition {self.text}, got {size} pixels")
        first, second = np.split(part.images, 2, axis=axis)
        return first, second

    def separate(self, part: ImageSet) -> tuple[np.ndarray, ImageSet]:
        """Return the other half, with the one that is given."""
        first, second = self._cut(part)
        given, learned = (first, second) if self.text in ("top", "left") else (second, first)
        return learned, ImageSet(given, part.levels)

    def join(self, learned: np.ndarray, given: np.ndarray) -> np.ndarray:
        """Return the whole pictures."""
        parts = (given, learned) if self.text in ("top", "left") else (learned, given)
        return np.concatenate(parts, axis=2 if self.text in ("top", "bottom") else 3)


@dataclass(frozen=True)
class OtherPictures(PictureCondition):
    """Other pictures are given, in the same order: a folder, an array or a data set."""

    source: str
    size: int | None = None

    @property
    def text(self) -> str:
        """The source."""
        return self.source

    def split_all(self, found: ImageSplit) -> ImageSplit:
        """Return all parts with their conditions; both sources need the same parts of the same lengths."""
        others = read_images(self.source, size=self.size)
        parts = [self._pair(getattr(found, name), getattr(others, name), name) for name in ("train", "valid", "test")]
        return ImageSplit(*parts)  # type: ignore[arg-type]

    def separate(self, part: ImageSet) -> tuple[np.ndarray, ImageSet]:
        """Return the pictures, and those of the other source."""
        given = read_images(self.source, size=self.size).train
        self._pair(part, given, "train")
        return part.images, given

    def _pair(self, part: ImageSet | None, given: ImageSet | None, name: str) -> ImageSet | None:
        count, other = (0 if p is None else len(p) for p in (part, given))
        if count != other:
            raise DataError(
                f"expected a picture in {self.source} for each of the {count:,} pictures ({name}), got {other:,}; both are "
                "taken in the order of their names"
            )
        return None if part is None else replace(part, given=given)

    def conditions(self, part: ImageSet, shape: tuple[int, ...]) -> ImageSet:
        """Return the pictures themselves."""
        return part


def condition_from(text: str, *, size: int | None = None) -> PictureCondition:
    """Return the rule of a text: lightness, smaller:FACTOR, top, bottom, left or right, or the source of other pictures.

    Args:
        text: The text.
        size: Height and width to which other pictures are cropped and resized; by default they keep their size.

    Raises:
        DataError: The factor is below 2 or not a whole number.
    """
    if text == Lightness().text:
        return Lightness()
    if text in HALVES:
        return Half(text)
    if found := re.fullmatch(r"smaller(?::(.*))?", text):
        factor = found[1] or "2"
        if not factor.isdecimal() or not 2 <= int(factor) <= 64:
            raise DataError(f"expected a condition such as smaller:2, with a whole factor of 2 to 64, got {text!r}")
        return Smaller(int(factor))
    return OtherPictures(text, size)


def scaled(given: ImageSet) -> np.ndarray:
    """Return the values of pictures in [-1, 1], as models take them: (N, C, H, W) in float32."""
    return (given.images / ((given.levels - 1) / 2) - 1).astype(np.float32)
