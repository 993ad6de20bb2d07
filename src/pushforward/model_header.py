"""The header of a model file with the description of the model, read as JSON without the weights and without torch."""

from __future__ import annotations

import hashlib
import json
import math
import os
from typing import Any

from .description import is_complete, is_deep
from .errors import FileError, brief
from .output import reason

FORMAT = 2
"""Version of the file layout that is written; older ones can be read, newer ones cannot."""
KEY = "pushforward"
"""Key of the description in the metadata of the file."""
LARGEST_HEADER = 100_000_000
"""Size in bytes of the largest header that is read."""


def inspect_file(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Return the description in a model file, without reading its weights.

    Returns:
        Entries format, version, model ("table", "system" or "structure"), spec, schema, dtype, training, parameters (number of
        values in the tensors of the file); and structure for a model put together by hand.

    Raises:
        FileError: The file is not a model file according to its header.
    """
    document = read_description(os.fspath(path))
    return {key: value for key, value in document.items() if key != "tensors"}


def read_description(name: str) -> dict[str, Any]:
    """Return the description in the header of a model file, together with the number of values in its tensors.

    Raises:
        FileError: The file is missing, truncated, corrupted, of another kind, or written by a newer version.
    """
    header = _header(name)
    metadata = header.get("__metadata__")
    text = metadata.get(KEY) if isinstance(metadata, dict) else None
    if not isinstance(metadata, dict) or not isinstance(text, str):
        raise FileError(f"{name} is a safetensors file, but not one that pushforward wrote")
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict) or is_deep(document):
        raise FileError(f"{name} is corrupted: its description is not JSON; copy or download it again")
    layout = document.get("format")
    if isinstance(layout, int) and layout > FORMAT:
        raise FileError(
            f"{name} has format {brief(layout, 20)}, written by pushforward {str(document.get('version', 'unknown'))[:40]}; "
            f"this version reads up to format {FORMAT}, so update pushforward"
        )
    if metadata.get("sha256") != hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest():
        raise FileError(f"{name} is corrupted: its description does not match its checksum; copy or download it again")
    if not isinstance(layout, int) or isinstance(layout, bool) or layout < 1 or not is_complete(document):
        raise FileError(f"{name} is not a model file of pushforward: its description is incomplete")
    document["parameters"] = sum(_count(entry) for key, entry in header.items() if key != "__metadata__")
    return document


def _header(name: str) -> dict[str, Any]:
    """Return the JSON header; its length is checked against the file's size before anything of that length is read."""
    if not os.path.exists(name):
        raise FileError(f"expected a model file at {name}, got none; check the path")
    if os.path.isdir(name):
        raise FileError(f"expected a model file at {name}, got a directory")
    try:
        size = os.path.getsize(name)
        with open(name, "rb") as file:
            start = file.read(8)
            length = int.from_bytes(start, "little")
            if size == 0:
                raise FileError(f"{name} is empty")
            if len(start) < 8 or length > min(size - 8, LARGEST_HEADER):
                raise FileError(f"{name} is truncated, or not a model file of pushforward")
            header = json.loads(file.read(length))
    except OSError as error:
        raise FileError(f"{name} cannot be read: {reason(error)}") from None
    except FileError:
        raise
    except (ValueError, RecursionError):
        raise FileError(f"{name} is corrupted, or not a model file of pushforward") from None
    if not isinstance(header, dict):
        raise FileError(f"{name} is corrupted, or not a model file of pushforward")
    return header


def _count(entry: Any) -> int:
    shape = entry.get("shape") if isinstance(entry, dict) else None
    return math.prod(shape) if isinstance(shape, list) and all(isinstance(s, int) for s in shape) else 0
