"""FitResult: the record of a training run."""

from __future__ import annotations

import dataclasses
from typing import Any, Literal

Stopped = Literal["converged", "patience", "limit", "callback", "interrupted", "nonfinite"]


@dataclasses.dataclass(repr=False)
class FitResult:
    """Record of a training run.

    Args:
        best_epoch: Number of the epoch whose weights the model has now; 0 if no epoch was finished.
        best_validation: Minus the validation loss of that epoch; for the likelihood objective the mean log-likelihood in
            nats per event. None without validation rows.
        epochs: Number of epochs finished.
        steps: Number of optimizer steps.
        seconds: Time in seconds that training took, with earlier runs on resume.
        history: Record of each epoch: "epoch", "steps", "train" and "validation" (minus the loss; "train" is the mean over the
            epoch's batches while the weights change), "lr", "gradient" (largest norm before clipping), "seconds", "best";
            "bits" (bits per dimension of the score) for discrete events, if the loss is a likelihood.
        train_rows: Number of training rows; for data from an iterable, the number in the last finished epoch.
        validation_rows: Number of validation rows.
        stopped: Reason for the end: "converged" (all epochs done), "patience", "limit" (on steps or time), "callback",
            "interrupted" or "nonfinite".
        message: A sentence about the end; empty after a regular end.
        seed: Seed of the run; with the numbers of rows it reproduces the split (see `split_rows`).
        config: Options that were used, as plain values; `compile` is False if compilation failed.
        likelihood: Whether minus the loss is a log-likelihood in nats.
        objective: Name and unit of the loss, such as "negative log-likelihood, nats per row".
        signal: Number of the signal that interrupted the run, SIGINT (Ctrl-C) or SIGTERM; None for none.
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
        """Return a short table with the loss, the length and the end of training."""
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
        """Return plain values that can be written as JSON."""
        return dataclasses.asdict(self)


def _score(best: float | None, *, likelihood: bool) -> str:
    """Return the best validation score as text."""
    if best is None:
        return "no rows"
    return f"{best:.4f} ({'log-likelihood, nats per row' if likelihood else 'minus the loss'})"
