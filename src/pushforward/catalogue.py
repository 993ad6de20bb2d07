"""Catalogue of the named systems with their arguments, papers and presets, read from their source without importing torch."""

from __future__ import annotations

import dataclasses
import inspect
import os
import sys
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .dataclass_source import MISSING, SourceClass, argument_texts, package_file, source_module


@dataclass(frozen=True, kw_only=True)
class System:
    """One named system.

    Args:
        name: Name on the command line.
        family: Family that the system belongs to.
        symbol: Relation of log_prob to the log-likelihood: "=", ">=", "<=" or "~".
        paper: Authors, year and identifier of the publication.
        about: First line of the system's docstring.
        arguments: Name, type, default and text of each argument.
        sizes: Names of the arguments that follow from the data.
        presets: Named sets of arguments.
        pictures: Whether the system models pictures.
        clips: Whether the system models clips.
    """

    name: str
    family: str
    symbol: str
    paper: str
    about: str
    arguments: list[dict[str, str]]
    sizes: tuple[str, ...]
    presets: Mapping[str, Mapping[str, Any]]
    pictures: bool
    clips: bool

    def to_dict(self) -> dict[str, str]:
        """Return the entries that the list of systems shows."""
        return {key: getattr(self, key) for key in ("name", "family", "symbol", "paper", "about")}


def known_systems() -> dict[str, System]:
    """Return all systems by name: those of this library read from their source, those of other packages from their classes."""
    found = {}
    for path in sorted(package_file("systems").glob("*.py")):
        for cls in source_module(path).dataclasses():
            names = [parent.__name__ for parent in cls.ancestors]
            if "Spec" in names[1:] and cls.keywords.get("register", True):
                found[cls.attribute("name")] = _from_source(cls, names)
    if _has_entry_points():
        from . import systems  # noqa: F401  (loads the entry points)
        from .systems.spec import Spec

        found |= {name: _from_class(cls) for name, cls in Spec.registry.items() if name not in found}
    return dict(sorted(found.items()))


def _has_entry_points() -> bool:
    """Return whether an installed package declares systems; importing `importlib.metadata` would take longer."""
    folders = [Path(entry) for entry in sys.path if entry and os.path.isdir(entry)]
    files = (file for folder in folders for file in folder.glob("*-info/entry_points.txt"))
    return any("[pushforward.systems]" in file.read_text(encoding="utf-8", errors="replace") for file in files)


def _from_source(cls: SourceClass, names: list[str]) -> System:
    return System(
        **{key: cls.attribute(key) for key in ("name", "family", "symbol", "paper", "presets", "sizes")},
        about=cls.doc.partition("\n")[0],
        arguments=[_argument(f.name, f.hint, f.default, f.text) for f in cls.fields()],
        pictures="PictureSpec" in names,
        clips="ClipSpec" in names,
    )


def _from_class(cls: Any) -> System:
    from .systems.clip_spec import ClipSpec
    from .systems.picture_spec import PictureSpec

    hints = typing.get_type_hints(cls)
    texts: dict[str, str] = {}
    for part in reversed(cls.__mro__):
        texts |= argument_texts(inspect.cleandoc(part.__dict__.get("__doc__") or ""))
    return System(
        **{key: getattr(cls, key) for key in ("name", "family", "paper", "presets", "sizes")},
        symbol=next(cls.cases()).build().exactness.symbol,
        about=(inspect.getdoc(cls) or "").partition("\n")[0],
        arguments=[
            _argument(f.name, hints[f.name], MISSING if f.default is dataclasses.MISSING else f.default, text)
            for f in dataclasses.fields(cls)
            for text in [texts.get(f.name, "")]
        ],
        pictures=issubclass(cls, PictureSpec),
        clips=issubclass(cls, ClipSpec),
    )


def _argument(name: str, hint: Any, default: Any, text: str) -> dict[str, str]:
    shown = "" if default is MISSING else argument_text(default)
    return {"name": name, "type": _type_text(hint), "default": shown, "about": text}


def _type_text(hint: Any) -> str:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Literal:
        return "|".join(map(str, arguments))
    if origin is tuple:
        return f"{_type_text(arguments[0])},..."
    if arguments:
        return "|".join(map(_type_text, arguments))
    return "none" if hint is type(None) else getattr(hint, "__name__", str(hint))


def argument_text(value: Any) -> str:
    """Return an argument of a system in the form used on the command line."""
    if isinstance(value, (list, tuple)):
        return ",".join(map(argument_text, value))
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)
