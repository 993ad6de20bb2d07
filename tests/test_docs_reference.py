"""The reference has every public name, every registered system, and every option of every command."""

import importlib
import io
import re
import sys
from pathlib import Path

import pytest
from rich.console import Console

import pushforward as pf
from pushforward.catalogue import known_systems

DOCS = Path(__file__).resolve().parent.parent / "docs"
sys.path.insert(0, str(DOCS / "_ext"))

from generated_pages import command_line_page, systems_page  # noqa: E402

BLOCK = re.compile(r"^\.\. public:: (\S+)\n((?: {3}:\w+:.*\n)*)\n((?: {3}.+\n)+)", re.M)
MODULES = sorted(name for name in pf._MODULES if name not in {"functional", "systems"})


def documented():
    """Module and name of every entry, in the order of the pages."""
    for page in sorted((DOCS / "reference").glob("*.md")):
        for module, _, names in BLOCK.findall(page.read_text()):
            yield from ((module, name) for name in names.split())


ENTRIES = list(documented())
OBJECTS = [getattr(importlib.import_module(module), name) for module, name in ENTRIES]


def missing(module, names):
    """Names whose object has no entry, under this name of the module or another one."""
    return [name for name in names if not any(getattr(module, name) is found for found in OBJECTS)]


def test_every_name_at_the_top_is_documented():
    names = [name for name in pf.__all__ if name not in pf._MODULES | {"errors"}]
    assert not missing(pf, names)
    assert {("pushforward", name) for name in names} <= set(ENTRIES)


@pytest.mark.parametrize("name", MODULES)
def test_every_public_name_of_a_module_is_documented(name):
    module = importlib.import_module(f"pushforward.{name}")
    assert not missing(module, module.__all__)


def test_every_error_is_documented():
    errors = [
        name for name, value in vars(pf.errors).items() if isinstance(value, type) and issubclass(value, ValueError)
    ]
    assert not missing(pf.errors, errors)


def test_no_object_has_two_entries():
    assert len(set(ENTRIES)) == len(ENTRIES)
    assert len({id(found) for found in OBJECTS}) == len(OBJECTS)


def test_every_system_has_a_section_with_all_its_arguments():
    sections = dict(re.findall(r"^### (\S+)\n(.*?)(?=^###? |^\(system-|\Z)", systems_page(), re.M | re.S))
    assert set(sections) == set(known_systems())
    for name, system in known_systems().items():
        assert system.paper in sections[name]
        for argument in system.arguments:
            assert argument["about"], f"{name}.{argument['name']} has no description"
            assert re.search(rf"^\| `{argument['name']}` \| .+ \| \S.* \|$", sections[name], re.M)
        assert all(f"Preset `{preset}`" in sections[name] for preset in system.presets)


def test_every_command_has_a_section_with_all_its_options():
    from pushforward.cli.app import app

    sections = dict(re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", command_line_page(), re.M | re.S))
    assert set(sections) == {name for name in app if not name.startswith("-")}
    for name, section in sections.items():
        console = Console(file=io.StringIO(), width=120, color_system=None)
        app.help_print([name], console=console)
        options = re.findall(r"^│ (--[\w-]+)", console.file.getvalue(), re.M)
        assert all(option in section for option in options), name
        assert f"pushforward {name}" in section
