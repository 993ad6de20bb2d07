"""Faults of `pushforward/transforms/ranks.py`."""

from ..mutant import Mutant

MUTANTS = [
    Mutant(
        "ranks: the inverse sorts twice",
        "ranks-coupling",
        [
            (
                "Ranks.inverse",
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
                "Ranks._logits",
                "p.masked_fill(torch.arange(self.width, device=p.device) >= self._moduli(p), IMPOSSIBLE)",
                "p",
            )
        ],
    ),
    Mutant("ranks: ascending order", "ranks-coupling", [("Ranks._order", "descending=True", "descending=False")]),
]
