"""Faults of `pushforward/transforms/coupling.py`."""

from ..mutant import Mutant

MUTANTS = [
    Mutant(
        "coupling ignores the context",
        "realnvp-1|nsf-3",
        [
            (
                "Coupling._parameters_of",
                "self.net(seen, context)",
                "self.net(seen, None if context is None else 0 * context)",
            )
        ],
    ),
    Mutant(
        "coupling conditions on what it maps",
        "realnvp-0",
        [
            (
                "Coupling.mapped",
                "self._parameters_of(seen, context)",
                "self._parameters_of(b[:, :seen.shape[1]], context)",
            )
        ],
    ),
]
