"""Writing archives: items as blocks of events, coded in turns by several threads."""

from __future__ import annotations

import os
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from .. import __version__
from ..core import Distribution, Integers
from ..data.formats import atomic_output
from ..errors import DataError, FileError
from . import tiles
from .container import CODED, RAW, STORED, Block, Writer
from .events import EventCoder, model_hash, one_thread
from .workers import Coders, pool

Array = np.ndarray[Any, np.dtype[Any]]
SYMBOLS = 1 << 17
"""In a block, about: enough for many lanes of the coder, few enough for random access."""
MOST_ROWS = 4096


@dataclass(frozen=True)
class Item:
    """Something to be kept.

    Args:
        name: of it; a path below the folder that it is restored to.
        array: pictures (N, H, W, C) of bytes; rows of events (N, *event); or anything, to be stored as it is.
        mode: "events" for rows; for pictures what they were: a mode of Pillow, or "array"; "raw" for what is stored.
    """

    name: str
    array: Array
    mode: str


@dataclass
class Summary:
    """What compression did.

    Args:
        items: kept.
        values: numbers in them: pixels times channels.
        raw: bytes before.
        size: bytes of the archive.
        payload: bytes in it that hold events; the others are names, sums and places.
        coded: blocks.
        stored: blocks that the model could not code.
        bits: information content of the coded blocks by the model.
        seconds: it took.
        reasons: why blocks were stored, with counts.
    """

    items: int = 0
    values: int = 0
    raw: int = 0
    size: int = 0
    payload: int = 0
    coded: int = 0
    stored: int = 0
    bits: float = 0.0
    seconds: float = 0.0
    reasons: Counter[str] = field(default_factory=Counter)

    @property
    def bits_per_value(self) -> float:
        """Bits of the whole archive for each pixel and channel."""
        return 8 * self.size / self.values if self.values else 0.0


def rows_for(model: Distribution) -> int:
    """Events in a block, by their size."""
    return max(1, min(MOST_ROWS, SYMBOLS // max(1, model.space.size)))


def compress(
    path: str | os.PathLike[str],
    items: Iterable[Item],
    model: Distribution,
    *,
    spec: dict[str, Any] | None = None,
    model_name: str = "",
    rows: int | None = None,
    workers: int = 1,
    verify: bool = True,
    progress: Callable[[Summary], None] | None = None,
) -> Summary:
    """Write an archive, which appears whole or not at all.

    Args:
        path: of the archive.
        items: to keep, with different names; they are taken one after the other.
        model: exact and discrete, without a context.
        spec: its description, part of the hash that tells models apart.
        model_name: of its file, for who opens the archive.
        rows: events in a block; by default as many as make about 131,000 symbols.
        workers: threads; the bytes are the same for any number.
        verify: whether every block is decoded again before it is written; without it only the first one is.
        progress: called after every block.

    Raises:
        SpecError: the model cannot be coded with.
        DataError: two items have one name, or one does not fit the model.
        FileError: the archive cannot be written.
    """
    started = time.perf_counter()
    rows = rows_for(model) if rows is None else rows
    coders = Coders(model, rows, workers)
    dtype = "uint8" if isinstance(model.space, Integers) and len(model.space.shape) == 3 else "int64"
    header = {
        "model": model_hash(model, spec),
        "model_name": model_name,
        "event": list(model.space.shape),
        "rows": rows,
        "dtype": dtype,
        "fingerprint": coders.fingerprint,
        "by": f"pushforward {__version__}, torch {torch.__version__}, numpy {np.__version__}",
    }
    summary = Summary()
    with atomic_output(path) as temporary, open(temporary, "wb") as file, one_thread(), pool(workers) as threads:
        writer = Writer(file, header)
        waiting: list[Future[tuple[Block, float, str]]] = []

        def write(most: int) -> None:
            while len(waiting) > most:
                block, bits, why = waiting.pop(0).result()
                writer.add(block)
                summary.coded += block.kind == CODED
                summary.stored += block.kind != CODED
                summary.bits += bits
                summary.payload += len(block.payload)
                summary.size = writer.size
                summary.reasons.update([why] if why else [])
                if progress is not None:
                    progress(summary)

        for i, work in enumerate(_works(items, model.space.shape, rows, dtype, summary)):
            waiting.append(threads.submit(_block, coders, work, verify=verify or i == 0))
            write(2 * workers)
        write(0)
        writer.finish()
        summary.size = writer.size
    summary.seconds = time.perf_counter() - started
    return summary


@dataclass(frozen=True)
class _Work:
    """A block to be: events, or an item to be stored as it is."""

    first: int
    items: list[list[Any]]
    events: Array
    raw: bool = False


def _works(items: Iterable[Item], event: tuple[int, ...], rows: int, dtype: str, summary: Summary) -> Iterator[_Work]:
    """Items as blocks of `rows` events, the last one shorter."""
    names: set[str] = set()
    pending: list[Array] = []
    begun: list[list[Any]] = []
    held, first = 0, 0
    for item in items:
        if item.name in names:
            raise DataError(f"expected different names, got {item.name!r} twice; rename one or leave it out")
        names.add(item.name)
        array = item.array
        summary.items += 1
        summary.values += array.size
        summary.raw += array.nbytes
        entry = [item.name, item.mode, list(array.shape)]
        parts = None if item.mode == "raw" else _events_of(item, event, dtype)
        if parts is None:
            yield _Work(0, [[*entry, array.dtype.str]], array, raw=True)
            continue
        begun.append([*entry, held])
        for part in parts:
            pending.append(part)
            held += len(part)
            while held >= rows:
                joined = np.concatenate(pending) if len(pending) > 1 else pending[0]
                yield _Work(first, begun, joined[:rows])
                first, begun, held = first + rows, [], held - rows
                pending = [joined[rows:]] if held else []
    if held or begun:
        yield _Work(first, begun, np.concatenate(pending) if pending else np.empty((0, *event), dtype))


def _events_of(item: Item, event: tuple[int, ...], dtype: str) -> Iterator[Array] | None:
    """Parts of an item's events; None where it is to be stored as it is."""
    array = item.array
    if item.mode == "events":
        if tuple(array.shape[1:]) != event:
            raise DataError(f"expected rows of shape {event} in {item.name!r}, got {array.shape[1:]}")
        if dtype == "uint8" and (array.dtype != np.uint8):
            raise DataError(f"expected bytes in {item.name!r}, got {array.dtype}")
        return iter([array.astype(dtype, copy=False)])
    if len(event) != 3 or array.dtype != np.uint8 or (len(array) and not tiles.count((1, *array.shape[1:]), event)):
        return None
    some = max(1, (1 << 24) // max(1, array[:1].size))
    return (tiles.cut(array[at : at + some], event) for at in range(0, len(array), some))


def _block(coders: Coders, work: _Work, *, verify: bool) -> tuple[Block, float, str]:
    """The block, the bits that the model gives its events, and why it was not coded, if so."""
    data = np.ascontiguousarray(work.events).tobytes()
    crc = zlib.crc32(data)
    if work.raw:
        return Block(RAW, 0, 0, work.items, zlib.compress(data, 9), crc), 0.0, "not of the model's kind"
    if not len(work.events):
        return Block(STORED, 0, work.first, work.items, zlib.compress(b""), crc), 0.0, ""

    def code(coder: EventCoder) -> tuple[bytes | None, float, str]:
        x = torch.from_numpy(np.ascontiguousarray(work.events).astype(np.int64))
        payload = coder.encode(x)
        if payload is not None and verify:
            try:
                same = torch.equal(coder.decode(payload, len(x)).long(), x)
            except FileError:
                same = False
            if not same:
                return None, 0.0, "the block did not decode to itself"
        return payload, coder.bits if payload is not None else 0.0, coder.reason

    payload, bits, why = coders.run(code)
    if payload is None:
        payload = zlib.compress(data, 9)
        return Block(STORED, len(work.events), work.first, work.items, payload, crc), 0.0, why
    return Block(CODED, len(work.events), work.first, work.items, payload, crc), bits, ""
