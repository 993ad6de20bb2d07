"""FitResult: what came out of a training run, beside the weights."""

from __future__ import annotations

import dataclasses
from typing import Any, Literal

Stopped = Literal["converged", "patience", "limit", "callback", "interrupted", "nonfinite"]


@dataclasses.dataclass(repr=False)
class FitResult:
    """The record of a training run.

    Args:
        best_epoch: epoch whose weights the model has now; 0 when no epoch was finished.
        best_validation: minus the validation loss of that epoch: for the likelihood objective the mean log-likelihood, in
            nats per event. None without validation rows.
        epochs: epochs finished.
        steps: optimiser steps made.
        seconds: that training took, earlier runs included on resume.
        history: for each epoch "epoch", "steps", "train" and "validation" (minus the loss; "train" is the mean over the
            epoch's batches while the weights moved), "lr", "gradient" (largest norm before clipping), "seconds", "best";
            for discrete events "bits" per dimension of the score, when the loss is a likelihood.
        train_rows: number of training rows.
        validation_rows: number of validation rows.
        stopped: "converged" (all epochs done), "patience", "limit" (of steps or time), "callback", "interrupted" or
            "nonfinite".
        message: a sentence about how it ended; empty when there is nothing to say.
        seed: with the counts it gives the split again: `split_rows`.
        config: the options in force, as plain values; `compile` is False when it was not possible.
        likelihood: whether minus the loss is a log-likelihood in nats.
        objective: Name and unit of what was minimised, such as "negative log-likelihood, nats per row".
        signal: number of the signal that interrupted the run, SIGINT (Ctrl-C) or SIGTERM; None for none.
    """

    best_epoch: int
    best_validation: float | None
    epochs: int
    steps: int
    seconds: float
    history: list[dict[str, Any]]
    train_rows: int
    validation_rows: int
    stopped: Stopped
    message: str
    seed: int
    config: dict[str, Any]
    likelihood: bool = True
    signal: int | None = None
    objective: str = ""

    def __repr__(self) -> str:
        """A short table: what was minimised, how far training came, how it ended."""
        facts = {
            "minimised": self.objective or "not recorded",
            "validation": _score(self.best_validation, likelihood=self.likelihood),
            "best epoch": f"{self.best_epoch} of {self.epochs}",
            "steps": f"{self.steps:,} in {self.seconds:.1f} s",
            "rows": f"{self.train_rows:,} to train, {self.validation_rows:,} to validate",
            "stopped": self.stopped,
            "message": self.message,
        }
        return "\n".join(["FitResult", *(f"  {name:<12}{value}" for name, value in facts.items() if value)])

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return dataclasses.asdict(self)


def _score(best: float | None, *, likelihood: bool) -> str:
    """The best validation score in words."""
    if best is None:
        return "no rows"
    return f"{best:.4f} ({'log-likelihood, nats per row' if likelihood else 'minus the loss'})"
