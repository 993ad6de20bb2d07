"""Every law on every case: systems, layers, bases."""

import pytest
import torch

from pushforward.core import Real
from pushforward.distributions import Normal
from pushforward.laws import LAWS, SLOW, all_cases
from pushforward.laws.cases import Case
from pushforward.laws.suite import run

CASES = {case.name: case for case in all_cases()}


@pytest.mark.parametrize("law", [pytest.param(law, marks=[pytest.mark.slow] * (law in SLOW)) for law in LAWS])
@pytest.mark.parametrize("name", CASES)
def test_law(name, law):
    outcome = run(CASES[name], law)
    assert outcome.verdict != "FAIL", outcome.detail


class OtherGradient(Normal):
    """A normal whose compiled form has the right values and twice the gradient."""

    def __init__(self, space):
        super().__init__(space)
        self.weight = torch.nn.Parameter(torch.ones(1))

    def _log_prob(self, x, context):
        weight = 2 * self.weight - self.weight.detach() if torch.compiler.is_compiling() else self.weight
        return weight * super()._log_prob(x, context)


def test_compilation_that_changes_gradients_only_is_seen():
    outcome = run(Case("other gradient", lambda: OtherGradient(Real((2,)))), "compile")
    assert outcome.verdict == "FAIL"
    assert "gradients of weight" in outcome.detail
