"""Faults of `pushforward/transforms/ranked_labels.py`."""

from ..mutant import Mutant

MUTANTS = [
    Mutant(
        "ranks: the inverse sorts twice",
        "ranks-coupling",
        [
            (
                "RankedLabels.inverse",
                "torch.zeros_like(z).scatter(-1, self._order(p).expand(z.shape), z)",
                "z.gather(-1, self._order(p).expand(z.shape))",
            )
        ],
    ),
    Mutant(
        "ranks: labels that do not exist take part",
        "ranks-coupling",
        [
            (
                "RankedLabels._logits",
                "p.masked_fill(torch.arange(self.width, device=p.device) >= self._moduli(p), IMPOSSIBLE)",
                "p",
            )
        ],
    ),
    Mutant(
        "ranks: ascending order", "ranks-coupling", [("RankedLabels._order", "descending=True", "descending=False")]
    ),
]
