"""Faults of `pushforward/transforms/winner_gate.py`."""

from ..mutant import Mutant

MUTANTS = [
    Mutant(
        "gate: log-scale left out, both ways",
        "^winner-gate$",
        [
            ("WinnerGate.forward", "-sum_events(scale)", "-0 * sum_events(scale)"),
            ("WinnerGate.inverse", "sum_events(scale)", "0 * sum_events(scale)"),
        ],
    ),
    Mutant("gate: shift forgotten in the inverse", "^winner-gate$", [("WinnerGate.inverse", "+ shift", "")]),
    Mutant(
        "gate: the context is ignored",
        "^lwta-7$",
        [("WinnerGate._winning", "parameters_at(x, context)", "parameters_at(x, 0 * context)")],
    ),
]
