"""The metrics file: one JSON object a line, one line an epoch."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..errors import FileError
from .checkpoint import replace_file


class MetricsFile:
    """Lines of a JSONL file, written and flushed as epochs end. Numbers that are not finite become null.

    Args:
        path: the file; what it held before is replaced by the lines of `history`.
        history: of the epochs already done, when a run is resumed.

    Raises:
        FileError: the file cannot be written.
    """

    def __init__(self, path: str | os.PathLike[str], history: Sequence[dict[str, Any]] = ()) -> None:
        self.path = Path(path)
        text = "".join(map(_line, history))
        replace_file(self.path, lambda file: file.write(text.encode()), "the metrics")
        self.file = self.path.open("a", encoding="utf-8")

    def write(self, record: dict[str, Any]) -> None:
        """Append one epoch."""
        self.file.write(_line(record))
        self.file.flush()

    def close(self) -> None:
        """Close the file."""
        self.file.close()


def _line(record: dict[str, Any]) -> str:
    plain = {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in record.items()}
    try:
        return json.dumps(plain) + "\n"
    except TypeError as error:
        raise FileError(f"expected numbers and text in the metrics, got {plain}: {error}") from None
