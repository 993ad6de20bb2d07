"""`pushforward score` for pictures: the log-likelihood of each, and their bits per dimension."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np

from ..evaluation import Bits, bits_from, can_average, log_likelihoods
from ..pictures import ImageSet
from ..tables import Table, write_table
from ..terminal import write_error, write_output
from .display import BITS_MEANING, aligned, joined, print_json, tell
from .models import start
from .options import MachineOptions
from .pictures import CHUNK, LoadedPictures, open_pictures
from .scoring import require_score_options

Array = np.ndarray[Any, np.dtype[Any]]


def score_pictures(
    path: str, source: str, out: str | None, top: int, samples: int, machine: MachineOptions, *, json: bool
) -> int:
    """Score pictures, write the scores, list the least likely ones, summarise in bits per dimension.

    Raises:
        FlowError: see the package for the exit codes.
    """
    require_score_options(out, top, [path, source], json=json)
    loaded = open_pictures(path, start(machine))
    split = loaded.read(source)
    what, found = ("all", split.train) if split.test is None else ("test", split.test)
    scores = log_likelihoods(
        loaded.model,
        loaded.rows(found),
        loaded.context_of(found),
        samples=samples,
        seed=machine.seed,
        batch_size=CHUNK,
    )
    bits, log_prob = bits_from(loaded.model, scores, samples), scores.numpy()
    if out is not None:
        write_table(Table(("log_prob",), (log_prob,)), out)
    least = np.argsort(log_prob, kind="stable")[:top]
    if top and not json:
        (write_error if out == "-" else write_output)(_least_likely_text(loaded, found, log_prob, least))
    which = "test pictures" if what == "test" else "pictures"
    tell(f"{source}: {bits.events:,} {which}: {_bits_text(loaded, bits, samples)}", quiet=machine.quiet)
    if json:
        print_json(
            {
                "model": path,
                "source": source,
                "system": loaded.spec.name,
                "pictures": what,
                **asdict(bits),
                "least_likely": [_one(loaded, found, log_prob, i) for i in least],
            }
        )
    elif out not in (None, "-"):
        tell(f"wrote {out}", quiet=machine.quiet)
    return 0


def _bits_text(loaded: LoadedPictures, bits: Bits, samples: int) -> str:
    text = f"{bits.symbol} {joined(bits.value, bits.error)} bits per dimension, {BITS_MEANING[bits.symbol]}"
    if can_average(loaded.model.exactness):
        text += f" (average of {samples} draws)" if samples > 1 else " (one draw; --samples averages several)"
    elif samples > 1:
        text += "; --samples makes no difference"
    return text + (f"; {bits.impossible:,} of probability zero are left out" if bits.impossible else "")


def _one(loaded: LoadedPictures, found: ImageSet, log_prob: Array, i: int) -> dict[str, Any]:
    """What is known of a picture, its number from 1."""
    score = float(log_prob[i])
    entry = {"picture": int(i) + 1, "log_prob": score, "bits": loaded.model.space.bits(score)}
    return {**entry, "file": found.files[i]} if found.files else entry


def _least_likely_text(loaded: LoadedPictures, found: ImageSet, log_prob: Array, least: Array) -> str:
    lines = [("picture", "log_prob", "bits/dim", "file" if found.files else "")]
    for entry in (_one(loaded, found, log_prob, i) for i in least):
        lines.append((str(entry["picture"]), f"{entry['log_prob']:.5g}", f"{entry['bits']:.3f}", entry.get("file", "")))
    return aligned(lines, right=(0, 1, 2))
