"""Faults of `pushforward/transforms/autoregressive.py`."""

from ..mutant import Mutant

MUTANTS = [
    Mutant(
        "autoregressive: implicit rule without the map's slope",
        "maf-0|iaf|autoregressive",
        [("Autoregressive.solve_transposed", "(right[i] - sent).div_(f_x[i])", "right[i] - sent")],
    ),
    Mutant(
        "autoregressive: implicit rule without the log-slopes' gradient",
        "maf-0|iaf|autoregressive",
        [
            (
                "Autoregressive.solve_transposed",
                "torch.addcmul(l_p[:, i], f_p[:, i], u[:, None])",
                "f_p[:, i] * u[:, None]",
            )
        ],
    ),
    Mutant(
        "autoregressive inverse drops a coordinate's contribution",
        "maf-0",
        [("Autoregressive.solve", "torch.stack(slopes)", "torch.stack(slopes[1:])")],
    ),
    Mutant(
        "tokens: blocks from the guess of other places",
        "token-blocks",
        [("Autoregressive._sweep", "guess[:, :-1]", "guess[:, 1:]")],
    ),
    Mutant(
        "tokens: blocks stop one sweep early",
        "token-blocks",
        [("Autoregressive._solve_tokens", "right.shape[1] - 1", "right.shape[1] - 2")],
    ),
    Mutant(
        "tokens: contribution of the first block only",
        "autoregressive-token",
        [("Autoregressive._solve_tokens", "torch.stack(slopes).sum(0)", "slopes[0]")],
    ),
    Mutant(
        "tokens: parameters of a token interleaved on the way back",
        "autoregressive-token",
        [("Autoregressive._sweep", "self._parameters_of(made)", "made.unflatten(2, (-1, self.scalar.n))")],
    ),
]
