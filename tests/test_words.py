"""Docstrings, comments and argument texts of the source are plain English, as far as simple rules can tell."""

import ast
import functools
import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "pushforward"
FILES = sorted(SOURCE.rglob("*.py"))

SECTION = re.compile(r"(Args|Attributes|Raises|Returns|References|Yields|Examples?):$")
ENTRY = re.compile(r" {4}\*{0,2}(\w+): (.*)")
CLIPPED = re.compile(r"(of|as it|as they|what|how)\b", re.IGNORECASE)
"""Beginnings of the text of an argument that leave out the thing it describes."""
START = re.compile(r"[A-Z`\"'(]|`|[a-z]\w*[_.]\w+|[a-z]+\d")
"""Beginnings of a sentence: a capital letter, a quotation, a bracket, or a name from the code."""
FORMULA = re.compile(r"[A-Z] ?(?:[+*/=^-]|<-)|[A-Z]\(")
"""Beginnings of a formula whose small letter may have been made a capital by accident."""
RIDDLE = re.compile(r"(What|How|Where|When|By|As|With|Of|From|Within)\b")
"""Beginnings of a fragment in place of a sentence."""
CAPITALS = re.compile(r"U-Net|S-curve|[A-Z] = [A-Z]|QR|LU")
"""Beginnings that are right: words, and equations of matrices."""
DIALECT = (
    "LastWords",
    "are told",
    "as it pleases",
    "as they please",
    "asks nobody",
    "by its own say",
    "for company",
    "has it that",
    "has its say",
    "has no say",
    "honest",
    "honestly",
    "is told",
    "knows every trick",
    "lives elsewhere",
    "lives in its",
    "no riddle",
    "nothing to say",
    "own say",
    "public door",
    "public doors",
    "said by",
    "say nothing",
    "says no",
    "says nothing",
    "says otherwise",
    "so much for",
    "speaks for",
    "to its own devices",
    "was told",
    "where it likes",
    "what they please",
    "wants a",
    "wants no",
    "wants the",
    "wants to",
    "want to",
    "whole or not at all",
)
"""Phrases of a private dialect: a person who does not know the project cannot understand them at once."""
PHRASE = re.compile(r"\b(" + "|".join(DIALECT) + r")\b", re.IGNORECASE)


def docstrings(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Return the line and the text of each docstring, with those of constants and fields below their assignment."""
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if not isinstance(body, list):
            continue
        own = isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef))
        for before, part in zip([None, *body], body, strict=False):
            text = part.value.value if isinstance(part, ast.Expr) and isinstance(part.value, ast.Constant) else None
            if isinstance(text, str) and ((before is None and own) or isinstance(before, (ast.Assign, ast.AnnAssign))):
                yield part.lineno, inspect.cleandoc(text)


def entries(text: str) -> Iterator[tuple[str, str]]:
    """Return the name and the text of each argument, attribute and error in the sections of a docstring."""
    section = ""
    for line in text.splitlines():
        if found := SECTION.match(line):
            section = found[1]
        elif line and not line.startswith(" "):
            section = ""
        elif section in ("Args", "Attributes", "Raises") and (entry := ENTRY.match(line)):
            yield entry[1], entry[2]


def first_sentence_fault(text: str) -> str | None:
    """Return the fault of the first sentence of a docstring; None if it has none."""
    paragraph = " ".join(text.partition("\n\n")[0].split())
    if not START.match(paragraph):
        return "begins with neither a capital letter nor a name from the code"
    if RIDDLE.match(paragraph):
        return "begins with a fragment"
    if len(paragraph.split()) < 2:
        return "has fewer than two words"
    if FORMULA.match(paragraph) and not CAPITALS.match(paragraph):
        return "begins with a formula; put a word before it"
    if not paragraph.endswith((".", ":", ",")) and "\n\n" not in text:
        return "does not end with a full stop"
    return None


@functools.cache
def texts() -> list[tuple[str, str]]:
    """Return the place and the text of each docstring in the source."""
    found = []
    for path in FILES:
        name = path.relative_to(SOURCE).as_posix()
        found += [(f"{name}:{n}", text) for n, text in docstrings(ast.parse(path.read_text(encoding="utf-8")))]
    return found


def comments() -> Iterator[tuple[str, str]]:
    """Return the place and the text of each block of comments in the source."""
    for path in FILES:
        source = path.read_text(encoding="utf-8")
        for found in re.finditer(r"(?:^ *# .*\n)+", source, re.MULTILINE):
            line = source.count("\n", 0, found.start()) + 1
            yield f"{path.relative_to(SOURCE).as_posix()}:{line}", found[0].replace("# ", "")


def test_arguments_say_what_they_are() -> None:
    """The text of an argument begins with the thing itself."""
    faults = [f"{place} {n}: {about}" for place, text in texts() for n, about in entries(text) if CLIPPED.match(about)]
    assert not faults, "\n".join(faults)


def test_first_sentences() -> None:
    """The first sentence of a docstring is a sentence, and a formula in it keeps its small letters."""
    found = [(place, first_sentence_fault(text), text) for place, text in texts()]
    faults = [f"{place} {fault}: {text.splitlines()[0]}" for place, fault, text in found if fault]
    assert not faults, "\n".join(faults)


def test_no_dialect() -> None:
    """Docstrings and comments contain none of the phrases that only the authors understand."""
    faults = [
        f"{place} {found[0]!r} in: {plain[max(0, found.start() - 60) : found.end() + 60]}"
        for place, text in [*texts(), *comments()]
        for plain in [" ".join(text.split())]
        for found in PHRASE.finditer(plain)
    ]
    assert not faults, "\n".join(faults)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("Return x + g(x, c).", None),
        ("`fit`: train a model.", None),
        ("rANS coder of symbols.", "capital letter"),
        ("Nothing", "two words"),
        ("What the loop reports to.", "fragment"),
        ("X + g(x, c), log|det|.", "formula"),
        ("Y = f(x).", "formula"),
        ("U-Net of residual blocks.", None),
        ("Return the sum", "full stop"),
    ],
)
def test_rules_find_faults(text: str, fault: str | None) -> None:
    """The rules refuse the examples of the style guide, and accept those that are right."""
    found = first_sentence_fault(text)
    assert (found is None) if fault is None else (found is not None and fault in found)


def test_rules_read_sections() -> None:
    """Entries are read from the sections of a docstring only."""
    text = "Sum of things.\n\nArgs:\n    a: Of b.\n        more: text.\n    *c: Things.\n\nNote: of d.\n"
    assert list(entries(text)) == [("a", "Of b."), ("c", "Things.")]
    assert CLIPPED.match("Of b.")
    assert not CLIPPED.match("Offset of b.")
    assert PHRASE.search("It Wants a space")
