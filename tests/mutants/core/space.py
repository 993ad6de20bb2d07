"""Faults of `pushforward/core/space.py`."""

from ..mutant import Mutant

MUTANTS = [
    Mutant("frame not orthonormal", "realnvp-0", [("Space.tangent", "torch.eye", "2 * torch.eye")]),
]
