"""Faults of `pushforward/networks/graph_mlp.py`."""

from ..mutant import Mutant

MUTANTS = [
    Mutant(
        "graph: units see features outside of their sets",
        "^autoregressive-graph$|^graphical-0$",
        [("_covers", "below[None] & ~above[:, None]", "~below[None] & above[:, None]")],
    ),
    Mutant(
        "graph: one pass too few",
        "^autoregressive-graph$|^graphical-0$",
        [("longest_chain", "steps += 1", "steps = 1")],
    ),
    Mutant(
        "graph: groups that see themselves",
        "^graphical-1$",
        [("grouped_parents", "group[j] < group[i]", "group[j] <= group[i] and i != j")],
    ),
    Mutant(
        "graph: the context is left out",
        "^autoregressive-graph$|^graphical-1$",
        [("GraphMLP.compute", "self.embed(context)", "0 * self.embed(context)")],
    ),
]
