"""Pushforward: normalizing flows, which learn a distribution by mapping it, layer by layer, onto a simple one.

import pushforward as pf
flow = pf.systems.NSF(features=2).build()
result = pf.fit(flow, x)
flow.log_prob(x), flow.sample(1000)

Importing the package is fast: its parts, and torch with them, are imported when they are first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from . import errors, moved

if TYPE_CHECKING:
    from . import core, distributions, systems, transforms
    from .classifier import FlowClassifier
    from .core import Chain, Distribution, Exactness, Flow, Inverse, Transform, exactly, initialise
    from .data_table import DataTable as Table
    from .estimator import FlowDensity
    from .imputer import FlowImputer
    from .peer_weights import import_weights
    from .serialize import load, save
    from .systems.spec import Spec, build
    from .training import fit

__version__ = "0.1.0"

__all__ = [
    "Chain",
    "Distribution",
    "Exactness",
    "Flow",
    "FlowClassifier",
    "FlowDensity",
    "FlowImputer",
    "Inverse",
    "Spec",
    "Table",
    "Transform",
    "build",
    "core",
    "distributions",
    "errors",
    "exactly",
    "fit",
    "import_weights",
    "initialise",
    "load",
    "save",
    "systems",
    "transforms",
]

_MODULES = frozenset(
    (
        "compression",
        "core",
        "distributions",
        "evaluation",
        "functional",
        "inverse",
        "laws",
        "networks",
        "objectives",
        "pictures",
        "posteriors",
        "random_variables",
        "report",
        "serialize",
        "systems",
        "tables",
        "training",
        "transforms",
    )
)
_CORE = ("Chain", "Distribution", "Exactness", "Flow", "Inverse", "Transform", "exactly", "initialise")
_HOMES = {
    **dict.fromkeys(_CORE, "core"),
    "FlowClassifier": "classifier",
    "FlowDensity": "estimator",
    "FlowImputer": "imputer",
    "Spec": "systems.spec",
    "Table": "data_table",
    "build": "systems.spec",
    "fit": "training",
    "import_weights": "peer_weights",
    "load": "serialize",
    "save": "serialize",
}
"""Module that defines each public name."""


def __getattr__(name: str) -> Any:
    """Import a part of the package when it is first used (PEP 562)."""
    if name in _MODULES or name in moved.PACKAGES:
        return importlib.import_module(f".{name}", __name__)
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = importlib.import_module(f".{_HOMES[name]}", __name__)
    value = getattr(module, "DataTable" if name == "Table" else name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """Return the names of the public objects and modules, imported or not."""
    return sorted({*globals(), *__all__, *_MODULES})


moved.install()
