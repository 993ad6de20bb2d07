"""Faults of `pushforward/transforms/zigzag.py`."""

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
        "zigzag: slope multiplied in the inverse",
        "^zigzag",
        [("Zigzag.merge", ") / slope", ") * slope")],
    ),
    Mutant("zigzag: all pieces rise", "^zigzag", [("Zigzag._pieces", "1 - 2 *", "1 - 0 *")]),
    Mutant("zigzag: a gate open outside of its piece", "^zigzag", [("IMPOSSIBLE", "-10000.0", "0.0")]),
    Mutant("zigzag: no gates", "^zigzag", [("Zigzag.given", " + self._gates(z)", "")]),
    Mutant(
        "zigzag: heights without the slopes", "^zigzag", [("Zigzag._pieces", "(slopes[:, 1:-1] * widths)", "widths")]
    ),
]
