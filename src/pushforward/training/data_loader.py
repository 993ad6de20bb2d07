"""Data that do not fit in memory: batches from a `torch.utils.data.DataLoader` or any iterable, one pass in each epoch."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence, Set
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..core import Distribution
from ..errors import DataError, SpecError
from .batches import Batch, HeldOutRows
from .config import TrainConfig
from .data import as_rows, fingerprint_of, placement, require_inside
from .random_state import seeded_generator
from .validation_split import held_out_rows

PROVISIONAL_STEPS = 1000
"""Number of batches assumed for an epoch until the first one has ended, for an iterable without a length."""


def is_loader(data: Any) -> bool:
    """Return whether data are an iterable of batches rather than the rows themselves, as an array or a sequence."""
    if isinstance(data, (str, bytes, Sequence, Mapping, Set, Tensor, np.ndarray)) or not hasattr(data, "__iter__"):
        return False
    if any(hasattr(data, name) for name in ("__array__", "__array_interface__", "__dlpack__")):
        return False
    try:
        memoryview(data)
    except TypeError:
        return True
    return False


class LoaderBatches:
    """Batches of an iterable with one pass in each epoch.

    While the iterable makes its batches, torch's CPU generator is set to a state that depends only on the seed of the
    run and the number of the epoch. So a run that is resumed within an epoch sees the same batches and skips those that
    are done.

    Args:
        model: Model that gives the space, dtype and device.
        data: An iterable of batches x, (x,) or (x, context) that starts again in each epoch.
        seed: Seed of the run.
        name: Name of the data in messages.

    Attributes:
        count: Number of batches in an epoch: the iterable's length, or None until it is known after the first epoch.
        rows: Number of rows in the last finished epoch; 0 before.
        example: Events of the first batch.

    Raises:
        DataError: The iterable allows only one pass, or its first batch cannot be used.
    """

    def __init__(self, model: nn.Module, data: Any, seed: int, name: str = "the data") -> None:
        self.model, self.data, self.seed, self.name = model, data, seed, name
        if isinstance(data, Iterator):
            raise self._exhausted()
        self.count = _length(data)
        self.rows = 0
        self._generators = {id(g): (g, g.initial_seed()) for g in _generators(data)}
        self._first: Batch | None = None
        self._first = next(self.epoch(1))
        self.example = self._first.rows[0]

    def epoch(self, number: int, done: int = 0) -> Iterator[Batch]:
        """Return the batches of an epoch after the first `done` ones.

        Raises:
            DataError: A batch cannot be used, or there is none.
        """
        # A DataLoader or sampler with its own generator does not use torch's global one: that generator needs a state
        # for each epoch, too.
        for generator, first in self._generators.values():
            generator.manual_seed(seeded_generator(first, number).initial_seed())
        sampler: Any = getattr(self.data, "sampler", None)
        if hasattr(sampler, "set_epoch"):
            sampler.set_epoch(number)
        items = _OwnRandomNumbers(self.data, seeded_generator(self.seed, number).get_state())
        item = next(items, _END)
        if item is _END:
            if self._first is not None:
                raise self._exhausted()
            raise DataError(f"expected at least one batch in {self.name}, got none from a {type(self.data).__name__}")
        place = 1
        while item is not _END:
            # Read one batch ahead to know which one is the last.
            after = next(items, _END)
            if place > done:
                yield self._batch(item, place, last=after is _END)
            item, place = after, place + 1

    def head(self, rows: int) -> tuple[Tensor, ...]:
        """Return the first rows of the first epoch: (x,) or (x, context)."""
        taken: list[tuple[Tensor, ...]] = []
        for batch in self.epoch(1):
            taken.append(batch.rows)
            if sum(len(x) for x, *_ in taken) >= rows:
                break
        return tuple(torch.cat(parts)[:rows] for parts in zip(*taken, strict=True))

    def chunks(self, size: int) -> Iterator[Batch]:
        """Return the batches of a validation pass; their size is that of the iterable."""
        rows = 0
        for batch in self.epoch(0):
            rows += len(batch)
            yield batch
        self.rows = rows

    def ended(self, batches: int, rows: int) -> None:
        """Record how many batches and rows the finished epoch had."""
        self.rows = rows
        if self.count is None:
            self.count = batches

    def fingerprint(self) -> list[str]:
        """Return the number of batches, and the shapes and types of the first; its values may change by random augmentation."""
        shapes = ", ".join(f"{tuple(t.shape)} {t.dtype}" for t in self._first.rows) if self._first else ""
        return [f"{_length(self.data) or 'unknown number of'} batches, the first {shapes}"]

    def sample(self) -> str:
        """Return a fingerprint of the values of the first batch."""
        return ", ".join(map(fingerprint_of, self._first.rows)) if self._first else ""

    def _batch(self, item: Any, number: int, *, last: bool) -> Batch:
        name = f"batch {number} of {self.name}"
        parts = tuple(item) if isinstance(item, (tuple, list)) else (item,)
        if len(parts) not in (1, 2):
            raise DataError(f"expected batches x, (x,) or (x, context), got {len(parts)} parts in {name}")
        rows = as_rows(self.model, parts[0], parts[1] if len(parts) == 2 else None, name)
        if len(rows) == 0:
            raise DataError(f"expected at least one row in every batch, got none in {name}")
        if isinstance(self.model, Distribution) and self.model.space.bounded:
            require_inside(self.model.space, rows.x, name)
        return Batch(number, (rows.x,) if rows.context is None else (rows.x, rows.context), last=last)

    def _exhausted(self) -> DataError:
        return DataError(
            f"expected batches in every epoch, got an iterable of {self.name} (a {type(self.data).__name__}) that is exhausted "
            "after one pass; pass a DataLoader, or an object whose __iter__ starts again"
        )


@dataclasses.dataclass(frozen=True)
class LoaderSplit:
    """Training batches of an iterable, and validation rows.

    Args:
        train: The training batches.
        valid: Validation rows in memory or batches of another iterable; None for no validation.
        device: Device that the model is on.
    """

    train: LoaderBatches
    valid: HeldOutRows | LoaderBatches | None
    device: torch.device

    def resolve(self, config: TrainConfig) -> TrainConfig:
        """Return the options with every None chosen for the number of batches in an epoch."""
        return config.replace(batch_size=len(self.train.example)).for_steps(self.train.count or PROVISIONAL_STEPS)

    def source(self, config: TrainConfig) -> LoaderBatches:
        """Return the training batches."""
        return self.train

    def held_out(self) -> HeldOutRows | LoaderBatches | None:
        """Return the validation rows."""
        return self.valid

    def fingerprint(self) -> list[str]:
        """Return the fingerprints of the batches and of the validation rows."""
        if self.valid is None:
            return self.train.fingerprint()
        return self.train.fingerprint() + self.valid.fingerprint()

    def sample(self) -> str | None:
        """Return a fingerprint of the first batch, which must be the same in all processes."""
        return self.train.sample()


def prepare_loader(
    model: nn.Module, data: Any, context: Any, validation: Any, config: TrainConfig, weights: Any = None
) -> LoaderSplit:
    """Check an iterable of batches and the validation rows.

    Args:
        model: Model that gives the space, dtype and device.
        data: The iterable.
        context: Must be None, as contexts are part of the batches.
        validation: A second iterable, rows, (rows, context), or None.
        config: Options of the run.
        weights: Must be None, as the rows of an iterable have equal weights.

    Raises:
        DataError: The iterable allows only one pass, its first batch or the validation rows cannot be used, or `validation`
            is a number.
        SpecError: A context, weights or a `batch_size` is given.
    """
    if context is not None:
        raise SpecError("expected contexts in the batches of data, (x, context), got a context beside them")
    if weights is not None:
        raise SpecError("expected rows in memory for weights, got an iterable of batches; leave one of them out")
    if config.batch_size is not None:
        raise SpecError(f"expected no batch_size, got {config.batch_size}: an iterable of batches has its own")
    if isinstance(validation, (int, float)):
        raise DataError(
            f"expected validation to be rows, a second iterable or None, got {validation}: no part of an iterable of batches "
            "can be held out"
        )
    train = LoaderBatches(model, data, config.seed)
    device, _ = placement(model)
    if validation is None:
        return LoaderSplit(train, None, device)
    if is_loader(validation):
        return LoaderSplit(train, LoaderBatches(model, validation, config.seed, "the validation data"), device)
    return LoaderSplit(train, held_out_rows(model, validation), device)


_END = object()
"""Marker of the end of an iterable."""


class _OwnRandomNumbers:
    """Iterator that draws torch's random numbers on the CPU from a separate stream.

    Args:
        data: The iterable.
        state: State of torch's generator for the first item.
    """

    def __init__(self, data: Any, state: Tensor) -> None:
        self.data, self.state = data, state
        self.items: Iterator[Any] | None = None

    def __iter__(self) -> _OwnRandomNumbers:
        return self

    def __next__(self) -> Any:
        before = torch.get_rng_state()
        torch.set_rng_state(self.state)
        try:
            if self.items is None:
                self.items = iter(self.data)
            return next(self.items)
        finally:
            self.state = torch.get_rng_state()
            torch.set_rng_state(before)


def _length(data: Any) -> int | None:
    """Return the number of batches of an iterable; None if it has no length."""
    try:
        return len(data)
    # A DataLoader of a dataset without a length has `__len__`, which raises.
    except TypeError:
        return None


def _generators(data: Any) -> list[torch.Generator]:
    """Return the generators of a DataLoader and of its sampler."""
    found = [getattr(place, "generator", None) for place in (data, getattr(data, "sampler", None))]
    return [generator for generator in found if isinstance(generator, torch.Generator)]
