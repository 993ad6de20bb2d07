"""Pushforward: learn a distribution by carrying it, layer by layer, onto a simple one.

import pushforward as pf
flow = pf.systems.NSF(features=2).build()
result = pf.fit(flow, x)
flow.log_prob(x), flow.sample(1000)
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

from . import core, distributions, errors, systems, transforms
from .core import Chain, Distribution, Exactness, Flow, Inverse, Spec, Transform, build, initialise

if TYPE_CHECKING:
    from .estimator import FlowDensity
    from .serialize import load, save
    from .training import fit

_LAZY = {"fit": "training", "load": "serialize", "save": "serialize", "FlowDensity": "estimator"}

__all__ = [
    "Chain",
    "Distribution",
    "Exactness",
    "Flow",
    "FlowDensity",
    "Inverse",
    "Spec",
    "Transform",
    "build",
    "core",
    "distributions",
    "errors",
    "fit",
    "initialise",
    "load",
    "save",
    "systems",
    "transforms",
]


def __getattr__(name: str) -> Any:
    """Import what needs more than torch only when it is asked for."""
    if name in _LAZY:
        return getattr(importlib.import_module(f".{_LAZY[name]}", __name__), name)
    if name in {"conformance", "data", "diagnostics", "laws", "objectives", "report", "serialize", "training"}:
        return importlib.import_module(f".{name}", __name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
