"""Registry of the laws, and functions that run them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from ..core import Node
from ..systems.spec import Spec
from . import engineering, layers, losses, probability
from . import interface as structure
from .cases import Case, case_of
from .violations import LawBroken, NotApplicable

LAWS: dict[str, Callable[[Case], None]] = {
    name.removeprefix("law_"): law
    for module in (structure, layers, probability, losses, engineering)
    for name, law in vars(module).items()
    if name.startswith("law_")
}
"""All laws by name: functions of one case that raise `LawBroken` or `NotApplicable`."""

DEAR = {"compile", "export", "total_mass", "samples_follow_density", "mass_by_samples", "density_is_checked"}
"""Laws that take much more time than the others; `check(..., fast=True)` leaves them out."""


@dataclass(frozen=True)
class Outcome:
    """Result of one law on one case: "pass", "n/a" (with the reason), "exempt" or "FAIL" (with numbers)."""

    case: str
    law: str
    verdict: str
    detail: str = ""


def run(case: Case, law: str) -> Outcome:
    """Return the outcome of one law on one case."""
    why = case.exempt.get(law)
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            LAWS[law](case)
    except NotApplicable as reason:
        return Outcome(case.name, law, "n/a", str(reason))
    except Exception as error:
        if why is not None:
            return Outcome(case.name, law, "exempt", why)
        return Outcome(case.name, law, "FAIL", f"{type(error).__name__}: {error}")
    if why is not None:
        return Outcome(case.name, law, "FAIL", f"exempt ({why}), but it passes: remove the exemption")
    return Outcome(case.name, law, "pass")


def covering(cases: Sequence[Case], *, systems: bool = True) -> set[str]:
    """Return names of cases that cover all: the first of each system, and others until every class of node occurs.

    Args:
        cases: Cases to choose from.
        systems: Whether the first case of each system is chosen; otherwise only the classes of nodes count.
    """
    parts = {case.name: set(case.classes) for case in cases}
    chosen = [case.name for case in cases if systems and case.spec is not None and case.name.endswith("-0")]
    missing = set().union(*parts.values()).difference(*(parts[name] for name in chosen))
    while missing:
        best = max(parts, key=lambda name: (len(parts[name] & missing), -len(parts[name]), name))
        chosen.append(best)
        missing -= parts[best]
    return set(chosen)


def check(subject: Spec | Callable[[], Node] | Case, *, fast: bool = False) -> list[Outcome]:
    """Run the laws on a system, or on anything that a function builds.

    Args:
        subject: A `Spec`, a `Case`, or a function without arguments that returns a fresh layer or distribution.
        fast: Whether to leave out the laws in `DEAR`.

    Returns:
        Outcome of each law.

    Raises:
        LawBroken: A law does not hold; the message has its name and the numbers.
    """
    if isinstance(subject, Spec):
        subject = case_of(subject, subject.name)
    elif not isinstance(subject, Case):
        subject = Case(getattr(subject, "__name__", "case"), subject)
    outcomes = []
    for law in LAWS:
        if fast and law in DEAR:
            continue
        outcome = run(subject, law)
        if outcome.verdict == "FAIL":
            raise LawBroken(f"{subject.name} violates the law {law!r}: {outcome.detail}")
        outcomes.append(outcome)
    return outcomes
