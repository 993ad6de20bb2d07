"""Every Python block of the README and the documentation runs."""

from pathlib import Path

import pytest
from sybil import Sybil
from sybil.parsers.markdown import PythonCodeBlockParser, SkipParser

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
SYBIL = Sybil(parsers=[PythonCodeBlockParser(), SkipParser()])


@pytest.mark.parametrize("page", [p for p in PAGES if p.name not in {"design.md", "systems.md"}], ids=lambda p: p.name)
def test_blocks_run(page, tmp_path, monkeypatch, capsys):
    import pushforward.systems  # noqa: F401 (fills the registry before it is copied)
    from pushforward.systems.spec import Spec

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Spec, "registry", dict(Spec.registry))
    for example in SYBIL.parse(page):
        example.evaluate()
