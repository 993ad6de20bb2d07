"""Sphinx configuration: builds without a network; the pages of systems and commands are written from the package."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

from generated_pages import write_pages

import pushforward

project = "Pushforward"
author = "The Pushforward developers"
release = version = pushforward.__version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "public_names"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"Pushforward {release}"
html_static_path = ["_static"]
html_css_files = ["pages.css"]
html_copy_source = False
myst_enable_extensions = ["colon_fence", "deflist", "dollarmath", "attrs_inline", "attrs_block"]
myst_heading_anchors = 3
autodoc_typehints = "none"
autodoc_member_order = "bysource"
default_role = "py:obj"
napoleon_google_docstring = True
napoleon_use_rtype = False
python_use_unqualified_type_names = True
toc_object_entries_show_parents = "hide"
maximum_signature_line_length = 88

write_pages(Path(__file__).parent / "reference")


def plain_docstring(_app: object, what: str, name: str, _obj: object, _options: object, lines: list[str]) -> None:
    """Docstrings are plain text: indented formulas become literal blocks, stars and bars are not markup."""
    sections = ("Args:", "Returns:", "Raises:", "Yields:", "Attributes:")
    out: list[str] = []
    in_section = literal = False
    for line in lines:
        indented = line.startswith("    ")
        if line.strip() and not indented:
            in_section, literal = line.strip() in sections, False
        if indented and not in_section and not literal and (not out or not out[-1].strip()):
            out += ["::", ""]
            literal = True
        out.append(line if literal else line.replace("*", "\\*").replace("|", "\\|"))
    lines[:] = out
    if what in ("attribute", "property", "data") and not set(map(str.strip, out)) & set(sections):
        _attributes[name] = out


_attributes: dict[str, list[str]] = {}
"""Docstrings of attributes: napoleon takes what is before a colon in their first line for the type."""


def attribute_docstring(_app: object, _what: str, name: str, _obj: object, _options: object, lines: list[str]) -> None:
    """Docstrings of attributes are kept as they were before napoleon."""
    lines[:] = _attributes.pop(name, lines)


def setup(app: object) -> None:
    """Run before and after napoleon reads the sections."""
    app.connect("autodoc-process-docstring", plain_docstring, priority=400)  # type: ignore[attr-defined]
    app.connect("autodoc-process-docstring", attribute_docstring, priority=600)  # type: ignore[attr-defined]
