"""Faults of `pushforward/distributions/entry_terms.py`."""

from ..mutant import Mutant

MUTANTS = [
    Mutant(
        "entry terms: spikes of whole numbers only from the softmax",
        "^orderless-table$",
        [("entry_terms", "torch.logaddexp(log_fact, ordinary)", "log_fact")],
    ),
    Mutant(
        "entry terms: probability of an ordinary number forgotten",
        "^orderless-table$",
        [("entry_terms", "log_ordinary + log_number", "log_number")],
    ),
    Mutant(
        "entry terms: facts that an entry lacks have a probability",
        "^any-order-2$",
        [("entry_terms", "logits.masked_fill(~allowed, -torch.inf).log_softmax", "logits.log_softmax")],
    ),
]
