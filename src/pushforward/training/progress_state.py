"""Position: how far a run has come, as plain values and two numbers on the device; every checkpoint contains it."""

from __future__ import annotations

import dataclasses
from typing import Any

import torch
from torch import Tensor


@dataclasses.dataclass
class Position:
    """Position of a run between two steps.

    Args:
        epoch: Number of the epoch in progress, from 1.
        batch: Number of finished batches of this epoch.
        step: Number of optimizer steps since the start of the run.
        seconds: Time in seconds that earlier runs took.
        running: Sum of the loss over the rows of the epoch, in double precision.
        rows: Number of those rows.
        gradient: Largest norm of the gradient in the epoch, in double precision.
        plateau: Product of the reductions of the learning rate.
        stalled: Number of epochs without a better score since the last reduction or improvement.
        waited: Number of epochs without a better score.
        score: Best score so far, on the training rows if there are no validation rows; None before the first.
        best_epoch: Number of the epoch whose weights are kept; 0 if there is none yet.
        history: Records of the finished epochs.
    """

    running: Tensor
    gradient: Tensor
    epoch: int = 1
    batch: int = 0
    step: int = 0
    seconds: float = 0.0
    rows: int = 0
    plateau: float = 1.0
    stalled: int = 0
    waited: int = 0
    score: float | None = None
    best_epoch: int = 0
    history: list[dict[str, Any]] = dataclasses.field(default_factory=list)

    @classmethod
    def start(cls, device: torch.device) -> Position:
        """Return the position before the first step."""
        return cls(running=_zero(device), gradient=_zero(device))

    def next_epoch(self) -> None:
        """Go to the start of the next epoch."""
        self.epoch += 1
        self.batch = self.rows = 0
        self.running, self.gradient = _zero(self.running.device), _zero(self.gradient.device)

    def forget_scores(self) -> None:
        """Count no epoch so far as better than those that follow."""
        self.score, self.waited, self.stalled = None, 0, 0

    def to_dict(self) -> dict[str, Any]:
        """Return the fields by name, without copies."""
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}

    @classmethod
    def from_dict(cls, values: dict[str, Any], device: torch.device) -> Position:
        """Return a position from its fields, with the tensors moved to a device: the reverse of `to_dict`."""
        moved: dict[str, Any] = {
            k: v.to(device, torch.float64) if isinstance(v, Tensor) else v for k, v in values.items()
        }
        return cls(**moved)


def _zero(device: torch.device) -> Tensor:
    return torch.zeros((), dtype=torch.float64, device=device)
