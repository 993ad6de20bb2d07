"""Every Python block of the README and the documentation runs."""

from pathlib import Path

import pytest
from sybil import Sybil
from sybil.parsers.markdown import PythonCodeBlockParser, SkipParser

ROOT = Path(__file__).resolve().parent.parent
GENERATED = {"systems.md", "command-line.md"}
PAGES = [
    ROOT / "README.md",
    *(
        page
        for page in sorted((ROOT / "docs").rglob("*.md"))
        if "_build" not in page.parts and page.name not in GENERATED and "```python\n" in page.read_text()
    ),
]
SYBIL = Sybil(parsers=[PythonCodeBlockParser(), SkipParser()])


DEAR = {
    "continuous.md",
    "manifolds.md",
    "posteriors.md",
    "tables.md",
    "tutorials/compression.md",
    "tutorials/conditional.md",
    "tutorials/pictures.md",
}
"""Pages that take seven to ten seconds each."""


@pytest.mark.parametrize(
    "page",
    [
        pytest.param(
            page,
            id=page.relative_to(ROOT).as_posix(),
            marks=[pytest.mark.dear] if page.relative_to(ROOT).as_posix().removeprefix("docs/") in DEAR else [],
        )
        for page in PAGES
    ],
)
def test_blocks_run(page, tmp_path, monkeypatch, capsys):
    import pushforward.systems  # noqa: F401 (fills the registry before it is copied)
    from pushforward.systems.spec import Spec

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Spec, "registry", dict(Spec.registry))
    for example in SYBIL.parse(page):
        example.evaluate()
