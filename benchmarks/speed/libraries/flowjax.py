"""FlowJAX: on JAX, so that it needs a clock and an optimiser of its own. Not measured yet; the report says so."""

from __future__ import annotations

from ..work import Work
from .base import Absent, Library, Model, Spline


def build(work: Work) -> Model:
    """None."""
    raise Absent("runs on JAX; how to measure it is not written yet")


def spline(work: Work) -> Spline:
    """None."""
    raise Absent("runs on JAX; how to measure it is not written yet")


LIBRARY = Library("FlowJAX", "flowjax", "flowjax", build, spline, "")
