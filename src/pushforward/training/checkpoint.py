"""Checkpoints: the whole state of a run in one file, replaced in one go and read without running code from it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any

import torch

from ..errors import FileError, TrainingError
from .config import TrainConfig
from .weights import Weights, plain_name

FORMAT = "pushforward training checkpoint"
VERSION = 2
PARTS = frozenset({"weights", "optimiser", "average", "best", "position", "random", "config", "data"})


def save_checkpoint(path: Path, state: Mapping[str, Any]) -> None:
    """Write a run's state: to a file beside `path` first, which then takes its place.

    Raises:
        FileError: it cannot be written; what was at `path` is still there.
    """
    content = {"format": FORMAT, "version": VERSION, **state}
    replace_file(path, lambda file: torch.save(content, file), "the checkpoint")


def load_checkpoint(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read a run's state, with `weights_only=True`: nothing in the file is executed.

    Raises:
        FileError: the file is missing, truncated, or no checkpoint of this version.
    """
    path = Path(path)
    if not path.is_file():
        raise FileError(f"expected a training checkpoint at {path}, got no file there")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    # Broken files raise half a dozen unrelated types, some of them bare RuntimeErrors.
    except Exception:
        raise FileError(f"expected a training checkpoint, got a truncated or foreign file in {path}") from None
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        raise FileError(f"expected a training checkpoint, got another kind of file in {path}")
    if state.get("version") != VERSION:
        raise FileError(f"expected a training checkpoint of version {VERSION}, got {state.get('version')} in {path}")
    if not state.keys() >= PARTS:
        raise FileError(f"expected a complete training checkpoint, got one without some of its parts in {path}")
    return state


def require_same_run(
    state: Mapping[str, Any], path: object, config: TrainConfig, weights: Weights, fingerprint: list[str]
) -> None:
    """Refuse a checkpoint of another model, other data or other options.

    Raises:
        TrainingError: naming the first difference.
    """
    then, now = _shapes(state["weights"]), _shapes(weights)
    for name in [*now, *then]:
        if then.get(name) != now.get(name):
            raise TrainingError(
                f"the checkpoint in {path} is of another model: {plain_name(name)} is {then.get(name, 'absent')} there and "
                f"{now.get(name, 'absent')} here; build the model with the same arguments"
            )
    if state["data"] != fingerprint:
        raise TrainingError(
            f"the checkpoint in {path} is of other data or another split; resume with the same rows, context and validation"
        )
    different = config.differences(state["config"])
    if different:
        name = different[0]
        raise TrainingError(
            f"the checkpoint in {path} is of a run with {name}={state['config'].get(name)!r}, got {name}="
            f"{getattr(config, name)!r}; only its length (epochs, max_steps, max_seconds) and speed (compile, threads) may "
            "change on resume"
        )


def replace_file(path: Path, write: Callable[[IO[bytes]], object], what: str) -> None:
    """Write a file beside `path` and move it there, so that at any moment the old or the new content is complete.

    Raises:
        FileError: naming `what`; nothing is left behind, and what was at `path` is still there.
    """
    beside = path.with_name(f".{path.name}.tmp")
    try:
        with beside.open("wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    except BaseException as error:
        with contextlib.suppress(OSError):
            beside.unlink()
        # torch.save turns a full disk into a RuntimeError.
        if not isinstance(error, (OSError, RuntimeError)):
            raise
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise FileError(f"cannot write {what} to {path}: {reason}") from None


def _shapes(weights: Weights) -> dict[str, str]:
    return {name: f"{tuple(t.shape)} {t.dtype}" for name, t in weights.items()}
