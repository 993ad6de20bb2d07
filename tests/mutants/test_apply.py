"""Every planted fault applies to today's source, changes it, and names cases that exist."""

import ast
import re

import pytest

from pushforward.laws import all_cases

from .mutant import EditError, Mutant
from .runner import PACKAGE, catalogue

CATALOGUE = catalogue()
CASES = [case.name for case in all_cases()]
SOURCE = '''
"""A module."""
LIMIT = 3

class Shift(Base):
    def forward(self, x):
        """Return x + shift."""
        return (x +   # moved
                self.shift), "none"
'''


@pytest.mark.parametrize("file", CATALOGUE)
def test_every_fault_applies(file):
    source = (PACKAGE / file).read_text(encoding="utf-8")
    unchanged = ast.unparse(ast.parse(source))
    for mutant in CATALOGUE[file]:
        changed = mutant.apply(source)
        compile(changed, file, "exec")
        assert changed != unchanged, mutant.name
        assert any(re.search(mutant.cases, name) for name in CASES), mutant.cases


def test_names_of_faults_differ():
    names = [mutant.name for mutants in CATALOGUE.values() for mutant in mutants]
    assert len(names) == len(set(names))


def test_layout_quotes_and_docstrings_do_not_matter():
    mutant = Mutant("", "", [("Shift.forward", "x + self.shift, 'none'", "x, 'none'"), ("LIMIT", "3", "4")])
    changed = mutant.apply(SOURCE)
    assert "return (x, 'none')" in changed
    assert "LIMIT = 4" in changed
    assert "Return x + shift." in changed


@pytest.mark.parametrize(
    ("where", "old", "message"),
    [
        ("Shift.inverse", "x", "expected one definition of 'Shift.inverse', found 0"),
        ("Shift.forward", "y", "found it 0 times"),
        ("Shift.forward", "x", "found it 2 times"),
    ],
)
def test_an_edit_that_does_not_apply_is_an_error(where, old, message):
    with pytest.raises(EditError, match=re.escape(message)):
        Mutant("", "", [(where, old, "z")]).apply(SOURCE)
