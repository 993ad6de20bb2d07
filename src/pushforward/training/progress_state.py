"""Position: how far a run has come, as plain values and two float64 numbers on the device; saved with every checkpoint."""

from __future__ import annotations

import dataclasses
from typing import Any

import torch
from torch import Tensor


@dataclasses.dataclass
class Position:
    """Where a run stands, between two steps.

    Args:
        epoch: the one in progress, from 1.
        batch: batches of it that are done.
        step: optimiser steps done in all.
        seconds: that earlier runs took.
        running: sum over the epoch's rows of the loss.
        rows: number of those rows.
        gradient: largest norm of the gradient in the epoch.
        plateau: product of the reductions of the learning rate.
        stalled: epochs without a better score since the last reduction or improvement.
        waited: epochs without a better score.
        score: best score so far, of the training rows where there are no validation rows.
        best_epoch: whose weights are kept; 0 for none yet.
        history: records of the finished epochs.
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
        """Before the first step."""
        return cls(running=_zero(device), gradient=_zero(device))

    def next_epoch(self) -> None:
        """Go to the start of the next epoch."""
        self.epoch += 1
        self.batch = self.rows = 0
        self.running, self.gradient = _zero(self.running.device), _zero(self.gradient.device)

    def to_dict(self) -> dict[str, Any]:
        """The fields by name, shared."""
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}

    @classmethod
    def from_dict(cls, values: dict[str, Any], device: torch.device) -> Position:
        """The reverse of `to_dict`, with the tensors moved to a device."""
        moved: dict[str, Any] = {
            k: v.to(device, torch.float64) if isinstance(v, Tensor) else v for k, v in values.items()
        }
        return cls(**moved)


def _zero(device: torch.device) -> Tensor:
    return torch.zeros((), dtype=torch.float64, device=device)
