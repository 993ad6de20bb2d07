"""Faults of `pushforward/networks/lipschitz.py`."""

from ..mutant import Mutant

MUTANTS = [
    Mutant(
        "norm bound: gradient forgotten",
        "residual-0",
        [("norm_bound", "(value + linear - linear.detach()) / 2", "value / 2")],
    ),
    Mutant("norm bound: too small", "residual-0", [("norm_bound", "exponent + 1", "exponent + 200")]),
    Mutant(
        "norm bound: one pixel's block for all windows",
        "residual-convolutions",
        [("SpectralConv.bound", "if self.margin else [1, 1]", "if not self.margin else [1, 1]")],
    ),
    Mutant("residual: slope of the activation", "residual-0", [("LipSwish.forward", "sharp * value", "value")]),
    Mutant(
        "residual: a layer pulls with the wrong weight",
        "residual-0",
        [("Contraction.linearised", "weights[i]", "0.5 * weights[i]")],
    ),
    Mutant(
        "norm bound: trace of complex blocks without conjugation",
        "exponential-convolution",
        [("norm_bound", "(power.conj() * gram.detach())", "(power.mH * gram.detach())")],
    ),
]
