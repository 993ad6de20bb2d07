"""Faults of `pushforward/transforms/indexed.py`."""

from ..mutant import Mutant

MUTANTS = [
    Mutant(
        "index: scale not scored, both ways",
        "^continuous-index$|^cif-0$",
        [("ContinuousIndex.forward", "- s.sum(1)", ""), ("ContinuousIndex._generated", "dlogp + s.sum(1)", "dlogp")],
    ),
    Mutant(
        "index: posterior not scored, both ways",
        "^continuous-index$|^cif-0$",
        [
            ("ContinuousIndex.forward", "- log_q", ""),
            ("ContinuousIndex.inverse", "self.posterior", "0 * self.posterior"),
        ],
    ),
    Mutant(
        "index: prior not scored, both ways",
        "^continuous-index$|^cif-0$",
        [("ContinuousIndex.forward", "self.prior", "0 * self.prior"), ("ContinuousIndex.inverse", "- log_p", "")],
    ),
    Mutant(
        "index: shift of the wrong sign in the inverse",
        "^cif-0$|^continuous-index$",
        [("ContinuousIndex._generated", "y + t", "y - t")],
    ),
    Mutant(
        "index: noise undeclared",
        "^cif-0$",
        [("ContinuousIndex.own", "Exactness.NOISY | Exactness.LOWER", "Exactness.EXACT")],
    ),
    Mutant(
        "index: prior sees the event and not its code",
        "^cif-0$|^continuous-index$",
        [("ContinuousIndex.forward", "self._beside(z, context)", "self._beside(x, context)")],
    ),
]
