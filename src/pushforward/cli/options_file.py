"""Options from a TOML file, for options that are given neither by a flag nor by an environment variable.

[fit]
lr = 1e-3
kind = {age = "integer"}        # as --kind age=integer
set = {layers = 5, hidden = [128, 128]}
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Collection, Mapping
from typing import Any

from cyclopts import App
from cyclopts.argument import ArgumentCollection
from cyclopts.config import Dict

from ..errors import FileError, brief, suggestion
from .options import UsageError

DEEP = re.compile(r"""(?<![\w"'-])(?:[\w"'-]+[ \t]*\.[ \t]*){64}""")
"""Pattern of a key with 64 or more parts. No option has such a key, and the time to parse it grows at least quadratically."""


def options_from_file(path: str, root: App, app: App, commands: tuple[str, ...], arguments: ArgumentCollection) -> None:
    """Add the options of a file to those of a command.

    Args:
        path: Path of the file.
        root: Whole application; the file can have a table for each of its commands.
        app: Application that collects the arguments.
        commands: Name of the command.
        arguments: Arguments of the command.

    Raises:
        FileError: The file cannot be read.
        UsageError: The file is not TOML, or has an unknown table or key.
    """
    tables = _read(path)
    _refuse_unknown(path, tables, [name for name in root if not name.startswith("-")], "table")
    options = tables.get(commands[0], {})
    if not isinstance(options, dict):
        raise UsageError(f"{path}: expected a table [{commands[0]}], got a single value")
    named = {name.replace("_", "-"): value for name, value in options.items()}
    known = [name.removeprefix("--") for argument in arguments for name in argument.names if name.startswith("--")]
    _refuse_unknown(path, named, [name for name in known if name != "config"], "option")
    plain = {name: _plain(value) for name, value in named.items()}
    Dict(plain, source=path, use_commands_as_keys=False)(app, commands, arguments)


def _read(path: str) -> dict[str, Any]:
    try:
        with open(path, "rb") as file:
            text = file.read().decode()
        if DEEP.search(text):
            raise RecursionError
        return tomllib.loads(text)
    except OSError as error:
        raise FileError(f"{path} cannot be read: {(error.strerror or str(error)).lower()}") from None
    # A ValueError is an error in the TOML text, in its encoding, or a whole number with thousands of digits.
    except ValueError as error:
        raise UsageError(f"{path}: expected a TOML file, got other text: {error}") from None
    except RecursionError:
        raise UsageError(
            f"{path}: expected a TOML file with a table for each command, got lists or tables in each other"
        ) from None


def _refuse_unknown(path: str, given: Collection[str], known: Collection[str], what: str) -> None:
    for name in given:
        if name not in known:
            raise UsageError(f"{path} has an unknown {what} {brief(name)}; {suggestion(name, known, 'it can have:')}")


def _plain(value: Any) -> Any:
    """Return a TOML table as a list of NAME=VALUE texts, the form of repeated options; other values are unchanged."""
    if isinstance(value, list) and any(isinstance(entry, (list, Mapping)) for entry in value):
        raise UsageError(f"expected a list of values, got {brief(value)}")
    if isinstance(value, Mapping):
        return [f"{name}={_text(entry)}" for name, entry in value.items()]
    return value


def _text(value: Any) -> str:
    entries = value if isinstance(value, list) else [value]
    if any(isinstance(entry, Mapping) or (isinstance(value, list) and isinstance(entry, list)) for entry in entries):
        raise UsageError(f"expected a value or a list of values, got {brief(value)}")
    if isinstance(value, list):
        return ",".join(map(_text, value))
    return str(value).lower() if isinstance(value, bool) else str(value)
