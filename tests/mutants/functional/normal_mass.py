"""Faults of `pushforward/functional/normal_mass.py`."""

from ..mutant import Mutant

MUTANTS = [
    Mutant(
        "normal mass: upper end without the mean",
        "^orderless-table$",
        [("log_normal_mass", "torch.where(right, 0.0, upper) - mean", "torch.where(right, 0.0, upper)")],
    ),
    Mutant(
        "normal mass: no tail beyond the last number",
        "^orderless-table$",
        [("log_normal_mass", "a.detach().clamp_min(0) + FAR", "a.detach() + 0.5")],
    ),
    Mutant(
        "normal mass: only the upper end counts",
        "^orderless-table$",
        [("log_normal_mass", "wide = top + _log1mexp", "wide = top + 0 * _log1mexp")],
    ),
]
