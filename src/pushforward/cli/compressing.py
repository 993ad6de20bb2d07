"""Commands `pushforward compress` and `pushforward decompress`: from pictures and arrays to an archive, and back."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch

from ..compression import Archive, ArchiveSummary, Item, compress, sources
from ..compression.manifest import Entry
from ..compression.restoring import restore
from ..compression.sizes import add_sizes
from ..compression.writing import LARGER
from ..errors import DataError, FileError
from ..output import require_writable
from ..serialize import Saved, load
from .console import Terminal, aligned, duration, printable
from .options import MachineOptions, UsageError
from .task import require_alone

Array = np.ndarray[Any, np.dtype[Any]]
EVERY = 5.0
"""Time between two lines of progress, in seconds."""


def compress_files(
    model: str,
    given: Sequence[str],
    out: str,
    rows: int | None,
    machine: MachineOptions,
    *,
    verify: bool,
    baselines: bool,
    json: bool,
) -> int:
    """Write an archive and print its size beside the sizes of the files."""
    terminal = Terminal(quiet=machine.quiet, json=json)
    _start(machine)
    if not given:
        raise UsageError("expected pictures, .npy arrays or folders to compress, got none")
    require_writable(out, "--out", [model, *given])
    saved = _codable(model)
    paths = sources.paths_in(given)
    require_writable(out, "--out", [os.fspath(path) for path in paths.values()])
    files = sum(path.stat().st_size for path in paths.values())
    terminal.tell(f"{len(paths):,} file{'s' * (len(paths) != 1)} to compress")
    others = {"PNG": 0, "WebP": 0} if baselines else {}
    spent = [0.0]

    def items() -> Iterator[Item]:
        for item in sources.items_in(paths, saved.model.space.shape):
            if others:
                started = time.perf_counter()
                add_sizes(item, others)
                spent[0] += time.perf_counter() - started
            yield item

    last = [time.perf_counter()]

    def progress(summary: ArchiveSummary) -> None:
        if time.perf_counter() - last[0] >= EVERY:
            last[0] = time.perf_counter()
            terminal.tell(f"{summary.items:,} read, {summary.size:,} bytes written")

    def compare(entry: Entry, array: Array) -> None:
        sources.require_same(paths[entry.name], entry, array)

    summary = compress(
        out,
        items(),
        saved.model,
        spec=_spec(saved),
        model_name=os.path.basename(model),
        rows=rows,
        workers=_workers(machine),
        verify=verify,
        compare=compare,
        progress=progress,
    )
    summary.seconds -= spent[0]
    terminal.conclude(_text(summary, files, others, verified=verify), _record(model, out, summary, files, others))
    for why, count in summary.reasons.items():
        terminal.tell(f"note: {count:,} block{'s' * (count != 1)} stored without the model: {why}")
    if summary.reasons[LARGER] or summary.size > max(files, 1):
        terminal.tell(_warning(summary, files))
    terminal.tell(f"wrote {out}")
    return 0


def decompress_file(
    path: str, out: str, model: str | None, only: Sequence[str], machine: MachineOptions, *, json: bool
) -> int:
    """Restore the items of an archive; damaged items are listed, and the others are restored."""
    terminal = Terminal(quiet=machine.quiet, json=json)
    _start(machine)
    if os.path.exists(out) and not os.path.isdir(out):
        raise FileError(f"{out} cannot be used for --out: it is a file; give a folder")
    with Archive(path) as looked:
        name = looked.header["model_name"]
    saved = _codable(_model_path(path, model, name))
    started = time.perf_counter()
    with Archive(path, saved.model, spec=_spec(saved), workers=_workers(machine)) as archive:
        if not archive.same_machine:
            made = repr(str(archive.header.get("by", "nothing known"))[:200])
            terminal.warn(
                f"note: this machine computes differently from the one that wrote {path} (with {made}); every block is "
                "checked, and blocks that cannot be restored here are listed"
            )
        problems = archive.check()
        wanted = [_named(archive, one) for one in only] if only else range(len(archive))
        restored = restore(archive, wanted, out, path, terminal.warn)
    lost, unwritten = restored.lost, restored.unwritten
    seconds = time.perf_counter() - started
    for problem in problems:
        terminal.warn(f"{path}: {problem}")
    speed = f", {restored.values / 1e6 / seconds:.2f} MB/s" if seconds and restored.values else ""
    counts = f"restored {len(restored.paths):,} of {len(wanted):,} to {printable(out)}"
    terminal.conclude(
        f"{counts} in {duration(seconds)}{speed}, every one checked",
        {"archive": path, "restored": restored.paths, "lost": lost, "damage": problems, "seconds": seconds},
    )
    if unwritten:
        # A full disk is not a damage of the archive, so it has a message of its own.
        left = f"{unwritten[0]}; {len(unwritten):,} of {len(wanted):,} items were not restored"
        if not (lost or problems):
            raise FileError(f"{left}, and the archive is whole; make room, or give another folder")
        terminal.warn(f"{path}: {left}; make room, or give another folder")
    if lost or problems:
        raise FileError(_damage(path, len(wanted), len(lost), len(restored.paths)))
    return 0


def _damage(path: str, wanted: int, lost: int, restored: int) -> str:
    """Return a sentence about a damaged archive and its lost items."""
    if not wanted:
        return f"{path} is damaged: no item was found in it, and nothing was restored"
    if not lost:
        return f"{path} is damaged; none of the {wanted:,} items found in it is lost, and {restored:,} were restored"
    others = "the others were restored and checked" if lost + restored == wanted else f"{restored:,} were restored"
    return f"{path} is damaged: {lost:,} of {wanted:,} items are lost, {others if restored else 'nothing was restored'}"


def _start(machine: MachineOptions) -> None:
    require_alone()
    if machine.device == "cuda":
        raise UsageError(
            "compression computes on the processor, because its results must be repeatable; leave out --device"
        )
    torch.set_num_threads(1)


def _workers(machine: MachineOptions) -> int:
    """Return the number of threads, at most that of processors: each has its own coder, so more would only need memory."""
    return min(machine.threads, os.cpu_count() or 1)


def _codable(path: str) -> Saved:
    saved = load(path)
    if saved.schema is not None:
        raise DataError(f"expected a model of pictures in {path}, got one of a table; tables are not compressed")
    return saved


def _spec(saved: Saved) -> dict[str, Any] | None:
    return None if saved.spec is None else saved.spec.to_dict()


def _model_path(archive: str, given: str | None, name: str) -> str:
    """Return the model file: the given one, or a file with the name in the archive, beside the archive or in this folder."""
    if given is not None:
        return given
    safe = os.path.basename(name)
    places = [os.path.join(os.path.dirname(os.path.realpath(archive)), safe), safe] if safe else []
    for place in places:
        if os.path.isfile(place):
            return place
    wanted = (
        f"{safe if safe.isprintable() else repr(safe)}, which is neither beside the archive nor here"
        if safe
        else "which it does not name"
    )
    raise UsageError(f"{archive} needs the model that it was written with, {wanted}; give it with --model")


def _named(archive: Archive, name: str) -> int:
    if name in archive.names:
        return archive.names.index(name)
    raise DataError(f"the archive holds no {name!r}; it holds {len(archive)} items, such as {archive.names[:3]}")


def _warning(summary: ArchiveSummary, files: int) -> str:
    """Return a warning about a model that does not make these files smaller."""
    if summary.size > files:
        return (
            f"warning: the archive has {summary.size:,} bytes and the files {files:,}; "
            "fit the model on files like these, or keep the files"
        )
    blocks = f"{summary.reasons[LARGER]:,} of {summary.coded + summary.stored:,}"
    return f"warning: the model made {blocks} blocks larger, which are stored without it; fit it on files like these"


def _record(model: str, out: str, summary: ArchiveSummary, files: int, others: dict[str, int]) -> dict[str, Any]:
    return {
        "model": model,
        "archive": out,
        "items": summary.items,
        "values": summary.values,
        "bytes": summary.raw,
        "file_bytes": files,
        "archive_bytes": summary.size,
        "bits_per_dimension": summary.bits_per_value if summary.values else None,
        "model_bits_per_dimension": summary.bits / summary.values if summary.values and not summary.stored else None,
        "ratio": summary.raw / summary.size,
        "seconds": summary.seconds,
        "blocks": {"coded": summary.coded, "stored": summary.stored},
        "others": others,
    }


def _text(summary: ArchiveSummary, files: int, others: dict[str, int], *, verified: bool) -> str:
    rows = [("", "bytes", "bits/dim", "ratio")]
    sizes = {"before": summary.raw, "files": files, "archive": summary.size, **others}
    for name, size in sizes.items():
        bits = f"{8 * size / summary.values:.3f}" if summary.values else "-"
        ratio = f"{summary.raw / size:.2f}" if size and summary.raw else "-"
        rows.append((name, f"{size:,}", bits, ratio))
    lines = [aligned(rows, right=(1, 2, 3))]
    if summary.values and summary.coded and not summary.stored:
        lines.append(f"  {summary.bits / summary.values:.3f} bits/dim by the model itself")
    again = "every block decoded again" if verified else "only the first block decoded again"
    if summary.seconds > 0 and summary.raw:
        lines.append(f"  {duration(summary.seconds)}, {summary.raw / 1e6 / summary.seconds:.2f} MB/s, {again}")
    return "\n".join(lines)
