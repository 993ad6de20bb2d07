"""Faults of `pushforward/distributions/knowledge.py`."""

from ..mutant import Mutant

MUTANTS = [
    Mutant(
        "knowledge: determinant forgotten",
        "^knowledge$|tzk-2",
        [("Knowledge._density", "precision.log()", "0 * precision")],
    ),
    Mutant(
        "knowledge: mean of the wrong Gaussian in draws",
        "^knowledge$",
        [("Knowledge._sample", "mean.gather(1, chosen)[:, 0]", "mean[:, 0]")],
    ),
    Mutant("knowledge: variance for the deviation in draws", "^knowledge$", [("Knowledge._sample", ".sqrt()", "")]),
    Mutant(
        "knowledge: attributes have no effect",
        "^knowledge$",
        [("Knowledge._products", "attributes[:, i]", "0 * attributes[:, i]")],
    ),
]
