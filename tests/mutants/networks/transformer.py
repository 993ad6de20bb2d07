"""Faults of `pushforward/networks/transformer.py`."""

from ..mutant import Mutant

MUTANTS = [
    Mutant(
        "causal transformer sees the token that it makes",
        "autoregressive-token",
        [("CausalTransformer.compute", "x[:, :-1]", "x[:, 1:]")],
    ),
    Mutant(
        "transformer: positions of a block counted from its start",
        "autoregressive-token",
        [("_Transformer._start", "first:first + h.shape[1]", ":h.shape[1]")],
    ),
]
