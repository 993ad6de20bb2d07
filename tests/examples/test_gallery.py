"""The gallery: every script runs, has a picture, and is shown on the page with its code."""

import re
import runpy
import sys
from pathlib import Path

import pytest
from PIL import Image

import pushforward.systems  # noqa: F401 (fills the registry before it is copied)
from pushforward.systems.spec import Spec

ROOT = Path(__file__).resolve().parent.parent.parent
SCRIPTS = sorted((ROOT / "examples" / "gallery").glob("*.py"))
PICTURES = sorted((ROOT / "docs" / "_static" / "gallery").glob("*.png"))
NAMES = {script.stem for script in SCRIPTS}


# Arrays of torch given to matplotlib, until torch takes NumPy's new argument.
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda p: p.stem)
def test_a_script_makes_its_picture(script, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(Spec, "registry", dict(Spec.registry))
    runpy.run_path(str(script))["main"](tmp_path / "picture.png", quick=True)
    with Image.open(tmp_path / "picture.png") as picture:
        assert picture.width >= 600


def test_there_are_at_least_twelve():
    assert len(NAMES) >= 12


def test_each_script_has_a_picture_and_each_picture_a_script():
    assert {picture.stem for picture in PICTURES} == NAMES


@pytest.mark.parametrize("picture", PICTURES, ids=lambda p: p.stem)
def test_a_picture_is_small(picture):
    assert picture.stat().st_size < 120_000


def test_the_page_shows_each_picture_with_its_code():
    page = (ROOT / "docs" / "gallery.md").read_text()
    assert set(re.findall(r"literalinclude\} \.\./examples/gallery/(\w+)\.py", page)) == NAMES
    assert set(re.findall(r"_static/gallery/(\w+)\.png", page)) == NAMES
