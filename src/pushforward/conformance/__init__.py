"""The laws of a normalizing flow as a small suite for the flows of any library, through an adapter of about thirty lines.

python -m pushforward.conformance --out CONFORMANCE.md     # every library that can be imported
python -m pushforward.conformance --only zuko nflows

from pushforward.conformance import CHECKS, adapters, run
for case in adapters.load("pushforward").cases:
    print(case.name, [str(run(case, name)) for name in CHECKS])
"""

from . import adapters, conduct, density
from .adapter import Adapter, Case, Library
from .result import CHECKS, Result, run

__all__ = ["CHECKS", "Adapter", "Case", "Library", "Result", "adapters", "conduct", "density", "run"]
