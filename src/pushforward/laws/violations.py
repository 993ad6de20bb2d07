"""How a law says no, and how it says that it has nothing to say."""

from __future__ import annotations

import torch
from torch import Tensor


class LawBroken(AssertionError):
    """A law does not hold; the message has the numbers."""


class NotApplicable(Exception):
    """The law says nothing about this case; the message says why."""


def require(condition: object, message: str) -> None:
    """Raise `LawBroken` with the message unless the condition holds."""
    if not condition:
        raise LawBroken(message)


def require_close(got: Tensor, expected: Tensor, tolerance: float, what: str) -> None:
    """Raise `LawBroken` unless two tensors agree in shape and, everywhere, to a finite absolute tolerance."""
    require(got.shape == expected.shape, f"{what}: shapes {tuple(got.shape)} and {tuple(expected.shape)}")
    got, expected = got.detach(), expected.detach()
    both = torch.isneginf(got.double()) & torch.isneginf(expected.double())
    error = torch.where(both, 0.0, (got.double() - expected.double()).abs())
    worst = float(error.max()) if error.numel() else 0.0
    require(bool(error.isfinite().all()) and worst <= tolerance, f"{what}: differ by {worst:.3g} > {tolerance:g}")
