"""Fields, defaults and docstrings of dataclasses, read from their source with `ast`, without importing or running it.

The classes of systems and of training options import torch, which takes seconds. The command-line help and the list of
systems need only the text of their files.
"""

from __future__ import annotations

import ast
import contextlib
import functools
import math
import re
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

MISSING: Any = object()
"""Default of a field without a default."""
_FUNCTION = re.compile(r"^( *)(?:@.*\n\1)*(?:async )?def .*\n(?:(?:\1[ )].*)?\n)*", re.M)
"""Regular expression for a function with its decorators: a line with def, and the lines below it that are indented, blank or
end the arguments."""
_NAMES: dict[str, Any] = {t.__name__: t for t in (bool, int, float, str, tuple, list, dict, range)} | {"math": math}


@dataclass(frozen=True)
class SourceField:
    """One field of a dataclass.

    Args:
        name: Name of the field.
        hint: Declared type; None if it cannot be found without importing.
        default: Default value, or `MISSING`.
        text: Text of the field in the Args section of the docstring, on one line.
    """

    name: str
    hint: Any
    default: Any
    text: str


class SourceClass:
    """One class in a source file.

    Args:
        node: The definition of the class.
        module: The file that contains the class.
    """

    def __init__(self, node: ast.ClassDef, module: SourceModule) -> None:
        self.node, self.module, self.__name__ = node, module, node.name
        bases = [module.lookup(base.id) for base in node.bases if isinstance(base, ast.Name)]
        self.bases = [base for base in bases if isinstance(base, SourceClass)]

    @functools.cached_property
    def _shadow(self) -> type:
        """An empty class with the same bases, which makes Python compute the method resolution order."""
        return type(self.__name__, tuple(base._shadow for base in self.bases), {"source": self})

    @functools.cached_property
    def ancestors(self) -> list[SourceClass]:
        """The class and its base classes, in method resolution order."""
        return [shadow.__dict__["source"] for shadow in self._shadow.__mro__ if shadow is not object]

    @property
    def keywords(self) -> dict[str, Any]:
        """Keywords after the bases, such as `register=False`."""
        return {k.arg: self.module.value(k.value) for k in self.node.keywords if k.arg}

    @functools.cached_property
    def doc(self) -> str:
        """Docstring of the class itself."""
        return ast.get_docstring(self.node) or ""

    def attribute(self, name: str) -> Any:
        """Return the value of a class attribute, which may be inherited.

        Raises:
            AttributeError: There is no such attribute.
        """
        for cls in self.ancestors:
            for target, value in cls._assignments():
                if target == name:
                    return cls.module.value(value)
        raise AttributeError(f"{self.__name__} has no attribute {name!r}")

    def __getattr__(self, name: str) -> Any:
        """Return the value of a class attribute, for expressions such as `paper = NSF.paper`."""
        if name.startswith("_"):
            raise AttributeError(name)
        return self.attribute(name)

    def _assignments(self) -> Iterator[tuple[str, ast.expr]]:
        for part in self.node.body:
            if isinstance(part, ast.Assign) and isinstance(part.targets[0], ast.Name):
                yield part.targets[0].id, part.value
            elif isinstance(part, ast.AnnAssign) and isinstance(part.target, ast.Name) and part.value is not None:
                yield part.target.id, part.value

    @functools.cached_property
    def _own_fields(self) -> dict[str, SourceField]:
        found = {}
        texts = argument_texts(self.doc)
        for part in self.node.body:
            if not isinstance(part, ast.AnnAssign) or not isinstance(part.target, ast.Name):
                continue
            hint = part.annotation.value if isinstance(part.annotation, ast.Subscript) else part.annotation
            if not (isinstance(hint, ast.Name) and hint.id == "ClassVar"):
                name = part.target.id
                default = MISSING if part.value is None else self.module.value(part.value)
                found[name] = SourceField(name, self.module.value(part.annotation, None), default, texts.get(name, ""))
        return found

    def fields(self) -> list[SourceField]:
        """Return the fields of the dataclass in the order of its constructor; a field without a text gets the inherited one."""
        found: dict[str, SourceField] = {}
        for cls in reversed(self.ancestors):
            texts = {
                name: replace(field, text=text)
                for name, text in argument_texts(cls.doc).items()
                if (field := found.get(name))
            }
            found |= texts
            found |= {
                n: f if f.text or n not in found else replace(f, text=found[n].text) for n, f in cls._own_fields.items()
            }
        return list(found.values())


class SourceModule(Mapping[str, Any]):
    """One source file; as a mapping, it gives the values of the names defined in the file.

    Args:
        path: Path of the file.
    """

    def __init__(self, path: Path) -> None:
        self.path, self._classes = path, dict[str, SourceClass]()
        self._places: dict[str, ast.expr | ast.ClassDef | tuple[ast.ImportFrom, str]] = {}
        for part in _parsed(path.read_text(encoding="utf-8")).body:
            if isinstance(part, ast.ClassDef):
                self._places[part.name] = part
            elif isinstance(part, ast.Assign) and isinstance(part.targets[0], ast.Name):
                self._places[part.targets[0].id] = part.value
            elif isinstance(part, ast.ImportFrom):
                self._places |= {alias.asname or alias.name: (part, alias.name) for alias in part.names}

    def dataclasses(self) -> list[SourceClass]:
        """Return the dataclasses defined in the file."""
        places = [place for place in self._places.values() if isinstance(place, ast.ClassDef)]
        return [self[place.name] for place in places if any("dataclass" in ast.dump(d) for d in place.decorator_list)]

    def __getitem__(self, name: str) -> Any:
        """Return the value of a name: of a constant, a type or a class, which may be imported from another file."""
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
        """Return the value of a name, or None if it cannot be found."""
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
        """Return the value of a constant expression, such as a default or a declared type; else `otherwise`."""
        if isinstance(node, ast.Constant):
            return node.value
        try:
            if isinstance(node, ast.Name):
                return self[node.id]
            # The expression is from a file of this package, and only names of constants and types are available to it.
            return eval(compile(ast.Expression(node), str(self.path), "eval"), {"__builtins__": {}}, self)
        except (NameError, KeyError, AttributeError, TypeError, ValueError, OSError):
            return otherwise


def _parsed(text: str) -> ast.Module:
    """Return the syntax tree of a source file, if possible without its functions, whose parsing takes most of the time."""
    with contextlib.suppress(SyntaxError):
        return ast.parse(_FUNCTION.sub("", text))
    return ast.parse(text)


@functools.cache
def source_module(path: Path) -> SourceModule:
    """Return a source file, which is read only once."""
    return SourceModule(path)


def package_file(*parts: str) -> Path:
    """Return a file or folder of this package."""
    return Path(__file__).parent.joinpath(*parts)


def first_sentence(text: str) -> str:
    """Return the first sentence of a text."""
    return re.split(r"(?<=[.])\s+(?=[A-Z\"`(])", text, maxsplit=1)[0]


@functools.cache
def argument_texts(docstring: str) -> dict[str, str]:
    """Return the text of each argument in the Args section of a docstring, joined to one line."""
    section = docstring.partition("Args:\n")[2]
    entries = re.findall(r"^    (\w+): (.*(?:\n {8}.*)*)", section, re.M)
    return {name: " ".join(lines.split()) for name, lines in entries}
