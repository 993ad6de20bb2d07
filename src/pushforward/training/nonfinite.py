"""The watch over the numbers of a run: a step that is not finite is never applied, and its origin is found."""

from __future__ import annotations

import dataclasses
import math

import torch
from torch import Tensor, nn

from .batches import Batch
from .data import Rows
from .nonfinite_origin import diagnose
from .rng import random_state, set_random_state

ROWS_NAMED = 5
"""Rows named in a message."""


def steps_between_checks(device: torch.device) -> int:
    """Steps after which the flags of non-finite numbers are read: 1 where reading them costs nothing."""
    return 1 if device.type == "cpu" else 50


@dataclasses.dataclass(frozen=True, slots=True)
class SeenStep:
    """What it takes to run a step again.

    Args:
        number: steps done before it.
        batch: its rows.
        random: the random state before it.
    """

    number: int
    batch: Batch
    random: dict[str, Tensor]


class Watch:
    """Looks at the loss and the gradient of every step, at once or, where that would stop the device, every few steps.

    Between two looks `bad` stays on the device; an optimiser that skips steps by it leaves out the bad one and all after it.

    Args:
        device: of the loss.
        every: steps between two looks.
    """

    def __init__(self, device: torch.device, every: int) -> None:
        self.device, self.every = device, every
        self.steps: list[SeenStep] = []
        self.fine: list[Tensor] = []
        self.bad = torch.zeros((), dtype=torch.bool, device=device)

    def before(self, number: int, batch: Batch) -> None:
        """Remember a step that is about to be taken."""
        self.steps.append(SeenStep(number, batch, random_state(self.device)))

    def after(self, loss: Tensor, norm: Tensor) -> bool:
        """Look at its loss and gradient; False when it must not be applied and training ends here."""
        if self.every == 1:
            if math.isfinite(loss.item()) and math.isfinite(norm.item()):
                self.steps.clear()
                return True
            return False
        fine = loss.isfinite() & norm.isfinite()
        self.fine.append(fine)
        self.bad = self.bad | ~fine
        return True

    @property
    def skip(self) -> Tensor | None:
        """Whether the optimiser must leave out the update, on the device; None where `after` says so itself."""
        return None if self.every == 1 else self.bad

    def first_bad(self, *, at_once: bool) -> SeenStep | None:
        """The first step that was not finite; None when there is none, or when it is not yet time to look.

        Args:
            at_once: look now, whenever the last look was.
        """
        if self.every == 1:
            return self.steps[0] if self.steps else None
        if not at_once and len(self.steps) < self.every:
            return None
        fine = torch.stack(self.fine).tolist() if self.fine else []
        if all(fine):
            self.steps.clear()
            self.fine.clear()
            return None
        return self.steps[fine.index(False)]


def explain(
    step: SeenStep, epoch: int, whole: nn.Module, objective: nn.Module, rows: Rows, device: torch.device
) -> str:
    """Run a bad step once more, from the same random state, and say what became non-finite, where and for which rows.

    Args:
        step: the first bad one; the weights are those before it.
        epoch: in which it was.
        whole: the bundle of the model and the objective.
        objective: the loss.
        rows: that the batch was taken from.
        device: of the random state.
    """
    set_random_state(step.random, device)
    index = step.batch.index
    finding = diagnose(whole, objective, rows.take(index))
    named = index if finding.rows is None else index[finding.rows]
    shown = ", ".join(map(str, named[:ROWS_NAMED].tolist())) + (", ..." if len(named) > ROWS_NAMED else "")
    return (
        f"the {finding.what} became non-finite at epoch {epoch}, step {step.batch.number} "
        f"(rows {shown} of the training data); {finding.origin}"
    )
