"""Archives of pictures and arrays, coded with a model: written and read block after block."""

from __future__ import annotations

import os
import queue
import time
import zlib
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import numpy as np
import torch

from .. import __version__
from ..core import Distribution, Integers
from ..data.formats import atomic_output
from ..errors import DataError, FileError, SpecError
from . import tiles
from .container import CODED, RAW, STORED, Block, Reader, Writer, unpacked
from .events import EventCoder, model_hash, one_thread

Array = np.ndarray[Any, np.dtype[Any]]
SYMBOLS = 1 << 17
"""In a block, about: enough for many lanes of the coder, few enough for random access."""
MOST_ROWS = 4096
LARGEST_ITEM = 1 << 40
"""Bytes that an item may claim to have; less than that is checked against the blocks that are there."""


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
    coders = _Coders(model, rows, workers)
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
    with atomic_output(path) as temporary, open(temporary, "wb") as file, one_thread(), _pool(workers) as pool:
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
            waiting.append(pool.submit(_block, coders, work, verify=verify or i == 0))
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


class _Coders:
    """As many coders as there are workers, lent one at a time: a coder remembers its last batch."""

    def __init__(self, model: Distribution, rows: int, workers: int) -> None:
        first = EventCoder(model, rows)
        self.fingerprint = first.fingerprint
        self._free: queue.SimpleQueue[EventCoder] = queue.SimpleQueue()
        for coder in [first, *(EventCoder(model, rows) for _ in range(workers - 1))]:
            self._free.put(coder)

    def run(self, work: Callable[[EventCoder], Any]) -> Any:
        coder = self._free.get()
        try:
            return work(coder)
        finally:
            self._free.put(coder)


def _pool(workers: int) -> ThreadPoolExecutor:
    if workers < 1:
        raise SpecError(f"expected at least one worker, got {workers}")
    return ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(1,))


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


def _block(coders: _Coders, work: _Work, *, verify: bool) -> tuple[Block, float, str]:
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


@dataclass(frozen=True)
class Entry:
    """An item of an archive.

    Args:
        name: of it.
        mode: as in `Item`.
        shape: of its array.
        block: in which it begins.
        first: number of its first event.
        dtype: of an item stored as it is.
    """

    name: str
    mode: str
    shape: tuple[int, ...]
    block: int
    first: int
    dtype: str = ""


class Archive:
    """Reads an archive; every item by itself, from the blocks that it lies in. Close it, or use it in a `with` statement.

    Args:
        path: of the file.
        model: that it was written with; None to look at what it holds.
        spec: the model's description, as for `compress`.
        workers: threads that decode ahead.

    Raises:
        FileError: it is no archive, cannot be read at all, or was written with another model.
        SpecError: the model cannot be coded with.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        model: Distribution | None = None,
        *,
        spec: dict[str, Any] | None = None,
        workers: int = 1,
    ) -> None:
        self._reader = Reader(path)
        self.header = self._reader.header
        self.same_machine = True
        """Whether this machine computes as the one that wrote the archive did, as far as a probe can tell."""
        self._pool = _pool(workers)
        self._ahead, self._kept = workers, OrderedDict[int, "Future[Array]"]()
        try:
            self._read_header()
            if model is not None:
                self._use(model, spec, workers)
            self.entries = list(self._listed())
        except BaseException:
            self.close()
            raise

    def _read_header(self) -> None:
        fields = (
            ("model", str),
            ("model_name", str),
            ("rows", int),
            ("dtype", str),
            ("fingerprint", str),
            ("event", list),
        )
        for name, kind in fields:
            if type(self.header.get(name)) is not kind:
                raise FileError(
                    f"{self._reader.path} is damaged, or not written by pushforward: its header has no {name}"
                )
        self._event: tuple[int, ...] = tuple(self.header["event"])
        numbers = (self.header["rows"], *self._event)
        if not all(type(n) is int and 0 < n <= 1 << 24 for n in numbers) or self.header["dtype"] not in (
            "uint8",
            "int64",
        ):
            raise FileError(f"{self._reader.path} is damaged, or not written by pushforward: its header makes no sense")

    def _use(self, model: Distribution, spec: dict[str, Any] | None, workers: int) -> None:
        if model_hash(model, spec) != self.header["model"]:
            name = f" ({self.header['model_name']})" if self.header["model_name"] else ""
            raise FileError(
                f"{self._reader.path} was written with another model{name}; give the one that it was written with"
            )
        size = int(np.prod(self._event))
        if self._event != model.space.shape or self.header["rows"] * size > 1 << 28:
            raise FileError(f"{self._reader.path} is damaged: its header does not fit the model")
        self._coders = _Coders(model, self.header["rows"], workers)
        self.same_machine = self._coders.fingerprint == self.header["fingerprint"]

    def __enter__(self) -> Self:
        """Itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Close the file."""
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._pool.shutdown(cancel_futures=True)
        self._reader.close()

    def __len__(self) -> int:
        """Number of items."""
        return len(self.entries)

    @property
    def names(self) -> list[str]:
        """Of the items."""
        return [entry.name for entry in self.entries]

    @property
    def damage(self) -> list[str]:
        """What was found to be wrong with the file when it was opened."""
        return self._reader.damage

    def check(self) -> list[str]:
        """Sentences about damage anywhere in the file, which is read through."""
        return list(self._reader.check())

    def _listed(self) -> Iterator[Entry]:
        for i in range(len(self._reader)):
            for value in self._reader.items(i):
                entry = _entry(value, i, self._reader.places[i][3])
                if entry is None:
                    self._reader.damage.append(f"block {i} says something senseless about what is in it")
                else:
                    yield entry

    def read(self, which: int | str) -> Array:
        """The array of an item, by number or name, checked against the sum that was written with it.

        Raises:
            FileError: it is lost or damaged, or this machine does not compute what the writer's did.
            DataError: there is no such item.
        """
        entry = self._found(which)
        if entry.mode == "raw":
            return self._raw(entry)
        if entry.mode == "events":
            return self._events(entry.name, entry.first, entry.shape[0]).reshape(entry.shape)
        count = tiles.count(entry.shape, self._event)  # type: ignore[arg-type]
        return tiles.joined(self._events(entry.name, entry.first, count), entry.shape)

    def picture(self, which: int | str, i: int) -> Array:
        """Picture i of an item that holds several, (H, W, C), from its own blocks only; or row i of an item of events.

        Raises:
            FileError: it is lost or damaged.
            DataError: there is no such item, or picture.
        """
        entry = self._found(which)
        if entry.mode == "raw" or not 0 <= i < entry.shape[0]:
            raise DataError(f"expected a number from 0 to {entry.shape[0] - 1} of {entry.name!r}, got {i}")
        if entry.mode == "events":
            return self._events(entry.name, entry.first + i, 1)[0]
        one = (1, *entry.shape[1:])
        count = tiles.count(one, self._event)  # type: ignore[arg-type]
        return tiles.joined(self._events(entry.name, entry.first + i * count, count), one)[0]

    def _found(self, which: int | str) -> Entry:
        if isinstance(which, int):
            if not 0 <= which < len(self.entries):
                raise DataError(f"expected the number of an item, 0 to {len(self.entries) - 1}, got {which}")
            return self.entries[which]
        for entry in self.entries:
            if entry.name == which:
                return entry
        raise DataError(f"{self._reader.path} holds nothing named {which!r}")

    def _raw(self, entry: Entry) -> Array:
        block = self._reader.block(entry.block)
        dtype = np.dtype(entry.dtype)
        size = int(np.prod(entry.shape)) * dtype.itemsize
        data = None if block is None or block.kind != RAW else unpacked(block.payload, size)
        if block is None or data is None or len(data) != size or zlib.crc32(data) != block.crc:
            raise FileError(f"{self._reader.path}: {entry.name!r} is damaged and lost")
        return np.frombuffer(data, dtype).reshape(entry.shape).copy()

    def _events(self, name: str, first: int, count: int) -> Array:
        """Events first ... first + count - 1, of the blocks that hold them."""
        places = self._reader.places
        chosen = [i for i, p in enumerate(places) if p[3] < first + count and p[3] + p[2] > first and p[2]]
        if sum(min(places[i][3] + places[i][2], first + count) - max(places[i][3], first) for i in chosen) != count:
            raise FileError(f"{self._reader.path}: {name!r} is lost, a part of it is missing")
        parts = [np.empty((0, *self._event), self.header["dtype"])]
        for k, i in enumerate(chosen):
            for following in chosen[k : k + self._ahead]:
                self._start(following)
            try:
                events = self._start(i).result()
            except FileError as error:
                raise FileError(f"{self._reader.path}: {name!r} is lost: {error}") from None
            begin = places[i][3]
            parts.append(events[max(first - begin, 0) : first + count - begin])
        return np.concatenate(parts)

    def _start(self, i: int) -> Future[Array]:
        """The events of a block, in work; a few are kept."""
        if i not in self._kept:
            block = self._reader.block(i)
            self._kept[i] = self._pool.submit(self._decoded, block)
        self._kept.move_to_end(i)
        while len(self._kept) > self._ahead + 1:
            self._kept.popitem(last=False)
        return self._kept[i]

    def _decoded(self, block: Block | None) -> Array:
        if block is None or block.kind == RAW or not 0 < block.events <= self.header["rows"]:
            raise FileError("its block is damaged")
        dtype = np.dtype(self.header["dtype"])
        if block.kind == STORED:
            size = block.events * int(np.prod(self._event)) * dtype.itemsize
            data = unpacked(block.payload, size)
            if data is None or len(data) != size:
                raise FileError("its block is damaged")
            events = np.frombuffer(data, dtype).reshape(block.events, *self._event)
        else:
            found = self._coders.run(lambda coder: coder.decode(block.payload, block.events))
            events = found.numpy().astype(dtype)
        if zlib.crc32(np.ascontiguousarray(events).tobytes()) != block.crc:
            raise FileError(
                "what was decoded is not what was written; this machine computes otherwise than the writer's"
            )
        return events


def _entry(value: Any, block: int, first: int) -> Entry | None:
    """An item from a manifest, if it is one."""
    if not isinstance(value, list) or len(value) != 4:
        return None
    name, mode, shape, last = value
    if not isinstance(name, str) or not isinstance(mode, str) or not isinstance(shape, list) or len(shape) > 8:
        return None
    if not all(type(n) is int and n >= 0 for n in shape) or int(np.prod([float(n) for n in shape])) > LARGEST_ITEM:
        return None
    if mode == "raw":
        try:
            known = isinstance(last, str) and np.dtype(last).kind in "buif"
        except TypeError:
            known = False
        return Entry(name, mode, tuple(shape), block, 0, last) if known else None
    fits = len(shape) == 4 if mode != "events" else bool(shape)
    if not fits or type(last) is not int or last < 0:
        return None
    return Entry(name, mode, tuple(shape), block, first + last)
