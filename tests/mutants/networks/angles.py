"""Faults of `pushforward/networks/angles.py`."""

from ..mutant import Mutant

MUTANTS = [
    Mutant(
        "a network sees the angle itself",
        "^coupling-of-angles$",
        [("CosineSine.forward", "return torch.cat([x.cos(), x.sin()], 1)", "return torch.cat([x, x.sin()], 1)")],
    ),
    Mutant(
        "a network sees the angle of a product itself",
        "^coupling-of-kinds-turned$",
        [("CosineSine.forward", "turned.cos(), turned.sin()", "turned, turned.sin()")],
    ),
    Mutant(
        "an ordered network sees the angle itself",
        "^autoregressive-angles$",
        [("CosineSine._pairs", "return torch.stack([x.cos(), x.sin()], -1)", "return torch.stack([x, x.sin()], -1)")],
    ),
    Mutant(
        "an ordered network sees the angle of a product itself",
        "^autoregressive-kinds$",
        [("CosineSine._pairs", "torch.where(marks, x.cos(), x)", "x")],
    ),
    Mutant(
        "unrolled with the wrong entry's code",
        "^autoregressive-kinds$",
        [("CosineSine.pair", "self.marks[i]", "self.marks[-1 - i]")],
    ),
]
