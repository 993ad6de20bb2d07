"""Laws that every layer, distribution and system must satisfy; they are part of the package, so anyone can check new ones.

from pushforward.laws import check
check(pf.systems.NSF(features=2))          # raises at the first broken law, with numbers
python -m pushforward.laws check nsf       # the same for every case of a system, from the shell
"""

from .adapter import AdaptedFlow, Adapter
from .cases import Case, system_cases
from .layer_cases import all_cases, layer_cases
from .suite import DEAR, LAWS, check, covering, run
from .violations import LawBroken, NotApplicable

__all__ = [
    "LawBroken",
    "NotApplicable",
    "DEAR",
    "LAWS",
    "AdaptedFlow",
    "Adapter",
    "Case",
    "all_cases",
    "check",
    "covering",
    "layer_cases",
    "run",
    "system_cases",
]
