"""Faults of `pushforward/distributions/winner_kernel.py`."""

from ..mutant import Mutant

MUTANTS = [
    Mutant(
        "kernel: weights of the units not normalised",
        "^winner-kernel$",
        [("WinnerKernel._of", "logits.log_softmax(-1)", "logits")],
    ),
    Mutant("kernel: scale not scored", "^winner-kernel$", [("WinnerKernel._of", "- scales", "")]),
    Mutant(
        "kernel: noise of twice the scale",
        "^winner-kernel$",
        [("WinnerKernel.drawn", "scale.exp() * torch", "2 * scale.exp() * torch")],
    ),
    Mutant(
        "kernel: winners not drawn by their probabilities",
        "^winner-kernel$",
        [("WinnerKernel.drawn", "draw_labels(logits)", "draw_labels(3 * logits)")],
    ),
]
