"""Faults of `pushforward/transforms/bent_maps.py`."""

from ..mutant import Mutant

MUTANTS = [
    Mutant(
        "Johnson: inverse without the scale",
        "^johnson-su-line$",
        [("BentLine._bend", "d * torch.sinh(u), log_cosh(u)", "torch.sinh(u), log_cosh(u)")],
    ),
    Mutant(
        "bent line: scale not taken back", "(sinh|yeo-johnson)-line$", [("BentLine._map", "image / scale", "image")]
    ),
]
