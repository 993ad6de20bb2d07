"""Faults of `pushforward/networks/nade_network.py`."""

from ..mutant import Mutant

MUTANTS = [
    Mutant(
        "NADE: activations contain the feature itself",
        "nade",
        [("NADENetwork.compute", "torch.cat([carried, total[:-1]])", "total")],
    ),
    Mutant(
        "NADE: outputs not sorted back",
        "^nade-2|rnade-1",
        [("NADENetwork.compute", "sorted_by_rank[self.columns.argsort()]", "sorted_by_rank")],
    ),
    Mutant(
        "NADE: activations not carried when unrolled",
        "nade",
        [("NADENetwork.unroll", "carried + known[i] @ self.inputs[i]", "self.start + known[i] @ self.inputs[i]")],
    ),
    Mutant(
        "NADE: context forgotten",
        "^nade-2",
        [("NADENetwork._first", "start + self.embed(context)", "start + 0 * self.embed(context)")],
    ),
]
