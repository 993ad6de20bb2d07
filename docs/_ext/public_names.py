"""The directive `public`: a summary and the entries of some public names of a module, under their short names."""

from __future__ import annotations

import importlib
import inspect
import sys
import typing
from types import ModuleType
from typing import ClassVar

from docutils import nodes
from docutils.parsers.rst import directives
from docutils.statemachine import StringList
from sphinx.pycode import ModuleAnalyzer
from sphinx.util.docutils import SphinxDirective

from pushforward.dataclass_source import first_sentence


class Public(SphinxDirective):
    """Directive `.. public:: MODULE`, whose content is names of the module.

    The option `:without:` has names of methods that are left out, because another page describes them.
    """

    required_arguments = 1
    has_content = True
    option_spec: ClassVar = {"without": directives.unchanged}

    def run(self) -> list[nodes.Node]:
        """Return the summary and the entries."""
        module = importlib.import_module(self.arguments[0])
        names = " ".join(self.content).replace(",", " ").split()
        lines = _summary(module, names) if len(names) > 1 else []
        for name in names:
            lines += self._entry(module, name)
        parent = nodes.container()
        self.state.nested_parse(StringList(lines, source=str(self.env.docname)), self.content_offset, parent)
        return parent.children

    def _entry(self, module: ModuleType, name: str) -> list[str]:
        path, value = f"{module.__name__}.{name}", getattr(module, name)
        if not _has_docstring(value):
            return [f".. py:data:: {path}", "", *(f"   {line}" for line in _constant_docstring(module, name)), ""]
        if not inspect.isclass(value):
            return [f".. autofunction:: {path}", ""]
        # Under another name autodoc would show a class as an alias only.
        value.__name__ = name
        lines = [f".. autoclass:: {path}", "   :members:"]
        if self.options.get("without"):
            lines.append(f"   :exclude-members: {self.options['without']}")
        return [*lines, ""]


def _escaped(text: str) -> str:
    """Text whose stars and bars are no markup."""
    return text.replace("*", "\\*").replace("|", "\\|").replace("_ ", "\\_ ")


def _has_docstring(value: object) -> bool:
    """Whether it is a class or a function, not a constant or a type alias."""
    return callable(value) and hasattr(value, "__name__") and not typing.get_origin(value)


def _constant_docstring(module: ModuleType, name: str) -> list[str]:
    """The text below a constant, in the file of the package that defines it."""
    value = getattr(module, name)
    for path, other in sorted(sys.modules.items()):
        if path.startswith("pushforward.") and getattr(other, name, None) is value:
            docs = ModuleAnalyzer.for_module(path).find_attr_docs().get(("", name))
            if docs:
                return [_escaped(line) for line in docs]
    return [""]


def _summary(module: ModuleType, names: list[str]) -> list[str]:
    """A table with the first sentence of each docstring."""
    lines = [".. list-table::", "   :class: summary", ""]
    for name in names:
        value = getattr(module, name)
        if _has_docstring(value):
            text = _escaped(inspect.getdoc(value) or "")
        else:
            text = " ".join(_constant_docstring(module, name))
        sentence = first_sentence(" ".join(text.split("\n\n")[0].split()))
        lines += [f"   * - :py:obj:`~{module.__name__}.{name}`", f"     - {sentence}"]
    return [*lines, ""]


def setup(app: object) -> dict[str, bool]:
    """Register the directive."""
    app.add_directive("public", Public)  # type: ignore[attr-defined]
    return {"parallel_read_safe": True}
