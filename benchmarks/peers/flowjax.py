"""FlowJAX runs on JAX and needs a clock and an optimiser of its own. It is not measured, and the report says so."""

from __future__ import annotations

from .library import Library, lacking

_refuse = lacking("runs on JAX; how to measure it is not written yet")

LIBRARY = Library("FlowJAX", "flowjax", "flowjax", _refuse, _refuse, "")
