"""Task of pictures: reading, splitting, choice of the system and of the settings, and scoring of held-out pictures."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from ..core import Distribution
from ..errors import DataError, FileError, FlowError, SpecError, suggestion
from ..evaluation import bits_per_dimension, draw
from ..evaluation.held_out import Holdout, Parts
from ..evaluation.picture_bits import independent_bits
from ..objectives import Flipped, NegativeLogLikelihood
from ..output import require_writable
from ..pictures import DATASETS, ImageSet, PictureCondition, condition_from, read_images, scaled
from ..pictures.crops import list_pictures, random_crops
from ..pictures.picture_files import SUFFIXES as PICTURES
from ..systems.picture_spec import PictureSpec
from ..systems.spec import Spec, spec_from_dict
from ..tables.formats import SUFFIXES as TABLES
from ..tables.numpy_files import array_dimensions
from ..training import TrainConfig
from ..training.checkpoint import load_checkpoint
from ..training.config import batches_in
from ..training.parallel.processes import process_rank, world_size
from ..training.random_state import isolated
from .console import Terminal, bits_text
from .options import TrainOptions, UsageError
from .picture_output import grid_columns, require_pillow, write_samples
from .task import FitOptions, Task, TrainingRows, system_name
from .trained_pictures import TrainedPictures, advised, describe

IMAGE_FLOW, CONDITIONAL_FLOW = "glow", "conditional-image"
"""Default systems for pictures, without and with pictures that are given."""
EVENLY = 4
"""Number by which the default system for pictures divides their height and width."""
SMALL_PICTURE = 4096
"""Largest number of values of a picture for which a model of pixels is the default."""
FEW_LEVELS = 32
"""Largest number of levels for which each level has a probability of its own in such a model."""
BATCH = 64
"""Default number of pictures in a batch."""
LONG, LONG_EMA = 10_000, 0.999
"""Number of steps from which the moving average of the weights is longer by default, and its decay then."""
WATCHED = 1000
"""Largest number of validation pictures that are scored after each epoch."""
SHOWN = 64
"""Number of samples in a grid."""
HELD = 5000
"""Largest number of crops for validation, and for the test."""
MOST_CLASSES = 1000
"""Largest number of classes; the class of each picture is a one-hot vector of this length."""


class PictureTask(Task):
    """Task of fitting a model to pictures."""

    noun = "pictures"
    train: ImageSet
    valid: ImageSet | None
    test: ImageSet | None

    def __init__(self, source: str, options: FitOptions, terminal: Terminal) -> None:
        super().__init__(source, options, terminal)
        images = options.images
        self.rule: PictureCondition | None = None
        if images.condition is not None:
            self.rule = condition_from(images.condition, size=images.image_size)
        default = IMAGE_FLOW if self.rule is None else CONDITIONAL_FLOW
        self.system = picture_system(options.system.flow or default)
        self.arguments = options.system.arguments(self.system, preset="small")
        if options.system.labels is not None:
            raise UsageError("--labels is for the columns of tables; leave it out for pictures")
        if options.columns.kind or options.columns.bounds or options.columns.drop:
            raise UsageError("--kind, --bounds and --drop are for the columns of tables; leave them out for pictures")
        self.shares, self.tiles = options.columns.shares(), options.images.tiles
        if self.tiles is not None and (options.images.image_size is not None or options.images.label is not False):
            raise UsageError("--tiles learns crops of pictures as they are; leave --image-size and --label out")
        if self.rule is not None and (self.tiles is not None or images.label is not False):
            raise UsageError("--condition is for whole pictures without classes; leave --tiles and --label out")
        self.label: str | None = None
        self.classes = 0
        if options.images.grids is not None:
            self._require_folder(options.images.grids)

    @classmethod
    def reads(cls, source: str) -> bool:
        """Return whether a source holds pictures, or is no file and has no suffix of a table, as a misspelt data set."""
        unknown = source != "-" and Path(source).suffix.lower() not in TABLES and not os.path.exists(source)
        return unknown or cls.holds(source)

    @classmethod
    def holds(cls, source: str) -> bool:
        """Return whether a source is a named data set, a folder, a picture, or an array with at least three dimensions."""
        known = source in DATASETS or os.path.isdir(source) or Path(source).suffix.lower() in PICTURES
        return known or array_dimensions(source) >= 3

    @classmethod
    def owns(cls, model: Mapping[str, Any]) -> bool:
        """Return whether the description in a model file is that of a model of pictures."""
        system = Spec.registry.get(str((model["spec"] or {}).get("system")))
        return system is not None and issubclass(system, PictureSpec)

    @classmethod
    def trained(cls) -> type[TrainedPictures]:
        """Return the class that handles models of pictures from files."""
        return TrainedPictures

    def read(self) -> None:
        """Read the pictures; pictures to crop are only listed, and are read one by one in `split`."""
        images = self.options.images
        with advised(self.source):
            if self.tiles is not None:
                self.whole = list_pictures(self.source, images.levels)
                return
            self.found = read_images(self.source, size=images.image_size, levels=images.levels)
            if self.rule is not None:
                self.found = self.rule.split_all(self.found)
        train = self.found.train
        if len(train) < 2:
            raise DataError(f"{self.source}: expected at least 2 pictures to learn from, got {len(train)}")
        if images.label is False:
            return
        self.label = _label_name(train, images.label)
        parts = (train, self.found.valid, self.found.test)
        self.classes = max(p.labels(self.label)[1] for p in parts if p is not None)
        if self.classes > MOST_CLASSES:
            raise DataError(
                f"{self.source}: expected at most {MOST_CLASSES:,} classes 0, 1, ... in the attribute {self.label!r}, "
                f"got numbers up to {self.classes - 1:,}; number them anew"
            )

    def split(self) -> None:
        """Split pictures that have no parts: draw the test pictures first, then the validation pictures."""
        if self.tiles is not None:
            self._split_tiles(self.tiles)
            return
        self.train, self.valid, self.test = self._parted(self.found, self.shares)

    def _split_tiles(self, size: int) -> None:
        """Split the pictures, then draw random crops from those of each part."""
        self.holdout = Holdout(len(self.whole), *self.shares, self.seed)
        none = np.arange(0)
        parts = self.holdout.parts("pictures") if any(self.shares) else Parts(np.arange(len(self.whole)), none, none)
        with advised(self.source):
            self.train = random_crops(self.whole, parts.train, size, seed=self.seed)
            self.valid, self.test = (
                random_crops(self.whole, rows, size, most=HELD, seed=self.seed) if len(rows) else None
                for rows in (parts.validation, parts.test)
            )

    def spec(self) -> dict[str, Any]:
        """Return the name of the system and its arguments, with those that follow from the pictures."""
        if self._suits_pixels():
            self.system, self.arguments = "pixelcnn", self.options.system.arguments("pixelcnn", preset="small")
            if self.train.levels > FEW_LEVELS:
                self.arguments = {"factor": "logistic", **self.arguments}
        for field in Spec.registry[self.system].sizes:
            if field in self.arguments:
                raise SpecError(f"expected no argument {field!r}: it follows from the pictures")
        sizes: dict[str, Any] = {"shape": self.train.shape, "levels": self.train.levels, "classes": self.classes}
        if self.train.given is not None:
            sizes["condition"] = self.train.given.shape
        spec = {"system": self.system, **self.arguments, **sizes}
        spec_from_dict(spec)
        resume, pixels = self.options.output.resume, math.prod(self.train.shape)
        self.config = picture_config(self.config, self.options.training, resume, len(self.train), pixels)
        return spec

    def _suits_pixels(self) -> bool:
        """Return whether a model of small pictures pixel by pixel replaces the default system.

        It learns more in the first minute than the default, and it takes pictures of any height and width.
        """
        system, (channels, height, width) = self.options.system, self.train.shape
        given = system.flow or system.layers is not None or system.hidden is not None or system.set or system.preset
        odd = height % EVENLY != 0 or width % EVENLY != 0
        return not given and (system.quick or odd) and channels * height * width <= SMALL_PICTURE

    def model(self, spec: Mapping[str, Any]) -> Distribution:
        """Return a model of the pictures with new random weights."""
        with advised(self.source):
            return spec_from_dict(spec).build()

    def rows(self, model: Distribution) -> TrainingRows:
        """Return the training pictures, and at most `WATCHED` validation pictures."""
        valid = self.valid
        if valid is not None and len(valid) > WATCHED:
            valid = valid.take(np.sort(np.random.default_rng(self.seed).permutation(len(valid))[:WATCHED]))
        images = self.options.images
        grids = images.grids is not None and process_rank() == 0
        return TrainingRows(
            rows=_tensor(self.train),
            context=self._context(self.train),
            validation=None if valid is None else (_tensor(valid), self._context(valid)),
            objective=Flipped(NegativeLogLikelihood(model)) if images.flips else None,
            callbacks=[self._grids(model, images.grids or "")] if grids else [],
        )

    def _context(self, part: ImageSet) -> Tensor | None:
        if part.given is not None:
            return torch.as_tensor(scaled(part.given))
        if self.label is None:
            return None
        return torch.nn.functional.one_hot(torch.as_tensor(part.labels(self.label)[0]), self.classes).float()

    def _require_folder(self, grids: str) -> None:
        """Refuse a folder for grids that cannot be created or used; it is created after the first epoch."""
        if world_size() > 1 and self.options.training.parallel == "fsdp":
            raise UsageError(
                "--grids needs all weights in one process, which --parallel fsdp does not have; leave one out"
            )
        output = self.options.output
        if os.path.realpath(grids) in [os.path.realpath(f) for f in (output.model, output.metrics, output.state) if f]:
            raise UsageError(f"--grids {grids} is a file that this command writes; give another folder")
        if os.path.exists(grids) and not os.path.isdir(grids):
            raise FileError(f"{grids} cannot be used for --grids: it is a file; give a folder")
        require_pillow("grid.png", "--grids")
        require_writable(os.path.join(grids, "grid.png") if os.path.isdir(grids) else grids, "--grids")

    def _grids(self, model: Distribution, folder: str) -> Callable[[dict[str, Any]], None]:
        """Return a callback that writes a grid of samples after each epoch, always from the same random numbers."""
        classes = torch.arange(SHOWN) % max(self.classes, 1)
        context = None if self.label is None else torch.eye(self.classes)[classes].to(model.device)
        shown = None
        if self.rule is not None:
            part = self.train if self.valid is None else self.valid
            shown = part.take(np.arange(SHOWN) % len(part)).given
            context = torch.as_tensor(scaled(shown)).to(model.device)  # type: ignore[arg-type]
        columns = grid_columns(self.classes)

        def write_grid(record: dict[str, Any]) -> None:
            try:
                os.makedirs(folder, exist_ok=True)
                with isolated(model.device, self.seed):
                    x = draw(model, SHOWN, context)
                path = os.path.join(folder, f"epoch-{record['epoch']:04d}.png")
                write_samples(path, x, self.train.levels, columns=columns, rule=self.rule, given=shown)
            except (FlowError, OSError) as error:
                # The grids are only for a look at the samples, so an error must not stop the training.
                self.terminal.warn(f"no grid of epoch {record['epoch']}: {error}")

        return write_grid

    def score(self, model: Distribution) -> dict[str, Any] | None:
        """Return the bits per dimension of the held-out pictures, and those of simple models."""
        held = self.test if self.test is not None else self.valid
        if held is None:
            return None
        bits = bits_per_dimension(model, _tensor(held), self._context(held), seed=self.seed)
        baselines = [
            {"name": "independent pixels", "value": independent_bits(self.train, held)},
            {"name": "uniform", "value": float(np.log2(self.train.levels))},
        ]
        return {
            "rows": "test" if self.test is not None else "validation",
            **asdict(bits),
            "baselines": baselines if self.options.output.baselines else [],
        }

    def score_text(self, model: Distribution, scores: Mapping[str, Any]) -> str:
        """Return the bits per dimension as text."""
        return bits_text(system_name(model), scores)

    def describe(self) -> list[str]:
        """Return a line with the size of the pictures and their number in each part."""
        counts = f"{len(self.train):,} to train"
        counts += f", {len(self.valid):,} to validate" if self.valid is not None else ""
        counts += f", {len(self.test):,} to test" if self.test is not None else ""
        given = f", by {self.label} ({self.classes} classes)" if self.label is not None else ""
        if self.rule is not None and self.train.given is not None:
            given = f", given {self.rule.text} ({describe(self.train.given.shape)})"
        return [f"{self.source}: {describe(self.train.shape)}, {self.train.levels} levels ({counts}){given}"]

    def record(self) -> dict[str, Any]:
        """Return the facts that other commands need to read pictures for this model, and the size of each part."""
        parts = {"train": self.train, "valid": self.valid, "test": self.test}
        return {
            "name": os.path.basename(os.path.normpath(self.source)),
            "pictures": {name: len(part) for name, part in parts.items() if part is not None},
            "image_size": self.options.images.image_size,
            "tiles": self.tiles,
            "label": self.label,
            "condition": None if self.rule is None else self.rule.text,
            "classes": list(self.train.classes) if self.label == "label" else [],
        }


def picture_config(
    config: TrainConfig, options: TrainOptions, resume: str | None, rows: int, pixels: int
) -> TrainConfig:
    """Return the settings of training with the defaults for pictures.

    Args:
        config: Settings with the defaults for tables.
        options: Options of the command line.
        resume: Checkpoint from which the run continues; None for a new run.
        rows: Number of training pictures.
        pixels: Number of numbers in a picture, C H W.
    """
    if options.clip == TrainOptions().clip:
        # The loss is a sum over all pixels, so gradients grow with their number. The limit for tables would clip every step.
        config = config.replace(clip=config.clip * pixels)
    if config.batch_size is None:
        config = config.replace(batch_size=min(BATCH, rows))
    if options.ema != TrainOptions().ema:
        return config
    if resume is not None:
        # A resumed run can have another length, but the moving average must keep its decay.
        return config.replace(ema=load_checkpoint(resume)["config"]["ema"])
    resolved = config.resolve(rows)
    steps = (resolved.epochs or 1) * batches_in(rows, resolved.batch_size or 1)
    return config.replace(ema=LONG_EMA) if min(steps, resolved.max_steps or steps) >= LONG else config


def picture_system(name: str) -> str:
    """Return the name of the system for pictures; for a system of tables, NAME-image if it exists.

    Raises:
        UsageError: The system models tables only.
        SpecError: There is no such system.
    """
    known = [n for n, cls in Spec.registry.items() if issubclass(cls, PictureSpec)]
    for candidate in (name, f"{name}-image"):
        if candidate in known:
            return candidate
    if name in Spec.registry:
        raise UsageError(f"{name} models tables, not pictures; for pictures there are {', '.join(sorted(known))}")
    raise SpecError(f"unknown system {name!r}; {suggestion(name, sorted(known), 'for pictures there are')}")


def _tensor(part: ImageSet) -> Tensor:
    return torch.as_tensor(part.images, dtype=torch.float32)


def _label_name(pictures: ImageSet, given: str | Literal[True]) -> str:
    """Return the given attribute; for --label without a name, the attribute called label, or the first one."""
    if given is not True:
        return given
    pictures.labels()
    return "label" if "label" in pictures.attributes else next(iter(pictures.attributes))
