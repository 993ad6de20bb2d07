"""Writing of archives: items become blocks of events, which several threads code."""

from __future__ import annotations

import math
import os
import time
import zlib
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from .. import __version__
from ..core import Distribution
from ..errors import DataError, FileError, SpecError
from ..output import atomic_output
from . import tiles
from .allocation import most_rows, rows_for
from .checking import Compare, Facts, facts, verify_archive
from .container import CODED, RAW, STORED, Block, Writer
from .events import EventCoder, model_hash, one_thread
from .frames import FileFrame
from .manifest import DTYPE, listed
from .workers import Coders, pool

Array = np.ndarray[Any, np.dtype[Any]]
MANIFEST = 1 << 20
"""Number of bytes of frames after which a block is closed, so that its manifest stays small."""
LARGER = "deflate makes them smaller"
AS_FILES = "not of the model's kind"


@dataclass(frozen=True)
class Item:
    """Array or file to keep in an archive.

    Args:
        name: Path, below a folder, to which the item is restored.
        array: Pictures (N, H, W, C) of bytes; rows of events (N, *event); or any numbers, which are stored unchanged.
        mode: Kind of the item: "events" for rows; for pictures the mode of Pillow, or "array"; "file" for the bytes of a
            whole file, (N,); "raw" for other numbers.
        frame: Bytes of a picture file around its pixels, for an array of one picture.
    """

    name: str
    array: Array
    mode: str
    frame: FileFrame | None = None


@dataclass
class ArchiveSummary:
    """Summary of a compression.

    Args:
        items: Number of items.
        values: Number of values in them: pixels times channels, or bytes of files.
        raw: Number of bytes of these values.
        size: Number of bytes of the archive.
        payload: Number of bytes of the archive for values; the others are names, checksums and places.
        coded: Number of blocks coded by the model.
        stored: Number of blocks deflated without the model.
        bits: Information content of the coded blocks by the model, in bits.
        seconds: Duration in seconds.
        reasons: Reasons why blocks were stored, with counts.
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
        """Number of bits of the whole archive per pixel and channel."""
        return 8 * self.size / self.values if self.values else 0.0


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
    compare: Compare | None = None,
    progress: Callable[[ArchiveSummary], None] | None = None,
) -> ArchiveSummary:
    """Write an archive; the file appears under its name complete and verified, or not at all.

    Args:
        path: Path of the archive.
        items: Items to keep, with different names; they are consumed one after the other.
        model: Exact discrete model without a context.
        spec: Description of the model, a part of the hash that identifies the model.
        model_name: Name of the model's file, stored for readers of the archive.
        rows: Number of events in a block; by default as many as give about 131,000 symbols; at most 4096 events and about a
            million symbols.
        workers: Number of threads; the archive does not depend on it.
        verify: Whether the written file is decoded and compared before it gets its name; otherwise only the first block is.
        compare: Further comparison of each decoded item, see `verify_archive`.
        progress: Function that is called with the summary after every block.

    Raises:
        SpecError: The model cannot be used for coding, or a block has too many rows.
        DataError: Two items have the same name, or one does not fit the model.
        FileError: The archive cannot be written, or it does not restore the items.
    """
    started = time.perf_counter()
    size = math.prod(model.space.shape)
    rows = rows_for(size) if rows is None else rows
    if rows > most_rows(size):
        raise SpecError(
            f"expected at most {most_rows(size):,} events of {size:,} numbers in a block, got {rows:,}; give fewer rows"
        )
    coders = Coders(model, rows, workers)
    dtype = "uint8" if model.space.whole and len(model.space.shape) == 3 else "int64"
    header = {
        "model": model_hash(model, spec),
        "model_name": model_name,
        "event": list(model.space.shape),
        "rows": rows,
        "dtype": dtype,
        "fingerprint": coders.fingerprint,
        "by": f"pushforward {__version__}, torch {torch.__version__}, numpy {np.__version__}",
    }
    summary, expected = ArchiveSummary(), dict[str, Facts]()
    with atomic_output(path) as temporary:
        with open(temporary, "wb") as file, one_thread(), pool(workers) as threads:
            writer = Writer(file, header)
            works = _works(items, model.space.shape, rows, dtype, summary, expected)
            for block, bits, why in _in_order(works, coders, threads, 2 * workers):
                writer.add(block)
                _count(summary, block, bits, why)
                summary.size = writer.size
                if progress is not None:
                    progress(summary)
            writer.finish()
            summary.size = writer.size
        if verify:
            verify_archive(temporary, expected, model, spec=spec, workers=workers, compare=compare)
    summary.seconds = time.perf_counter() - started
    return summary


@dataclass(frozen=True)
class _Work:
    """Block before coding: events, or an item to store unchanged."""

    first: int
    items: list[list[Any]]
    events: Array
    raw: bool = False


_Done = tuple[Block, float, str]
"""Block, bits of its events by the model, and the reason why it was not coded, which is empty if it was."""


def _in_order(works: Iterable[_Work], coders: Coders, threads: Executor, most: int) -> Iterator[_Done]:
    """Yield the coded blocks in order, with at most `most` blocks in progress."""
    # Results are taken in the order of the input, so the archive does not depend on the number of threads. At most `most`
    # blocks wait, which bounds the memory.
    waiting: deque[Future[_Done]] = deque()
    for i, work in enumerate(works):
        waiting.append(threads.submit(_block, coders, work, verify=i == 0))
        while len(waiting) > most:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


def _count(summary: ArchiveSummary, block: Block, bits: float, why: str) -> None:
    summary.coded += block.kind == CODED
    summary.stored += block.kind != CODED
    summary.bits += bits
    summary.payload += len(block.payload)
    summary.reasons.update([why] if why else [])


def _works(
    items: Iterable[Item],
    event: tuple[int, ...],
    rows: int,
    dtype: str,
    summary: ArchiveSummary,
    expected: dict[str, Facts],
) -> Iterator[_Work]:
    """Yield blocks of `rows` events; the last block is shorter, and so is a block with many bytes of frames."""
    pending: list[Array] = []
    begun: list[list[Any]] = []
    held, first, weight = 0, 0, 0
    for item in items:
        if item.name in expected:
            raise DataError(f"expected different names, got {item.name!r} twice; rename one or leave it out")
        array = item.array
        expected[item.name] = facts(item.mode, array, item.frame)
        summary.items += 1
        summary.values += array.size
        summary.raw += array.nbytes
        parts = None if item.mode in ("raw", "file") else _events_of(item, event, dtype)
        if parts is None:
            yield _Work(0, [_listed_raw(item)], array, raw=True)
            continue
        begun.append(listed(item.name, item.mode, array.shape, held, item.frame))
        weight += 0 if item.frame is None else len(item.frame.before) + len(item.frame.after)
        for part in parts:
            pending.append(part)
            held += len(part)
            while held >= rows or (held and weight > MANIFEST):
                joined = np.concatenate(pending) if len(pending) > 1 else pending[0]
                taken = min(held, rows)
                yield _Work(first, begun, joined[:taken])
                first, begun, held, weight = first + taken, [], held - taken, 0
                pending = [joined[taken:]] if held else []
    if held or begun:
        yield _Work(first, begun, np.concatenate(pending) if pending else np.empty((0, *event), dtype))


def _listed_raw(item: Item) -> list[Any]:
    if DTYPE.fullmatch(item.array.dtype.str) is None:
        raise DataError(f"expected numbers in {item.name!r}, got {item.array.dtype}; convert them to numbers")
    return listed(item.name, item.mode, item.array.shape, item.array.dtype.str, item.frame)


def _events_of(item: Item, event: tuple[int, ...], dtype: str) -> Iterator[Array] | None:
    """Return an iterator over parts of an item's events; None if the item is to be stored unchanged."""
    array = item.array
    if item.mode == "events":
        if tuple(array.shape[1:]) != event:
            raise DataError(f"expected rows of shape {event} in {item.name!r}, got {array.shape[1:]}")
        if dtype == "uint8" and (array.dtype != np.uint8):
            raise DataError(f"expected bytes in {item.name!r}, got {array.dtype}")
        return iter([array.astype(dtype, copy=False)])
    if array.ndim != 4 or not codes(array, event) or dtype != "uint8":
        return None
    some = max(1, (1 << 24) // max(1, array[:1].size))
    channels, height, width = event
    return (tiles.cut(array[at : at + some], (channels, height, width)) for at in range(0, len(array), some))


def codes(pictures: Array, event: tuple[int, ...]) -> bool:
    """Return whether a model of such events can code pictures (N, H, W, C): bytes, in a multiple of the model's channels."""
    if len(event) != 3 or pictures.dtype != np.uint8:
        return False
    return not len(pictures) or tiles.count((1, *pictures.shape[1:]), event) > 0


def smaller(coded: bytes, deflated: bytes) -> bool:
    """Return whether coded events are smaller than deflated ones."""
    return len(coded) < len(deflated)


def _block(coders: Coders, work: _Work, *, verify: bool) -> _Done:
    """Return a block: coded by the model, or deflated if that is smaller or the model cannot code the events."""
    data = np.ascontiguousarray(work.events).tobytes()
    crc = zlib.crc32(data)
    deflated = zlib.compress(data, 9)
    if work.raw:
        return Block(RAW, 0, 0, work.items, deflated, crc), 0.0, AS_FILES
    if not len(work.events):
        return Block(STORED, 0, work.first, work.items, deflated, crc), 0.0, ""

    def code(coder: EventCoder) -> tuple[bytes | None, float, str]:
        x = torch.from_numpy(np.ascontiguousarray(work.events).astype(np.int64))
        payload = coder.encode(x)
        if payload is not None and verify:
            try:
                same = torch.equal(coder.decode(payload, len(x)).long(), x)
            except FileError:
                same = False
            if not same:
                return None, 0.0, "the block was not restored exactly by the decoder"
        return payload, coder.bits if payload is not None else 0.0, coder.reason

    payload, bits, why = coders.run(code)
    if payload is None or not smaller(payload, deflated):
        return Block(STORED, len(work.events), work.first, work.items, deflated, crc), 0.0, why or LARGER
    return Block(CODED, len(work.events), work.first, work.items, payload, crc), bits, ""
