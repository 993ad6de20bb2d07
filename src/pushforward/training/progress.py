"""Progress on stderr: a bar on a terminal, otherwise at most about twenty lines."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Any

from ..terminal import write_error

LINES = 20
"""Number of lines for a whole run if stderr is not a terminal."""


class TimeLeft:
    """Estimate of the time until training ends if the validation score does not improve.

    The rest of the run is the smallest of the epochs that are left, the epochs until patience ends, and the time budget.

    Args:
        epochs: Largest number of epochs.
        patience: Number of epochs without a better score after which training stops; 0 for none.
        budget: Time in seconds after which training stops; None for no limit.
    """

    def __init__(self, epochs: int, patience: int = 0, budget: float | None = None) -> None:
        self.epochs, self.patience, self.budget = epochs, patience, budget
        self.best: float | None = None
        self.waited = 0
        self.first: tuple[int, float] | None = None

    def text(self, record: dict[str, Any], best: float | None) -> str:
        """Return the estimate as text after an epoch; empty while it is not known.

        Args:
            record: Record of the epoch.
            best: Best validation score so far.
        """
        self.waited = 0 if best != self.best or best is None else self.waited + 1
        self.best = best
        epoch, seconds = record["epoch"], record.get("seconds")
        if seconds is None:
            return ""
        if self.first is None:
            self.first = (epoch, seconds)
            return ""
        each = (seconds - self.first[1]) / max(1, epoch - self.first[0])
        left = [each * (self.epochs - epoch)]
        if self.patience and best is not None:
            left.append(each * (self.patience - self.waited))
        if self.budget is not None:
            left.append(self.budget - seconds)
        rest = max(0.0, min(left))
        shown = f"{rest:.0f} s" if rest < 100 else f"{rest / 60:.0f} min" if rest < 6000 else f"{rest / 3600:.1f} h"
        return f"about {shown} left if the score does not improve" if self.patience else f"about {shown} left"


class Progress:
    """Progress display of the training loop, a context manager; this base class shows nothing."""

    def __enter__(self) -> Progress:
        """Start the display."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop the display."""

    def show(self, number: int, text: str) -> None:
        """Show that a step or an epoch is done, with a text of its numbers."""

    def epoch(self, record: dict[str, Any], best: float | None) -> None:
        """Show a finished epoch."""


class Lines(Progress):
    """Progress as lines: one for the first epoch and one for every twentieth of the run.

    Args:
        total: Number of epochs, or steps, of the whole run.
        unit: Unit of the scores, with a leading space.
        noun: Word for the things that are counted.
        left: Estimate of the time that is left; None for none.
    """

    def __init__(self, total: int, unit: str, noun: str, left: TimeLeft | None = None) -> None:
        self.left = left
        self.every = max(1, total // LINES)
        self.total, self.unit, self.noun = total, unit, noun
        self.due = 1

    def show(self, number: int, text: str) -> None:
        """Print the line if it is due."""
        if number >= self.due:
            self.due = (number // self.every + 1) * self.every
            write_error(f"{self.noun} {number}/{self.total}: {text}")

    def epoch(self, record: dict[str, Any], best: float | None) -> None:
        """Print the line if it is due."""
        left = self.left.text(record, best) if self.left else ""
        self.show(record["epoch"], _scores(record, best, self.unit) + (f", {left}" if left else ""))


class Bar(Progress):
    """Progress as a bar with the scores of the last epoch.

    Args:
        total: Number of epochs, or steps, of the whole run.
        done: Number of epochs or steps done by earlier runs, on resume.
        unit: Unit of the scores, with a leading space.
        noun: Word for the things that are counted.
        left: Estimate of the time that is left; None for none.
    """

    def __init__(self, total: int, done: int, unit: str, noun: str, left: TimeLeft | None = None) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
        from rich.progress import Progress as RichProgress

        self.bar = RichProgress(
            TextColumn(noun),
            MofNCompleteColumn(),
            BarColumn(bar_width=16),
            TimeElapsedColumn(),
            TextColumn("{task.description}"),
            console=Console(stderr=True),
        )
        self.left = left
        self.task = self.bar.add_task("", total=total, completed=done)
        self.unit = unit

    def __enter__(self) -> Progress:
        """Start to draw the bar."""
        self.bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop drawing; the last state of the bar stays on the screen."""
        self.bar.stop()

    def show(self, number: int, text: str) -> None:
        """Move the bar."""
        self.bar.update(self.task, completed=number, description=text)

    def epoch(self, record: dict[str, Any], best: float | None) -> None:
        """Move the bar."""
        # The text is short to fit a terminal of 80 columns.
        text = f"train {record['train']:.4f}{self.unit}"
        if record["validation"] is not None and best is not None:
            text = f"validation {record['validation']:.4f}, best {best:.4f}"
        if "bits" in record:
            text = f"{record['bits']:.4f} bits/dim"
        left = self.left.text(record, best) if self.left else ""
        self.show(record["epoch"], text + (f", {left.removesuffix(' if the score does not improve')}" if left else ""))


def make_progress(
    total: int, done: int, unit: str = " nats", *, noun: str = "epoch", shown: bool, left: TimeLeft | None = None
) -> Progress:
    """Return a bar on a terminal, lines elsewhere, or a display that shows nothing."""
    if not shown:
        return Progress()
    terminal = sys.stderr is not None and sys.stderr.isatty()
    return Bar(total, done, unit, noun, left) if terminal else Lines(total, unit, noun, left)


def _scores(record: dict[str, Any], best: float | None, unit: str) -> str:
    """Return the scores as text: 'train 1.234, validation 1.222 (best 1.223) nats, rate 1e-03'."""
    text = f"train {record['train']:.4f}"
    if record["validation"] is not None:
        text += f", validation {record['validation']:.4f}"
        if best is not None:
            text += f" (best {best:.4f})"
    bits = f", {record['bits']:.4f} bits/dim" if "bits" in record else ""
    return f"{text}{unit}{bits}, rate {record['lr']:.1e}"
