"""The metrics file: one JSON object on each line, one line for each epoch."""

from __future__ import annotations

import json
import logging
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..errors import FileError
from ..output import atomic_output, reason

logger = logging.getLogger("pushforward.training")


class MetricsFile:
    """JSONL file with one line for each epoch; numbers that are not finite become null.

    If the disk is full later, the run continues: there is one warning, and the missing lines are written as soon as
    there is space again.

    Args:
        path: Path of the file; its content is replaced by the lines of `history`.
        history: Records of the epochs already done, if a run is resumed.

    Raises:
        FileError: The file cannot be written.
    """

    def __init__(self, path: str | os.PathLike[str], history: Sequence[dict[str, Any]] = ()) -> None:
        self.path = Path(path)
        with atomic_output(path) as temporary:
            temporary.write_bytes("".join(map(_line, history)).encode())
        self.waiting, self.warned = b"", False
        try:
            # Without a buffer: bytes that a full disk refused would stay in it and raise again when the file is closed.
            self.file = self.path.open("ab", buffering=0)
        except OSError as error:
            raise FileError(f"{path} cannot be written: {reason(error)}") from None

    def write(self, record: dict[str, Any]) -> None:
        """Append the record of one epoch, after those that could not be written before."""
        self.waiting += _line(record).encode()
        try:
            while self.waiting:
                self.waiting = self.waiting[self.file.write(self.waiting) or 0 :]
        except OSError as error:
            if not self.warned:
                logger.warning("%s cannot be written: %s; training continues without it", self.path, reason(error))
            self.warned = True

    def close(self) -> None:
        """Close the file."""
        self.file.close()


def _line(record: dict[str, Any]) -> str:
    plain = {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in record.items()}
    try:
        return json.dumps(plain) + "\n"
    except TypeError as error:
        raise FileError(f"expected numbers and text in the metrics, got {plain}: {error}") from None
