"""Exceptions of laws: a violation, or a law that does not apply."""

from __future__ import annotations

import torch
from torch import Tensor


class LawBroken(AssertionError):
    """Error for a law that does not hold; the message has the numbers."""


class NotApplicable(Exception):
    """Signal that a law does not apply to a case; the message has the reason."""


def require(condition: object, message: str) -> None:
    """Raise `LawBroken` with a message unless a condition holds."""
    if not condition:
        raise LawBroken(message)


def require_close(got: Tensor, expected: Tensor, tolerance: float, what: str) -> None:
    """Raise `LawBroken` unless two tensors agree in shape and in every entry, up to an absolute tolerance."""
    require(got.shape == expected.shape, f"{what}: shapes {tuple(got.shape)} and {tuple(expected.shape)}")
    got, expected = got.detach(), expected.detach()
    both = torch.isneginf(got.double()) & torch.isneginf(expected.double())
    error = torch.where(both, 0.0, (got.double() - expected.double()).abs())
    worst = float(error.max()) if error.numel() else 0.0
    require(bool(error.isfinite().all()) and worst <= tolerance, f"{what}: differ by {worst:.3g} > {tolerance:g}")
