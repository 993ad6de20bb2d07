"""Faults of `pushforward/networks/label_networks.py`."""

from ..mutant import Mutant

MUTANTS = [
    Mutant(
        "table of labels looks at the label itself",
        "discrete-3|modular-tables",
        [("AutoregressiveTable.forward", "table(x[:, :i])", "table(x[:, self.tables.__len__() - i:])")],
    ),
]
