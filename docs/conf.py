"""Sphinx configuration: builds without a network; the systems' page is written from the registry."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pushforward
from pushforward.systems.spec import Spec

project = "Pushforward"
author = "The Pushforward developers"
release = version = pushforward.__version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"Pushforward {release}"
html_static_path = ["_static"]
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3
autodoc_typehints = "none"
autodoc_member_order = "bysource"
napoleon_google_docstring = True
napoleon_use_rtype = False


def write_systems_page(folder: Path) -> None:
    """One section for each registered system: what it is, its paper, its arguments, what its log_prob is."""
    words = {"=": "exact", ">=": "lower bound", "<=": "upper bound", "~": "approximate"}
    lines = [
        "# Systems",
        "",
        "Written from the registry when these pages are built; `pushforward systems` prints the same.",
    ]
    for name, cls in sorted(Spec.registry.items()):
        symbol = next(cls.cases()).build().exactness.symbol
        head = (cls.__doc__ or "").strip().split("\n\nArgs:")[0]
        fields = dataclasses.fields(cls)
        lines += ["", f"## {name}", "", "\n".join(line.strip() for line in head.splitlines()), ""]
        lines += [f"*{cls.family}* · {words[symbol]} · {cls.paper} · `pf.systems.{cls.__name__}`", ""]
        lines += ["| argument | default |", "| --- | --- |"]
        for f in fields:
            default = "required" if f.default is dataclasses.MISSING else f"`{f.default!r}`"
            lines.append(f"| `{f.name}` | {default} |")
    text = "\n".join(lines) + "\n"
    target = folder / "systems.md"
    if not target.exists() or target.read_text() != text:
        target.write_text(text)


write_systems_page(Path(__file__).parent)


def plain_docstring(_app: object, _what: str, _name: str, _obj: object, _options: object, lines: list[str]) -> None:
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


def setup(app: object) -> None:
    """Run before napoleon reads the sections."""
    app.connect("autodoc-process-docstring", plain_docstring, priority=400)  # type: ignore[attr-defined]
