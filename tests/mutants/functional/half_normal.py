"""Faults of `pushforward/functional/half_normal.py`."""

from ..mutant import Mutant

MUTANTS = [
    Mutant(
        "half-normal: slope turned round, both ways",
        "^lwta-[34]$",
        [
            (
                "half_normal_to_normal",
                "math.log(2) - difference * (y + z) / 2",
                "difference * (y + z) / 2 - math.log(2)",
            ),
            (
                "normal_to_half_normal",
                "difference * (y + z) / 2 - math.log(2)",
                "math.log(2) - difference * (y + z) / 2",
            ),
        ],
    ),
    Mutant(
        "half-normal: twice the tail forgotten in the middle",
        "^lwta-[34]$",
        [
            (
                "half_normal_to_normal",
                "torch.erfc(y.clamp(MIDDLE, FAR) / math.sqrt(2))",
                "0.5 * torch.erfc(y.clamp(MIDDLE, FAR) / math.sqrt(2))",
            )
        ],
    ),
    Mutant(
        "half-normal: small values without the root of two, both ways",
        "^lwta-[34]$",
        [
            (
                "half_normal_to_normal",
                "torch.erf(y.clamp_max(MIDDLE) / math.sqrt(2))",
                "torch.erf(y.clamp_max(MIDDLE))",
            ),
            ("normal_to_half_normal", "math.sqrt(2) * torch.erfinv", "torch.erfinv"),
        ],
    ),
]
