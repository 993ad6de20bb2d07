"""Faults of `pushforward/transforms/branches.py`."""

from ..mutant import Mutant

MUTANTS = [
    Mutant(
        "absolute value: signs exchanged in the inverse",
        "^absolute-value$",
        [("AbsoluteValue.merge", "torch.where(lost > 0, z, -z)", "torch.where(lost > 0, -z, z)")],
    ),
    Mutant(
        "fold: log-determinant left out, both ways",
        "^lwta-3$|^fold$",
        [
            ("WinnerFold.split", "sum_events(slopes)", "0 * sum_events(slopes)"),
            ("WinnerFold.merge", "-sum_events", "-0 * sum_events"),
        ],
    ),
    Mutant(
        "fold: log-determinant turned round, both ways",
        "^lwta-3$|^fold$",
        [
            ("WinnerFold.split", "sum_events(slopes)", "-sum_events(slopes)"),
            ("WinnerFold.merge", "-sum_events", "sum_events"),
        ],
    ),
    Mutant("fold: losers lie above the winner", "^lwta-3$", [("WinnerFold.merge", "y - gaps", "y + gaps")]),
    Mutant(
        "fold: losers in another order",
        "^lwta-4$|^fold$|^maximum$",
        [("WinnerFold._losers", "each >= winners", "each > winners")],
    ),
    Mutant(
        "fold: the network does not see the context",
        "^fold$",
        [("BranchSurjection.given", "self.net(z, context)", "self.net(z, 0 * context)")],
    ),
]
