"""Models of pictures from files: log-likelihoods of pictures, new pictures, and the report."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from ..core import Flow
from ..errors import DataError, FlowError, listed, suggestion
from ..evaluation import Bits, bits_from, can_average, draw, log_likelihoods, nearest
from ..pictures import ImageSet, ImageSplit, PictureCondition, condition_from, read_images, scaled
from ..pictures.crops import list_pictures, random_crops
from ..pictures.given import OtherPictures
from ..serialize import load
from ..systems.picture_spec import PictureSpec
from ..training.random_state import isolated
from ..training_record import usable
from .console import BITS_MEANING, Terminal, aligned, joined
from .options import ReadOptions, ReportOptions, SampleOptions, ScoreOptions, UsageError
from .picture_output import grid_columns, in_pairs, require_picture_output, write_samples
from .picture_report import picture_report
from .task import TrainedModel

Array = np.ndarray[Any, np.dtype[Any]]
CHUNK = 256
"""Number of pictures that are encoded or decoded in one call."""
DRAWN = 64
"""Number of samples that are drawn in one call; it is fixed, because the draws depend on it."""
SIDE = 8
"""Number of samples in a row above their nearest pictures, for a model without classes."""
GREY = 0.5
"""Brightness, as a part of its range, of the empty places in a row that is not full."""
FLAGS = {
    "; give a size": "; give --image-size",
    "resize or pad the images": "give --image-size, or pad the pictures",
    "give the right number of levels": "give --levels",
}
"""Advice in error messages of the library, and its replacement by options of `fit`."""
WITHOUT_FLAGS = {
    "; give a size to crop and resize them to": "; resize them to the size of the pictures of the model",
    "give the right number of levels": "give pictures with the number of levels of the model",
}
"""Replacement of the same advice if the model determines the size and the levels."""


@contextmanager
def advised(source: str, flags: Mapping[str, str] = FLAGS) -> Iterator[None]:
    """Add the source to errors that are raised inside the context, and replace arguments in them by flags."""
    try:
        yield
    except FlowError as error:
        text = str(error)
        for advice, flag in flags.items():
            text = text.replace(advice, flag)
        raise type(error)(text if source in text else f"{source}: {text}") from None


def describe(shape: Sequence[int]) -> str:
    """Return the shape (C, H, W) of pictures in words, such as "grey pictures of 8 x 8"."""
    channels, height, width = shape
    kind = {1: "grey", 3: "colour"}.get(channels, f"{channels}-channel")
    return f"{kind} pictures of {height} x {width}"


class TrainedPictures(TrainedModel):
    """Model of pictures from a file, and the pictures to score with it.

    Args:
        path: Path of the file.
        model: The model.
        training: Record that `fit` saved.
        spec: Spec of the system.
    """

    default_samples = 64

    def __init__(self, path: str, model: Flow, training: dict[str, Any], spec: PictureSpec) -> None:
        super().__init__(path, model, training)
        self.spec = spec
        self.source_of_conditions: str | None = None

    @classmethod
    def open(cls, path: str, device: torch.device) -> Self:
        """Return a model of pictures from a file."""
        saved = load(path)
        if not isinstance(saved.spec, PictureSpec) or not isinstance(saved.model, Flow):
            other = "one of a table" if saved.schema is not None else "another one"
            raise DataError(f"expected a model of pictures in {path}, got {other}")
        return cls(path, saved.model.to(device).eval(), usable(saved.training), saved.spec)

    @classmethod
    def open_alone(cls, path: str, device: torch.device) -> Self:
        """Return a model of pictures that is given no other pictures.

        Raises:
            DataError: It is given some, which the command does not know.
        """
        loaded = cls.open(path, device)
        if loaded.spec.condition:
            raise DataError(
                f"expected a model of pictures alone in {path}, got one that is given pictures; use it with sample, score, "
                "report or restyle"
            )
        return loaded

    @classmethod
    def check_score(cls, path: str, options: ScoreOptions) -> None:
        """Refuse options for tables."""
        if options.exactly:
            raise UsageError("--exactly is for continuous and residual flows of tables; leave it out for pictures")
        if options.drop:
            raise UsageError("--drop is for the columns of tables; leave it out for pictures")

    @classmethod
    def check_report(cls, path: str, options: ReportOptions) -> None:
        """Refuse options for tables."""
        if options.drop:
            raise UsageError("--drop is for the columns of tables; leave it out for pictures")
        if options.constants:
            raise UsageError("--constants is for flows of tables; leave it out for pictures")

    @classmethod
    def check_sample(cls, path: str, options: SampleOptions) -> None:
        """Refuse options for tables, and an output that cannot be written."""
        if options.where:
            raise UsageError(f"--where is for tables, and {path} is a model of pictures; leave it out")
        if options.escape_formulas:
            raise UsageError(f"--escape-formulas is for tables, and {path} is a model of pictures; leave it out")
        require_picture_output(options.out, [path] if options.nearest is None else [path, options.nearest])

    @property
    def data(self) -> Mapping[str, Any]:
        """Record of the pictures that the model was fitted to."""
        return self.training.get("data", {})

    @property
    def label(self) -> str:
        """Attribute of the pictures that is the condition of the model."""
        return self.data.get("label") or "label"

    @property
    def rule(self) -> PictureCondition | None:
        """Rule that says which pictures the model is given; None for a model that is given none.

        Raises:
            UsageError: They are other pictures than those that the model learns, and no source of them is known.
        """
        if not self.spec.condition:
            return None
        rule = condition_from(self.data.get("condition") or "")
        if not isinstance(rule, OtherPictures):
            return rule
        if self.source_of_conditions is None:
            raise UsageError(f"{self.path} is a model of pictures that are given pictures; give these with --condition")
        return OtherPictures(self.source_of_conditions, self.data.get("image_size"))

    def given_with(self, source: str | None) -> None:
        """Set the source of the pictures that the model is given."""
        if source is not None and not self.spec.condition:
            super().given_with(source)
        self.source_of_conditions = source

    @property
    def columns(self) -> int | None:
        """Number of columns in a grid of samples of all classes in turn."""
        return grid_columns(self.spec.classes)

    def read(self, source: str) -> ImageSplit:
        """Return pictures for this model; they are cropped and resized, or random crops of them are taken, as in the fit.

        Raises:
            DataError: The size, the channels or the levels differ from those of the model.
        """
        tiles = self.data.get("tiles")
        with advised(source, WITHOUT_FLAGS):
            if tiles is not None:
                found = list_pictures(source, self.spec.levels)
                split = ImageSplit(random_crops(found, range(len(found)), self.spec.shape[1]))
            else:
                split = read_images(source, size=self.data.get("image_size"), levels=self.spec.levels)
                if self.rule is not None:
                    split = self.rule.split_all(split)
        for part, shape in ((split.train, self.spec.shape), (split.train.given, self.spec.condition)):
            if part is not None and part.shape != shape:
                what = "which" if part is split.train else "given with them, which"
                raise DataError(
                    f"{source}: expected {describe(shape)}, {what} {self.path} models, got {describe(part.shape)}"
                )
        return split

    def conditions(self, source: str) -> ImageSet:
        """Return the pictures of a source that the model is given, or those that follow from its pictures.

        Raises:
            DataError: They have another size than those of the fit.
        """
        rule, shape = self.rule or OtherPictures(source), self.spec.condition
        with advised(source, WITHOUT_FLAGS):
            found = read_images(source, size=self.data.get("image_size"))
            given = rule.conditions(found.train if found.test is None else found.test, shape)
        if given.shape != shape:
            raise DataError(
                f"{source}: expected {describe(shape)}, which {self.path} is given, got {describe(given.shape)}"
            )
        return given

    def read_held(self, source: str) -> ImageSet:
        """Return the test part of a source, or all pictures if there is no test part."""
        split = self.read(source)
        return split.train if split.test is None else split.test

    def rows(self, part: ImageSet) -> Tensor:
        """Return pictures as a tensor with the dtype and the device of the model."""
        return torch.as_tensor(part.images, dtype=self.model.dtype, device=self.model.device)

    def context_of(self, part: ImageSet) -> Tensor | None:
        """Return the labels of pictures as one-hot vectors, or the pictures given with them; None for a model of neither.

        Raises:
            DataError: The pictures have no labels, or labels that the model does not know.
        """
        if part.given is not None:
            return self.context_from(part.given)
        if not self.spec.classes:
            return None
        labels, _ = part.labels(self.label)
        names = list(self.data.get("classes", ()))
        if names and part.classes and self.label == "label":
            # Classes of folders are numbered by name. If a class is missing here, the numbers differ from those of the fit.
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
        """Return the class numbers of new pictures: one class, given by its number or name, or all classes in turn.

        Raises:
            UsageError: The model has no classes, or there is no such class.
        """
        if not self.spec.classes:
            if label is not None:
                raise UsageError(f"{self.path} takes no label; fit a model by class with --label first")
            return None
        if label is None:
            return torch.arange(count) % self.spec.classes
        names = list(self.data.get("classes", ()))
        numbers = [str(i) for i in range(self.spec.classes)]
        if label not in names and label not in numbers:
            raise UsageError(
                f"expected --label to be a class of {self.path}, got {label!r}; "
                f"{suggestion(label, names or numbers, 'it has')}"
            )
        number = names.index(label) if label in names else int(label)
        return torch.full((count,), number)

    def one_hot(self, labels: Tensor | None) -> Tensor | None:
        """Return class numbers as one-hot vectors, the context of the model."""
        if labels is None:
            return None
        return torch.nn.functional.one_hot(labels, self.spec.classes).to(self.model.device, self.model.dtype)

    def context_from(self, given: ImageSet) -> Tensor:
        """Return pictures that the model is given as its context."""
        return torch.as_tensor(scaled(given), dtype=self.model.dtype, device=self.model.device)

    def write(
        self,
        out: str,
        x: Tensor,
        columns: int | None = None,
        attributes: Mapping[str, np.ndarray[Any, np.dtype[Any]]] | None = None,
        given: ImageSet | None = None,
    ) -> None:
        """Write pictures to a file, as a grid or as an array, completed by those given if these are a part of them."""
        rule = None if given is None else self.rule
        write_samples(out, x, self.spec.levels, columns=columns, attributes=attributes, rule=rule, given=given)

    def prepare(self, source: str, drop: Sequence[str], reading: ReadOptions) -> None:
        """Read the pictures and choose the test part, or all of them if there is no test part."""
        self.source, self.parts = source, self.read(source)
        self.what, self.part = ("all", self.parts.train) if self.parts.test is None else ("test", self.parts.test)

    def log_likelihoods(self, samples: int, seed: int) -> Array:
        """Return the log-likelihood of each picture, in nats."""
        context = self.context_of(self.part)
        return log_likelihoods(
            self.model, self.rows(self.part), context, samples=samples, seed=seed, batch_size=CHUNK
        ).numpy()

    def bits(self, log_prob: Array, samples: int = 1) -> Bits:
        """Return the bits per dimension of scores."""
        return bits_from(self.model, torch.as_tensor(log_prob), samples)

    def summary(self, log_prob: Array, samples: int) -> Iterator[str]:
        """Yield a line with the bits per dimension and their meaning."""
        bits = self.bits(log_prob, samples)
        text = f"{bits.symbol} {joined(bits.value, bits.error)} bits per dimension, {BITS_MEANING[bits.symbol]}"
        if can_average(self.model.exactness):
            text += f" (average of {samples} draws)" if samples > 1 else " (one draw; --samples averages several)"
        elif samples > 1:
            text += "; --samples makes no difference"
        text += f"; {bits.impossible:,} of probability zero are left out" if bits.impossible else ""
        yield f"{self.source}: {bits.events:,} {'test ' if self.what == 'test' else ''}pictures: {text}"

    def _entry(self, log_prob: Array, i: int) -> dict[str, Any]:
        """Return the number of a picture (from 1), its score and its file."""
        score = float(log_prob[i])
        entry = {"picture": int(i) + 1, "log_prob": score, "bits": self.model.space.bits(score)}
        return {**entry, "file": self.part.files[i]} if self.part.files else entry

    def least_likely(self, log_prob: Array, rows: Array, width: int) -> str:
        """Return pictures with their numbers (from 1), their scores and their files as text."""
        lines = [("picture", "log_prob", "bits/dim", "file" if self.part.files else "")]
        for entry in (self._entry(log_prob, i) for i in rows):
            numbers = str(entry["picture"]), f"{entry['log_prob']:.5g}", f"{entry['bits']:.3f}"
            lines.append((*numbers, entry.get("file", "")))
        return aligned(lines, right=(0, 1, 2))

    def score_record(self, log_prob: Array, rows: Array, samples: int) -> dict[str, Any]:
        """Return the bits per dimension, and some pictures with their scores."""
        return {
            "model": self.path,
            "source": self.source,
            "system": self.system,
            "pictures": self.what,
            **asdict(self.bits(log_prob, samples)),
            "least_likely": [self._entry(log_prob, i) for i in rows],
        }

    def draw(
        self,
        count: int,
        classes: Tensor | None,
        seed: int,
        temperature: float = 1.0,
        given: ImageSet | None = None,
    ) -> Tensor:
        """Return new pictures of given classes or with given pictures, as levels (N, C, H, W)."""
        context = self.one_hot(classes) if given is None else self.context_from(given)
        with isolated(self.model.device, seed):
            drawn = [
                draw(
                    self.model,
                    min(DRAWN, count - i),
                    None if context is None else context[i : i + DRAWN],
                    temperature=temperature,
                )
                for i in range(0, count, DRAWN)
            ]
        return torch.cat(drawn)

    def sample(self, count: int, options: SampleOptions, seed: int, terminal: Terminal) -> None:
        """Draw and write pictures; with --nearest, print the distances to the nearest pictures and show these in the grid."""
        given = self._given_for(options, count)
        count = count if given is None else len(given)
        classes = self.classes_for(options.label, count)
        like = options.nearest
        known = None if like is None else self.read(like).train
        x = self.draw(count, classes, seed, options.temperature, given)
        columns = self.columns if options.label is None else None
        attributes: dict[str, Array] = {} if classes is None else {"label": classes.numpy()}
        if known is not None:
            numbers, distances = nearest(x, self.rows(known))
            share = distances / (self.spec.levels - 1)
            terminal.tell(
                f"distance to the nearest pictures of {like}: {float(share.mean()):.3f} of the range of brightness on average, "
                f"{float(share.min()):.3f} at least"
            )
            attributes["nearest"] = numbers[:, 0].cpu().numpy()
            if options.out.lower().endswith(".png"):
                columns = min(columns or SIDE, count)
                x = in_pairs(x, self.rows(known)[numbers[:, 0]], columns, GREY * (self.spec.levels - 1))
        self.write(options.out, x, columns, attributes, given)
        terminal.tell(f"wrote {count:,} pictures to {options.out}")

    def _given_for(self, options: SampleOptions, count: int) -> ImageSet | None:
        """Return a picture to be given for each sample; by default each picture of --condition once."""
        if not self.spec.condition:
            return None
        if options.condition is None:
            raise UsageError(f"{self.path} draws pictures that are given pictures; give these with --condition")
        given = self.conditions(options.condition)
        return given if options.rows is None else given.take(np.arange(count) % len(given))

    def report(
        self, title: str | None, seed: int, terminal: Terminal, *, baselines: bool
    ) -> tuple[str, str, dict[str, Any]]:
        """Return a page about the held-out pictures, or about all pictures if the model was fitted to others."""
        return picture_report(self, title, seed, terminal, baselines=baselines)
