"""Faults of `pushforward/networks/learned_graph.py`."""

from ..mutant import Mutant

MUTANTS = [
    Mutant(
        "learned graph: an edge may close a cycle",
        "^graphical-2$",
        [("LearnedGraph.refresh", "if not reaches[j, i]", "if True")],
    ),
    Mutant(
        "learned graph: paths of one step alone",
        "^graphical-2$",
        [("LearnedGraph.refresh", "reaches[:, i, None] & reaches[None, j]", "reaches[i, i] & reaches[None, i]")],
    ),
    Mutant(
        "learned graph: the context is left out",
        "^graphical-2$",
        [("LearnedGraph.compute", "context @ given", "0 * context @ given")],
    ),
]
