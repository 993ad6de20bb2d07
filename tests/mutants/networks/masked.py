"""Faults of `pushforward/networks/masked.py`."""

from ..mutant import Mutant

MUTANTS = [
    Mutant(
        "MADE output mask not strict",
        "made-0|maf-0",
        [("MaskedMLP.__init__", "rank.repeat(n)[:, None] > before[None]", "rank.repeat(n)[:, None] >= before[None]")],
    ),
    Mutant(
        "MADE hidden mask too wide",
        "maf-2|autoregressive-residual",
        [("MaskedMLP.__init__", "degree[:, None] >= before[None]", "degree[:, None] + 1 >= before[None]")],
    ),
    Mutant(
        "MADE: weights not masked",
        "made-0|maf-0",
        [("MaskedLinear.masked_weight", "self.weight * self.mask", "self.weight")],
    ),
    Mutant(
        "MADE: first feature cannot see the context",
        "maf-1|made-1",
        [("hidden_degrees", "-1 if given or features == 1 else 0", "0")],
    ),
    Mutant(
        "MADE: context enters with the wrong sign when unrolled",
        "maf-1",
        [("MaskedMLP.unroll", "context.mT", "-context.mT")],
    ),
    Mutant(
        "MADE: unrolling loses the residual connection",
        "autoregressive-residual|nsf-4",
        [("MaskedMLP.unroll", "skips[i - 2]", "0 * skips[i - 2]")],
    ),
    Mutant(
        "unrolling backwards: units not scaled by their activation's derivative",
        "maf-0|autoregressive-residual|iaf",
        [("MaskedMLP.pull", "raw * rates[i][lo:hi]", "raw")],
    ),
    Mutant(
        "unrolling backwards loses the residual connection",
        "autoregressive-residual|nsf-4",
        [("MaskedMLP.pull", "values[i - 2]", "0 * values[i - 2]")],
    ),
    Mutant(
        "sorted weights are never refreshed",
        "maf-0",
        [("MaskedMLP._staircase", "self._kept is None or key is None or self._kept[0] != key", "self._kept is None")],
    ),
    Mutant("MADE: unrolled features in rank order", "made-1|maf-2", [("MaskedMLP.unroll", "x[:, self.order]", "x")]),
    Mutant(
        "MADE: direct connections from the feature itself",
        "made-2|made-3|autoregressive-gaussians",
        [
            (
                "MaskedMLP.__init__",
                "rank.repeat(n)[:, None] > rank.repeat_interleave",
                "rank.repeat(n)[:, None] >= rank.repeat_interleave",
            )
        ],
    ),
    Mutant(
        "MADE: direct connections unrolled in another order",
        "autoregressive-gaussians",
        [("MaskedMLP._sorted", "direct = direct[:, self.columns].flatten(1)", "direct = direct.flatten(1)")],
    ),
]
