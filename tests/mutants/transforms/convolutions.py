"""Faults of `pushforward/transforms/convolutions.py`."""

from ..mutant import Mutant

MUTANTS = [
    Mutant(
        "emerging: later channels of a pixel seen",
        "emerging-convolution",
        [
            (
                "_Causal.__init__",
                "torch.ones(channels, channels).tril(-1)",
                "torch.ones(channels, channels) - torch.eye(channels)",
            )
        ],
    ),
    Mutant(
        "emerging: second order not reversed",
        "emerging-convolution",
        [("EmergingConv.inverse", "self.second.solve(z.flip(1, 2, 3)).flip(1, 2, 3)", "self.second.solve(z)")],
    ),
    Mutant(
        "emerging: rows above forgotten",
        "emerging-convolution",
        [("_Causal.solve", "if m:", "if m > 1:")],
    ),
    Mutant(
        "emerging: one diagonal counted",
        "emerging-convolution",
        [("EmergingConv._volume", " + self.second.log_diagonal.sum()", "")],
    ),
    Mutant(
        "periodic: transform of the mirrored kernel",
        "periodic-convolution",
        [("PeriodicConv._frequencies", ".conj()", "")],
    ),
    Mutant(
        "periodic: kernel not centred",
        "periodic-convolution",
        [("PeriodicConv._frequencies", "(-self.margin, -self.margin)", "(self.margin, self.margin)")],
    ),
    Mutant(
        "periodic: one frequency missing",
        "periodic-convolution",
        [("PeriodicConv._volume", "[1].sum()", "[1][1:].sum()")],
    ),
    Mutant("exponential: factorials missing", "exponential-convolution", [("ExponentialConv._series", "/ k", "")]),
    Mutant(
        "exponential: trace of one position",
        "exponential-convolution",
        [("ExponentialConv._volume", "self.positions * ", "")],
    ),
    Mutant(
        "exponential: series too short",
        "exponential-convolution",
        [("ExponentialConv._series", "20 if", "4 if")],
    ),
]
