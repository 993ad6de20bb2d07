"""Every law on every case: systems, layers, bases."""

import pytest

from pushforward.laws import LAWS, SLOW, all_cases
from pushforward.laws.suite import run

CASES = {case.name: case for case in all_cases()}


@pytest.mark.parametrize("law", [pytest.param(law, marks=[pytest.mark.slow] * (law in SLOW)) for law in LAWS])
@pytest.mark.parametrize("name", CASES)
def test_law(name, law):
    outcome = run(CASES[name], law)
    assert outcome.verdict != "FAIL", outcome.detail
