"""Fields, defaults and docstrings of dataclasses, read from their source with `ast`: nothing is imported or run.

The classes of systems and of training options import torch, which takes seconds. The help of the command line and the list of
systems need only what is written in their files.
"""

from __future__ import annotations

import ast
import functools
import math
import re
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MISSING: Any = object()
"""Default of a field that has none."""
_NAMES: dict[str, Any] = {t.__name__: t for t in (bool, int, float, str, tuple, list, dict, range)} | {"math": math}


@dataclass(frozen=True)
class SourceField:
    """One field of a dataclass.

    Args:
        name: Name of the field.
        hint: Declared type; None where it cannot be found without importing.
        default: Default value, or `MISSING`.
        text: Text of the field in the Args section of the docstring, on one line.
    """

    name: str
    hint: Any
    default: Any
    text: str


class SourceClass:
    """One class of a source file.

    Args:
        node: The definition of the class.
        module: The file it is in.
    """

    def __init__(self, node: ast.ClassDef, module: SourceModule) -> None:
        self.node, self.module, self.name = node, module, node.name
        bases = [module.lookup(base.id) for base in node.bases if isinstance(base, ast.Name)]
        self.bases = [base for base in bases if isinstance(base, SourceClass)]

    @functools.cached_property
    def _shadow(self) -> type:
        """An empty class with the same bases, which Python puts in the order of their methods."""
        return type(self.name, tuple(base._shadow for base in self.bases), {"source": self})

    @property
    def ancestors(self) -> list[SourceClass]:
        """The class and those it inherits from, in the order in which Python looks names up."""
        return [shadow.__dict__["source"] for shadow in self._shadow.__mro__ if shadow is not object]

    @property
    def keywords(self) -> dict[str, Any]:
        """Keywords after the bases, such as `register=False`."""
        return {k.arg: self.module.value(k.value) for k in self.node.keywords if k.arg}

    @property
    def doc(self) -> str:
        """Docstring of the class itself."""
        return ast.get_docstring(self.node) or ""

    def __getattr__(self, name: str) -> Any:
        """Value of a class attribute, its own or an inherited one."""
        for cls in self.ancestors if not name.startswith("_") else ():
            for target, value in cls._assignments():
                if target == name:
                    return cls.module.value(value)
        raise AttributeError(f"{self.name} has no attribute {name!r}")

    def _assignments(self) -> Iterator[tuple[str, ast.expr]]:
        for part in self.node.body:
            if isinstance(part, ast.Assign) and isinstance(part.targets[0], ast.Name):
                yield part.targets[0].id, part.value
            elif isinstance(part, ast.AnnAssign) and isinstance(part.target, ast.Name) and part.value is not None:
                yield part.target.id, part.value

    def fields(self) -> list[SourceField]:
        """The fields of the dataclass, in the order of its constructor."""
        found: dict[str, SourceField] = {}
        for cls in reversed(self.ancestors):
            for part in cls.node.body:
                if not isinstance(part, ast.AnnAssign) or not isinstance(part.target, ast.Name):
                    continue
                if "ClassVar" not in ast.unparse(part.annotation):
                    name = part.target.id
                    default = MISSING if part.value is None else cls.module.value(part.value)
                    found[name] = SourceField(name, cls.module.value(part.annotation, None), default, "")
        texts = argument_texts(cls.doc for cls in reversed(self.ancestors))
        return [SourceField(f.name, f.hint, f.default, texts.get(f.name, "")) for f in found.values()]


class SourceModule(Mapping[str, Any]):
    """One source file; as a mapping, the values of the names in it.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        self.path, self._classes = path, dict[str, SourceClass]()
        self._places: dict[str, ast.expr | ast.ClassDef | tuple[ast.ImportFrom, str]] = {}
        for part in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(part, ast.ClassDef):
                self._places[part.name] = part
            elif isinstance(part, ast.Assign) and isinstance(part.targets[0], ast.Name):
                self._places[part.targets[0].id] = part.value
            elif isinstance(part, ast.ImportFrom):
                self._places |= {alias.asname or alias.name: (part, alias.name) for alias in part.names}

    def classes(self) -> list[SourceClass]:
        """The classes that are defined in the file."""
        return [self[name] for name, place in self._places.items() if isinstance(place, ast.ClassDef)]

    def __getitem__(self, name: str) -> Any:
        """Value of a name: of a constant, a type or a class, also of one imported from another file of the package."""
        place = self._places.get(name)
        if isinstance(place, ast.ClassDef):
            if name not in self._classes:
                self._classes[name] = SourceClass(place, self)
            return self._classes[name]
        if isinstance(place, ast.expr):
            return self.value(place)
        if isinstance(place, tuple):
            return self._imported(*place)
        return _NAMES[name]

    def lookup(self, name: str) -> Any:
        """The same, None for a name whose value cannot be found."""
        try:
            return self[name]
        except (KeyError, AttributeError, OSError):
            return None

    def _imported(self, part: ast.ImportFrom, name: str) -> Any:
        if part.level == 0:
            return getattr(typing if part.module == "typing" else object(), name)
        folder = self.path.parents[part.level - 1].joinpath(*(part.module or "").split("."))
        return source_module(folder / "__init__.py" if folder.is_dir() else folder.with_suffix(".py"))[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)

    def value(self, node: ast.expr, otherwise: Any = MISSING) -> Any:
        """Value of a constant expression, such as a default or a declared type; `otherwise` where it is not one."""
        code = compile(ast.fix_missing_locations(ast.Expression(node)), str(self.path), "eval")
        try:
            # The file is one of this package; only names of constants and types can be found in it.
            return eval(code, {"__builtins__": {}}, self)
        except (NameError, KeyError, AttributeError, TypeError, ValueError, OSError):
            return otherwise


@functools.cache
def source_module(path: Path) -> SourceModule:
    """Return a source file, read once."""
    return SourceModule(path)


def package_file(*parts: str) -> Path:
    """Return a file or folder of this package."""
    return Path(__file__).parent.joinpath(*parts)


def first_sentence(text: str) -> str:
    """Return the first sentence of a text."""
    return re.split(r"(?<=[.])\s+(?=[A-Z\"`(])", text, maxsplit=1)[0]


def argument_texts(docstrings: Iterator[str]) -> dict[str, str]:
    """Return the text of each argument in the Args sections of docstrings; later ones replace earlier ones."""
    found: dict[str, str] = {}
    for text in docstrings:
        section = text.partition("Args:\n")[2]
        entries = re.findall(r"^    (\w+): (.*(?:\n {8}.*)*)", section, re.M)
        found |= {name: " ".join(lines.split()) for name, lines in entries}
    return found
