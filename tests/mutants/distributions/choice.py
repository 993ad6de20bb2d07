"""Faults of `pushforward/distributions/choice.py`."""

from ..mutant import Mutant

MUTANTS = [
    Mutant(
        "choice: noise of the wrong law",
        "^lwta-3$|^absolute-value$|^rad-0$",
        [("draw_labels", "(-noise.log()).log()", "noise.log()")],
    ),
    Mutant(
        "choice: logits not normalised",
        "^lwta-3$|^absolute-value$",
        [("label_log_prob", "logits.log_softmax(-1)", "logits")],
    ),
    Mutant(
        "order: probability of D entries wrong", "^sort$", [("RandomOrder._log_prob", "self.size + 1", "self.size + 2")]
    ),
    Mutant(
        "order: always the same", "^survae-1$|^sort$", [("RandomOrder._sample", "torch.rand(n", "0 * torch.rand(n")]
    ),
]
