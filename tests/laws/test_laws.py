"""Every law on every case: systems, layers, bases."""

from pathlib import Path

import pytest
import torch

from pushforward.core import Node, Real
from pushforward.distributions import Normal
from pushforward.laws import DEAR, LAWS, all_cases, covering
from pushforward.laws.cases import Case
from pushforward.laws.suite import run
from pushforward.systems.spec import Spec

pytest_plugins = ["pytester"]

CASES = {case.name: case for case in all_cases()}
COVERING = covering(list(CASES.values()))
CLASSES = covering([CASES[name] for name in sorted(COVERING)], systems=False)
"""Cases among them that have every class of node."""
COMPILED = set(sorted(CLASSES)[::3])
"""Cases that `make test` compiles and exports, which takes seconds for each."""


EXPENSIVE = {
    ("residual-through-all-terms", "approximations"),
    ("umnn-0", "total_mass"),
    *((name, "compile") for name in ("copula-0", "flowpp-0", "observed-columns", "sphere-cnf-0", "vine-autoencoder-0")),
    *((name, "export") for name in ("flowpp-0", "sphere-cnf-0")),
    *((name, "gradient_of_parameters") for name in ("otflow-0", "sphere-cnf-0", "riemannian-flow-matching-0")),
    *((name, "gradient_of_round_trip") for name in ("otflow-0", "sphere-cnf-0", "riemannian-flow-matching-0")),
    ("otflow-0", "scales"),
    *((f"{name}-0", "samples_follow_density") for name in ("naf", "umnn", "sos", "bernstein")),
    ("bernstein-0", "total_mass"),
}
"""Cases that are dear under one law."""
EVERYWHERE = {"context_matters", "jacobian", "opposite_contributions", "roundtrip", "shapes", "spec"}
"""Laws that `make test` checks on every case; the others belong to it on the covering cases only."""


def quick(name):
    """Return the laws that `make test` checks on a case in one test."""
    return [
        law
        for law in LAWS
        if law not in DEAR and (law in EVERYWHERE or name in COVERING) and (name, law) not in EXPENSIVE
    ]


def pairs():
    """Yield every case with the laws that have a test of their own: dear ones, and those that are left to the dear tests."""
    for name in CASES:
        for law in [law for law in LAWS if law not in quick(name)]:
            marks = [pytest.mark.slow] if law in DEAR else []
            chosen = COMPILED if law in ("compile", "export") else COVERING
            if law not in DEAR or name not in chosen or (name, law) in EXPENSIVE:
                marks.append(pytest.mark.dear)
            yield pytest.param(name, law, marks=marks, id=f"{name}-{law}")


@pytest.mark.parametrize("name", CASES)
def test_quick_laws(name):
    broken = [outcome for law in quick(name) if (outcome := run(CASES[name], law)).verdict == "FAIL"]
    assert not broken, "\n".join(f"{outcome.law}: {outcome.detail}" for outcome in broken)


@pytest.mark.parametrize(("name", "law"), list(pairs()))
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


def test_covering_cases_have_every_class_of_node():
    def classes(names):
        return {type(part) for name in names for part in CASES[name].make().modules() if isinstance(part, Node)}

    assert classes(COVERING) == classes(CLASSES) == classes(CASES)
    assert {f"{name}-0" for name in Spec.registry} <= COVERING
    assert len(COVERING) < len(CASES) / 3


@pytest.mark.dear
def test_a_tier_of_dear_tests_depends_on_its_text_alone(pytester):
    pytester.makeconftest((Path(__file__).parent.parent / "conftest.py").read_text())
    pytester.makeini("[pytest]\nmarkers = dear: dear")
    pytester.makepyfile(
        "import pytest\n"
        "def test_cheap(): pass\n"
        "@pytest.mark.dear\n@pytest.mark.parametrize('i', range(20))\ndef test_dear(i): pass\n"
    )
    pytester.runpytest("-p", "no:xdist").assert_outcomes(passed=1, deselected=20)
    pytester.runpytest("-p", "no:xdist", "--tier", "all").assert_outcomes(passed=21)
    one, again, other = (
        pytester.runpytest("-p", "no:xdist", "-q", "--collect-only", "--tier", f"sample:5:{text}").outlines[:5]
        for text in ("a", "a", "b")
    )
    assert one == again != other
