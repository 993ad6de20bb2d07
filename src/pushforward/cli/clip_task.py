"""Task of clips: reading, splitting, and scoring of held-out clips."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..core import Distribution
from ..errors import DataError, SpecError
from ..evaluation.clips import clip_bits, clip_log_likelihoods
from ..evaluation.picture_bits import independent_bits
from ..pictures import ClipSet, ImageSet, read_clips
from ..systems.clip_spec import ClipSpec
from ..systems.spec import Spec, spec_from_dict
from ..tables.numpy_files import array_dimensions
from .console import Terminal, bits_text
from .options import ImageOptions, UsageError
from .picture_task import picture_config
from .task import FitOptions, Task, TrainingRows, system_name
from .trained_clips import TrainedClips
from .trained_pictures import advised, describe

CLIP_FLOW = "videoflow"
"""Default system for clips."""
WITHOUT_SIZE = {"resize or pad the images": "crop or pad the clips"}
"""Advice in error messages of systems of pictures, and its replacement for clips."""


class ClipTask(Task):
    """Task of fitting a model to clips."""

    noun = "clips"
    train: ClipSet
    valid: ClipSet | None
    test: ClipSet | None

    def __init__(self, source: str, options: FitOptions, terminal: Terminal) -> None:
        super().__init__(source, options, terminal)
        self.system = options.system.flow or CLIP_FLOW
        if not _models_clips(self.system):
            raise UsageError(
                f"{self.system} does not model clips, such as those in {source}; for clips there is {CLIP_FLOW}"
            )
        self.arguments = options.system.arguments(self.system, preset="small")
        if replace(options.images, levels=None) != ImageOptions():
            raise UsageError(
                "--image-size, --tiles, --label, --condition, --flips and --grids are for pictures; leave them out for clips"
            )
        if options.system.labels is not None or options.columns.kind or options.columns.bounds or options.columns.drop:
            raise UsageError("--labels, --kind, --bounds and --drop are for tables; leave them out for clips")
        self.shares = options.columns.shares()

    @classmethod
    def fits(cls, source: str, flow: str | None) -> bool:
        """Return whether this task is the one for a source: the flow is one of clips, or an array has five dimensions."""
        return cls.reads(source) or (flow is not None and _models_clips(flow))

    @classmethod
    def reads(cls, source: str) -> bool:
        """Return whether a source can only hold clips; an array of four dimensions may hold pictures."""
        return array_dimensions(source) == 5

    @classmethod
    def owns(cls, model: Mapping[str, Any]) -> bool:
        """Return whether the description in a model file is that of a model of clips."""
        return _models_clips(str((model["spec"] or {}).get("system")))

    @classmethod
    def trained(cls) -> type[TrainedClips]:
        """Return the class that handles models of clips from files."""
        return TrainedClips

    def read(self) -> None:
        """Read the clips."""
        with advised(self.source):
            self.found = read_clips(self.source, levels=self.options.images.levels)
        if len(self.found.train) < 2:
            raise DataError(f"{self.source}: expected at least 2 clips to learn from, got {len(self.found.train)}")

    def split(self) -> None:
        """Split clips that have no parts: draw the test clips first, then the validation clips."""
        self.train, self.valid, self.test = self._parted(self.found, self.shares)

    def spec(self) -> dict[str, Any]:
        """Return the name of the system and its arguments, with those that follow from the clips."""
        for field in Spec.registry[self.system].sizes:
            if field in self.arguments:
                raise SpecError(f"expected no argument {field!r}: it follows from the clips")
        sizes = {"frames": self.train.frames, "shape": self.train.shape, "levels": self.train.levels}
        spec = {"system": self.system, **self.arguments, **sizes}
        spec_from_dict(spec)
        resume, pixels = self.options.output.resume, self.train.frames * math.prod(self.train.shape)
        self.config = picture_config(self.config, self.options.training, resume, len(self.train), pixels)
        return spec

    def model(self, spec: Mapping[str, Any]) -> Distribution:
        """Return a model of the clips with new random weights."""
        with advised(self.source, WITHOUT_SIZE):
            return spec_from_dict(spec).build()

    def rows(self, model: Distribution) -> TrainingRows:
        """Return the training clips and the validation clips."""
        validation = None if self.valid is None else (_tensor(self.valid), None)
        return TrainingRows(rows=_tensor(self.train), validation=validation)

    def score(self, model: Distribution) -> dict[str, Any] | None:
        """Return the bits per dimension of the held-out clips, and those of simple models."""
        held = self.test if self.test is not None else self.valid
        if held is None:
            return None
        log_prob = clip_log_likelihoods(model, _tensor(held), seed=self.seed)
        pixels = independent_bits(_frames(self.train), _frames(held))
        baselines = [
            {"name": "independent pixels", "value": pixels},
            {"name": "uniform", "value": float(np.log2(self.train.levels))},
        ]
        return {
            "rows": "test" if self.test is not None else "validation",
            **asdict(clip_bits(model, log_prob)),
            "baselines": baselines if self.options.output.baselines else [],
        }

    def score_text(self, model: Distribution, scores: Mapping[str, Any]) -> str:
        """Return the bits per dimension as text."""
        return bits_text(system_name(model), scores, self.noun)

    def describe(self) -> list[str]:
        """Return a line with the size of the clips and their number in each part."""
        counts = ", ".join(f"{count:,} to {what}" for what, count in self._counts().items())
        return [
            f"{self.source}: clips of {self.train.frames} {describe(self.train.shape)}, {self.train.levels} levels ({counts})"
        ]

    def _counts(self) -> dict[str, int]:
        parts = {"train": self.train, "validate": self.valid, "test": self.test}
        return {name: len(part) for name, part in parts.items() if part is not None}

    def record(self) -> dict[str, Any]:
        """Return the name of the data and the number of clips, in all and in each part."""
        name = os.path.basename(os.path.normpath(self.source))
        return {"name": name, "rows": sum(self._counts().values()), "dropped": [], "clips": self._counts()}


def _models_clips(name: str) -> bool:
    known = Spec.registry.get(name)
    return known is not None and issubclass(known, ClipSpec)


def _tensor(part: ClipSet) -> Tensor:
    return torch.as_tensor(part.clips, dtype=torch.float32)


def _frames(part: ClipSet) -> ImageSet:
    """Return all frames of clips as pictures."""
    return ImageSet(part.clips.reshape(-1, *part.shape), part.levels)
