"""Faults of `pushforward/transforms/argmax_layer.py`."""

from ..mutant import Mutant

MUTANTS = [
    Mutant(
        "argmax: the label's own number has a slope",
        "argmax-surjection|argmax-0",
        [("ArgMax.forward", "(slope * (1 - x))", "slope")],
    ),
    Mutant(
        "argmax: volume of the opposite sign",
        "argmax-surjection",
        [("ArgMax.forward", "- log_q", "* -1 - log_q")],
    ),
    Mutant(
        "argmax: noise that is not undone on the way back",
        "argmax-surjection",
        [("ArgMax.inverse", "threshold - gap", "spread")],
    ),
    Mutant(
        "argmax: the volume left out on the way back",
        "argmax-surjection",
        [("ArgMax.inverse", "log_q + torch.where", "log_q + 0 * torch.where")],
    ),
]
