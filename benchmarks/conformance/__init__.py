"""The properties of a normalizing flow, checked on the flows of this library and of its peers.

python -m benchmarks.conformance --out benchmarks/CONFORMANCE.md     # every library that can be imported
python -m benchmarks.conformance --only zuko nflows

from benchmarks.conformance import CHECKS, run
from benchmarks.peers import load
for case in load("pushforward").cases:
    print(case.name, [str(run(case, name)) for name in CHECKS])
"""

from . import behaviour, density
from .result import CHECKS, Result, run

__all__ = ["CHECKS", "Result", "behaviour", "density", "run"]
