"""Faults of `pushforward/transforms/piecewise.py`."""

from ..mutant import Mutant

MUTANTS = [
    Mutant(
        "zigzag: slopes not scored, both ways",
        "^zigzag",
        [
            ("Zigzag.split", "sum_events(slope.abs().log())", "0 * sum_events(slope.abs().log())"),
            ("Zigzag.merge", "sum_events(slope.abs().log())", "0 * sum_events(slope.abs().log())"),
        ],
    ),
    Mutant(
        "zigzag: the line of the left end for the first piece, too",
        "^zigzag",
        [("Zigzag.merge", "(lost - 1).clamp_min(0)", "lost.clamp_max(self.labels - 2)")],
    ),
    Mutant("zigzag: all pieces rise", "^zigzag", [("Zigzag._pieces", "1 - 2 *", "1 - 0 *")]),
    Mutant("zigzag: a gate open outside of its piece", "^zigzag", [("Zigzag._gates", "inside >= 0", "inside >= -0.5")]),
    Mutant("zigzag: no gates", "^zigzag", [("Zigzag.given", " + self._gates(z)", "")]),
    Mutant(
        "zigzag: heights without the slopes", "^zigzag", [("Zigzag._pieces", "(slopes[:, 1:-1] * widths)", "widths")]
    ),
]
