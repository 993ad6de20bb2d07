"""Faults of `pushforward/transforms/bent_maps.py`."""

from ..mutant import Mutant

MUTANTS = [
    Mutant(
        "Johnson: inverse without the scale",
        "^johnson-su-line$",
        [("BentLine._bend", "d * torch.sinh(u), log_cosh(u)", "torch.sinh(u), log_cosh(u)")],
    ),
    Mutant(
        "leaky line: the slope is on the other side",
        "^leaky-line$",
        [
            (
                "BentLine._bend",
                "torch.where(v < 0, soft_clip(-shape if inverse else shape, self.bound), 0.0)",
                "torch.where(v < 0, soft_clip(shape, self.bound), 0.0)",
            )
        ],
    ),
    Mutant(
        "bent line: scale not taken back", "(sinh|yeo-johnson)-line$", [("BentLine._map", "image / scale", "image")]
    ),
]
