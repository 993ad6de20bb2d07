"""Models of clips from files: log-likelihoods of clips, and new frames after given ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from ..core import Flow
from ..errors import DataError
from ..evaluation.clips import clip_bits, clip_log_likelihoods, continue_clips
from ..output import require_writable
from ..pictures import ClipSet, read_clips, write_clips
from ..serialize import load
from ..systems.clip_spec import ClipSpec
from ..training.random_state import isolated
from ..training_record import usable
from .console import BITS_MEANING, Terminal, aligned, joined
from .options import ReadOptions, ReportOptions, SampleOptions, ScoreOptions, UsageError
from .picture_output import require_pillow
from .task import TrainedModel
from .trained_pictures import WITHOUT_FLAGS, advised, describe

Array = np.ndarray[Any, np.dtype[Any]]
WRITTEN = (".gif", ".png", ".npy", ".npz")
"""Suffixes of the files to which clips can be written."""
DRAWN = 16
"""Number of clips that are drawn in one call; it is fixed, because the draws depend on it."""


class TrainedClips(TrainedModel):
    """Model of clips from a file, and the clips to score with it.

    Args:
        path: Path of the file.
        model: The model.
        training: Record that `fit` saved.
        spec: Spec of the system.
    """

    default_samples = 4

    def __init__(self, path: str, model: Flow, training: dict[str, Any], spec: ClipSpec) -> None:
        super().__init__(path, model, training)
        self.spec = spec

    @classmethod
    def open(cls, path: str, device: torch.device) -> Self:
        """Return a model of clips from a file."""
        saved = load(path)
        if not isinstance(saved.spec, ClipSpec) or not isinstance(saved.model, Flow):
            raise DataError(f"expected a model of clips in {path}, got another one")
        return cls(path, saved.model.to(device).eval(), usable(saved.training), saved.spec)

    @classmethod
    def check_score(cls, path: str, options: ScoreOptions) -> None:
        """Refuse options for tables."""
        if options.exactly or options.drop or options.explain:
            raise UsageError(
                f"--exactly, --drop and --explain are for tables, and {path} is a model of clips; leave them out"
            )

    @classmethod
    def check_report(cls, path: str, options: ReportOptions) -> None:
        """Refuse every report: there is none for clips.

        Raises:
            UsageError: In every case.
        """
        raise UsageError(
            f"expected a model of a table or of pictures for report, got one of clips in {path}; score prints its bits per "
            "dimension, and sample --out clips.gif shows new clips"
        )

    @classmethod
    def check_sample(cls, path: str, options: SampleOptions) -> None:
        """Refuse options for tables and pictures, and an output that cannot be written."""
        if options.where or options.escape_formulas or options.extrapolate:
            raise UsageError(
                f"--where, --extrapolate and --escape-formulas are for tables, and {path} is a model of clips; leave them out"
            )
        if options.label is not None or options.nearest is not None:
            raise UsageError(f"--label and --nearest are for pictures, and {path} is a model of clips; leave them out")
        suffix = Path(options.out).suffix.lower()
        if suffix not in WRITTEN:
            raise UsageError(f"expected --out to be a file of type {', '.join(WRITTEN)} for clips, got {options.out}")
        require_pillow("clips.png" if suffix in WRITTEN[:2] else options.out, f"--out {options.out}")
        require_writable(options.out, "--out", [path] if options.given is None else [path, options.given])

    @classmethod
    def check_frames(cls, path: str, options: SampleOptions) -> None:
        """Accept the options for clips."""

    def read(self, source: str) -> ClipSet:
        """Return the test clips of a source, or all clips if there are none.

        Raises:
            DataError: Their frames have another size than those of the model.
        """
        with advised(source, WITHOUT_FLAGS):
            split = read_clips(source, levels=self.spec.levels)
        part = split.train if split.test is None else split.test
        if part.shape != self.spec.shape:
            raise DataError(
                f"{source}: expected clips of {describe(self.spec.shape)}, which {self.path} models, got "
                f"{describe(part.shape)}"
            )
        return part

    def prepare(self, source: str, drop: Sequence[str], reading: ReadOptions) -> None:
        """Read the clips to score.

        Raises:
            DataError: They have another length than those of the model.
        """
        self.source, self.part = source, self.read(source)
        if self.part.frames != self.spec.frames:
            raise DataError(
                f"{source}: expected clips of {self.spec.frames} frames, which {self.path} models, got {self.part.frames}; "
                "cut them to this length"
            )

    def _rows(self, part: ClipSet) -> Tensor:
        return torch.as_tensor(part.clips, dtype=self.model.dtype, device=self.model.device)

    def log_likelihoods(self, samples: int, seed: int) -> Array:
        """Return the log-likelihood of each clip, in nats; of the frames after the given ones, if the model has such."""
        return clip_log_likelihoods(self.model, self._rows(self.part), samples=samples, seed=seed).numpy()

    def summary(self, log_prob: Array, samples: int) -> Iterator[str]:
        """Yield a line with the bits per dimension and their meaning."""
        bits = clip_bits(self.model, torch.as_tensor(log_prob), samples)
        text = f"{bits.symbol} {joined(bits.value, bits.error)} bits per dimension, {BITS_MEANING[bits.symbol]}"
        text += f" (average of {samples} draws)" if samples > 1 else " (one draw; --samples averages several)"
        after = f", of the frames after the first {self.spec.given}" if self.spec.given else ""
        yield f"{self.source}: {bits.events:,} clips{after}: {text}"

    def _entry(self, log_prob: Array, i: int) -> dict[str, Any]:
        """Return the number of a clip (from 1), its score and its file."""
        entry = {"clip": int(i) + 1, "log_prob": float(log_prob[i])}
        return {**entry, "file": self.part.files[i]} if self.part.files else entry

    def least_likely(self, log_prob: Array, rows: Array, width: int) -> str:
        """Return clips with their numbers (from 1), their scores and their files as text."""
        lines = [("clip", "log_prob", "file" if self.part.files else "")]
        for entry in (self._entry(log_prob, i) for i in rows):
            lines.append((str(entry["clip"]), f"{entry['log_prob']:.5g}", entry.get("file", "")))
        return aligned(lines, right=(0, 1))

    def score_record(self, log_prob: Array, rows: Array, samples: int) -> dict[str, Any]:
        """Return the bits per dimension, and some clips with their scores."""
        return {
            "model": self.path,
            "source": self.source,
            "system": self.system,
            **asdict(clip_bits(self.model, torch.as_tensor(log_prob), samples)),
            "least_likely": [self._entry(log_prob, i) for i in rows],
        }

    def sample(self, count: int, options: SampleOptions, seed: int, terminal: Terminal) -> None:
        """Draw frames after the given ones, or whole clips, and write them.

        Raises:
            UsageError: The model needs given frames, and there are none or too few.
        """
        given = None if options.given is None else self.read(options.given)
        if (0 if given is None else given.frames) < self.spec.given:
            raise UsageError(
                f"{self.path} draws the frames after given ones, at least {self.spec.given}; give these with --given"
            )
        if given is not None:
            number = len(given) if options.rows is None else options.rows
            given = given.take(np.arange(number) % len(given))
            count = number
        frames = self.spec.frames if options.frames is None else options.frames
        known = None if given is None else self._rows(given)
        with isolated(self.model.device, seed):
            drawn = [
                continue_clips(
                    self.model,
                    frames,
                    None if known is None else known[i : i + DRAWN],
                    count=min(DRAWN, count - i),
                    temperature=options.temperature,
                )
                for i in range(0, count, DRAWN)
            ]
        clips = torch.cat(drawn).clamp(0, self.spec.levels - 1).to(torch.uint8).cpu().numpy()
        write_clips(options.out, clips, self.spec.levels)
        after = "" if given is None else f", after {given.frames} given ones"
        terminal.tell(f"wrote {count:,} clips with {frames} new frames each{after} to {options.out}")

    def report(
        self, title: str | None, seed: int, terminal: Terminal, *, baselines: bool
    ) -> tuple[str, str, dict[str, Any]]:
        """Refuse every report; `check_report` has already done so.

        Raises:
            UsageError: In every case.
        """
        raise UsageError("expected a model of a table or of pictures for report, got one of clips")
