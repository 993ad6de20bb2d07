"""Faults of `pushforward/transforms/block_autoregressive.py`."""

from ..mutant import Mutant

MUTANTS = [
    Mutant(
        "BNAF: slope of tanh halved in the exponent",
        "^block-autoregressive$",
        [("_log_slope", "2 * (F.logsigmoid", "(F.logsigmoid")],
    ),
    Mutant(
        "BNAF: diagonal blocks of any sign",
        "^block-autoregressive$",
        [("BlockLinear.weights", "(self.free * self.within).exp() * self.within", "self.free * self.within")],
    ),
    Mutant(
        "BNAF: later coordinates seen",
        "^block-autoregressive$",
        [("BlockLinear.__init__", "groups.tril(-1)", "groups - groups.diag().diag()")],
    ),
    Mutant(
        "BNAF: log-determinant without the gate",
        "^block-autoregressive$",
        [
            (
                "BlockAutoregressive.forward",
                "torch.logaddexp(log_gate, log_rest + log_slope[..., 0])",
                "(log_rest + log_slope[..., 0])",
            )
        ],
    ),
    Mutant(
        "BNAF: log-slopes not shifted back",
        "^block-autoregressive$",
        [("_log_product", ".log() + top", ".log()")],
    ),
    Mutant(
        "BNAF: bracket of the root too small",
        "^block-autoregressive$",
        [("_root", "side * reach", "0.01 * side * reach")],
    ),
    Mutant(
        "BNAF: inverse forgets the context",
        "^block-autoregressive$",
        [("BlockAutoregressive.inverse", "self._shifts(context)", "self._shifts(0 * context)")],
    ),
    Mutant(
        "BNAF: no gradient of the root",
        "^block-autoregressive$",
        [
            (
                "_root",
                "implicit_root(residual, newton_bisect(residual, low, high, noise))",
                "newton_bisect(residual, low, high, noise)",
            )
        ],
    ),
]
