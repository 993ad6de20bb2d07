"""Faults of `pushforward/transforms/continuous.py`."""

from ..mutant import Mutant

MUTANTS = [
    Mutant(
        "continuous: divergence with the wrong sign",
        "ffjord-0|^continuous$",
        [("Continuous.path", "share * divergence", "-share * divergence")],
    ),
    Mutant(
        "continuous: divergence doubled",
        "otflow-0|^continuous$",
        [("Continuous.path", "share * divergence", "2 * share * divergence")],
    ),
    Mutant(
        "continuous: the duration does not scale the divergence",
        "^continuous$",
        [("Continuous.path", "speed * rate", "rate")],
    ),
    Mutant(
        "continuous: probes not averaged",
        "continuous-gaussian",
        [("Continuous.path", "1.0 if probes is None else 1 / self.probes", "1.0")],
    ),
    Mutant(
        "continuous: both ways in the same direction",
        "flow-matching-0",
        [("Continuous.path", "(1.0, 0.0) if turned else (0.0, 1.0)", "(0.0, 1.0)")],
    ),
    Mutant(
        "continuous: an estimated trace is not noise",
        "continuous-estimated|ffjord-2",
        [("Continuous.own", "Exactness.NOISY if self.trace == 'estimated' else Exactness.EXACT", "Exactness.EXACT")],
    ),
    Mutant(
        "continuous: context of the velocity is left out",
        "ffjord-1|potential",
        [("Continuous.path", "(t, state[0], context)", "(t, state[0], 0 * context if context is not None else None)")],
    ),
]
