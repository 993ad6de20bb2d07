"""Faults of `pushforward/core/flow.py`."""

from ..mutant import Mutant

MUTANTS = [
    Mutant(
        "flow: codes of the base come first",
        "slice$",
        [
            (
                "Flow._take_apart",
                "[*codes, *self.base._take_apart(z, context)]",
                "[*self.base._take_apart(z, context), *codes]",
            )
        ],
    ),
    Mutant("flow: sample adds instead of subtracts", "realnvp-0", [("Flow._sample", "logp - dlogp", "logp + dlogp")]),
    Mutant("flow: log_prob without the base", "realnvp-0", [("Flow._log_prob", "self.base", "0 * self.base")]),
    Mutant(
        "flow: base does not get the context",
        "embedded|slice|realnvp-1|iaf-1",
        [("Flow._embedded", "self.embed(context)", "0 * self.embed(context)")],
    ),
    Mutant(
        "flow: embedding runs at every call",
        "embedded",
        [
            (
                "Flow.at",
                "Flow(self.chain, self.base).at(embedded.reshape(*batch, *embedded.shape[1:]))",
                "super().at(context)",
            )
        ],
    ),
]
