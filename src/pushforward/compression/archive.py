"""Reader of archives: each item is decoded from its own blocks and verified."""

from __future__ import annotations

import math
import os
import zlib
from collections import OrderedDict
from collections.abc import Iterator
from concurrent.futures import Future
from types import TracebackType
from typing import Any, Self

import numpy as np

from ..core import Distribution
from ..errors import DataError, FileError
from ..systems.spec import former_description
from . import tiles
from .allocation import INFLATION, LARGEST_ITEM, accepted_rows, volume
from .container import RAW, STORED, Block, Reader, unpacked
from .events import model_hash
from .manifest import Entry, entry_of
from .workers import Coders, pool

Array = np.ndarray[Any, np.dtype[Any]]


class Archive:
    """Archive that is open for reading. Close it, or use it in a `with` statement.

    Each item is decoded from its own blocks, without the rest of the file.

    Args:
        path: Path of the archive.
        model: Model with which the archive was written; without it only the list of items can be read.
        spec: Description of the model, as for `compress`.
        workers: Number of threads that decode blocks in advance.

    Raises:
        FileError: The file is not an archive, cannot be read, or was written with another model.
        SpecError: The model cannot code events.
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
        """Whether this machine computes the same numbers as the writer's machine, as far as a test batch shows."""
        self._coders: Coders | None = None
        self._pool = pool(workers)
        self._ahead, self._kept = workers, OrderedDict[int, "Future[Array]"]()
        try:
            self._read_header()
            if model is not None:
                self._use(model, spec, workers)
            self.entries = list(self._listed())
            self._numbers = {entry.name: i for i, entry in enumerate(self.entries)}
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
                raise self._damaged(f"a header with {name}", "one without it")
        event, rows = self.header["event"], self.header["rows"]
        if not event or not all(type(n) is int and n > 0 for n in event) or math.prod(event) > 1 << 24:
            raise self._damaged("the shape of an event", "another value")
        if self.header["dtype"] not in ("uint8", "int64"):
            raise self._damaged("the type uint8 or int64", repr(self.header["dtype"][:20]))
        most = accepted_rows(math.prod(event), self._reader.places)
        if not 0 < rows <= most:
            raise self._damaged(f"1 to {most:,} events in a block", f"{rows:,}" if rows < 1 << 62 else "far more")
        self._event: tuple[int, ...] = tuple(event)

    def _damaged(self, expected: str, got: str) -> FileError:
        return FileError(
            f"{self._reader.path} is damaged, or not written by pushforward: expected {expected}, got {got}; "
            "use another copy of the file"
        )

    def _use(self, model: Distribution, spec: dict[str, Any] | None, workers: int) -> None:
        described = (spec,) if spec is None else (spec, former_description(spec))
        if self.header["model"] not in {model_hash(model, each) for each in described}:
            name = f" ({self.header['model_name']})" if self.header["model_name"] else ""
            raise FileError(
                f"{self._reader.path} was written with another model{name}; give the one that it was written with"
            )
        if self._event != model.space.shape:
            raise self._damaged(f"events of shape {model.space.shape}", f"{self._event}")
        self._coders = Coders(model, self.header["rows"], workers)
        self.same_machine = self._coders.fingerprint == self.header["fingerprint"]

    def __enter__(self) -> Self:
        """Return the archive."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Close the file."""
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._pool.shutdown(cancel_futures=True)
        self._reader.close()

    def __len__(self) -> int:
        """Return the number of items."""
        return len(self.entries)

    @property
    def names(self) -> list[str]:
        """Names of the items."""
        return [entry.name for entry in self.entries]

    @property
    def damage(self) -> list[str]:
        """Messages about damage found when the file was opened."""
        return self._reader.damage

    def check(self) -> list[str]:
        """Read the whole file, and return messages about all damage in it."""
        return list(self._reader.check())

    def _listed(self) -> Iterator[Entry]:
        """Yield the items of all blocks; invalid items and repeated names are reported as damage and skipped."""
        names: set[str] = set()
        for i, (_, _, events, first) in enumerate(self._reader.places):
            for value in self._reader.items(i):
                entry = entry_of(value, i, first, events)
                if entry is None or not self._fits(entry):
                    self._note(f"block {i} has an invalid list of items")
                elif entry.name in names:
                    self._note(f"block {i} repeats the name {entry.name!r}; the first item of that name is kept")
                elif len(names) >= self._reader.size:
                    raise self._damaged(f"at most {self._reader.size:,} items in a file of so many bytes", "more")
                else:
                    names.add(entry.name)
                    yield entry

    def _note(self, sentence: str) -> None:
        if sentence not in self._reader.damage[-1:]:
            self._reader.damage.append(sentence)

    def _fits(self, entry: Entry) -> bool:
        """Return whether an item can consist of events of this archive."""
        if entry.dtype:
            return True
        if entry.mode == "events":
            return entry.shape[1:] == self._event
        if len(self._event) != 3:
            return False
        empty = 0 in entry.shape
        fits = tiles.count(entry.shape, self._event) > 0
        return (empty or fits) and volume(entry.shape) * volume(self._event) <= LARGEST_ITEM

    def read(self, which: int | str) -> Array:
        """Return the array of an item, by index or name, verified against its stored checksum.

        Raises:
            FileError: The item is lost or damaged, or this machine does not compute the same numbers as the writer's.
            DataError: The archive has no such item.
        """
        entry = self._found(which)
        if entry.dtype:
            return self._raw(entry)
        if entry.mode == "events":
            return self._events(entry.name, entry.first, entry.shape[0]).reshape(entry.shape)
        count = tiles.count(entry.shape, self._event)  # type: ignore[arg-type]
        return tiles.joined(self._events(entry.name, entry.first, count), entry.shape)

    def picture(self, which: int | str, i: int) -> Array:
        """Return picture i (H, W, C) of an item of pictures, or row i of an item of events, from its own blocks.

        Raises:
            FileError: The picture is lost or damaged.
            DataError: The archive has no such item or picture.
        """
        entry = self._found(which)
        pictures = 0 if entry.mode in ("raw", "file") else entry.shape[0]
        if not 0 <= i < pictures:
            raise DataError(f"expected a number from 0 to {pictures - 1} of {entry.name!r}, got {i}")
        if entry.dtype:
            return self._raw(entry)[i]
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
        if which in self._numbers:
            return self.entries[self._numbers[which]]
        raise DataError(f"expected the name of an item in {self._reader.path}, got {which!r}")

    def _raw(self, entry: Entry) -> Array:
        block = self._reader.block(entry.block)
        dtype = np.dtype(entry.dtype)
        size = math.prod(entry.shape) * dtype.itemsize
        possible = block is not None and block.kind == RAW and size <= INFLATION * len(block.payload)
        data = unpacked(block.payload, size) if block is not None and possible else None
        if block is None or data is None or len(data) != size or zlib.crc32(data) != block.crc:
            raise FileError(f"{self._reader.path}: {entry.name!r} is damaged and lost")
        return np.frombuffer(data, dtype).reshape(entry.shape).copy()

    def _events(self, name: str, first: int, count: int) -> Array:
        """Return events first ... first + count - 1, from the blocks that contain them."""
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
        """Return the future of the events of a block; a few futures are kept."""
        if i not in self._kept:
            block = self._reader.block(i)
            self._kept[i] = self._pool.submit(self._decoded, block)
        # Items that are read one after another need the current block and the blocks decoded ahead; the oldest results
        # are dropped.
        self._kept.move_to_end(i)
        while len(self._kept) > self._ahead + 1:
            self._kept.popitem(last=False)
        return self._kept[i]

    def _decoded(self, block: Block | None) -> Array:
        if block is None or block.kind == RAW or not 0 < block.events <= self.header["rows"]:
            raise FileError("its block is damaged")
        dtype = np.dtype(self.header["dtype"])
        if block.kind == STORED:
            size = block.events * math.prod(self._event) * dtype.itemsize
            data = unpacked(block.payload, size)
            if data is None or len(data) != size:
                raise FileError("its block is damaged")
            events = np.frombuffer(data, dtype).reshape(block.events, *self._event)
        elif self._coders is None:
            raise FileError(f"expected the model {self.header['model_name']!r} to decode it, got none; give the model")
        else:
            found = self._coders.run(lambda coder: coder.decode(block.payload, block.events))
            events = found.numpy().astype(dtype)
        if zlib.crc32(np.ascontiguousarray(events).tobytes()) != block.crc:
            raise FileError(
                "the decoded events differ from those that were written; this machine computes other numbers than the writer's"
            )
        return events
