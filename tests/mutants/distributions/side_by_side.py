"""Faults of `pushforward/distributions/side_by_side.py`."""

from ..mutant import Mutant

MUTANTS = [
    Mutant(
        "density of one part only",
        "^side-by-side$",
        [
            (
                "SideBySide._log_prob",
                "torch.stack([part._log_prob(v, None) for part, v in pairs]).sum(0)",
                "torch.stack([part._log_prob(v, None) for part, v in pairs])[0]",
            )
        ],
    ),
    Mutant("densities averaged", "^side-by-side$", [("SideBySide._log_prob", ".sum(0)", ".mean(0)")]),
]
