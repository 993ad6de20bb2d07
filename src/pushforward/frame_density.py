"""Density of the rows of a data frame with labels, dates or gaps, on which `FlowDensity` relies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from .errors import DataError
from .evaluation.held_out import row_scores
from .tables import infer_schema
from .tables.auto import AutoChoice, choose, fresh, label_widths
from .tables.conditional_rows import conditional_rows
from .tables.data_frames import as_frame, as_table, kind_of_frame
from .tables.drawing import CHUNK, draw_rows
from .tables.hints import Reading
from .training import FitResult, TrainConfig, fit
from .training.random_state import isolated

Array = np.ndarray[Any, np.dtype[Any]]


def is_labelled_frame(source: Any) -> bool:
    """Return whether a source is a data frame with a column that holds neither numbers nor truth values."""
    kind = kind_of_frame(source)
    if kind == "pandas" and hasattr(source, "dtypes") and hasattr(source, "columns"):
        return any(getattr(dtype, "kind", "O") not in "iufb" for dtype in source.dtypes)
    if kind == "polars" and hasattr(source, "schema"):
        return any(not dtype.is_numeric() and str(dtype) != "Boolean" for dtype in source.schema.values())
    return False


class FrameDensity:
    """Model of the rows of a data frame.

    Args:
        frame: Data frame of pandas or polars.
        system: Name of the system of the numeric columns, or "auto".
        arguments: Arguments of the system.
        config: Options of the training.
        validation: Share of the rows for early stopping; None for none.
        weights: Weights of the rows, (N,), or None.
        quick: Whether a coarse choice of the system is enough.
        progress: Whether to show progress on standard error.

    Raises:
        DataError: No column can be used.
        SpecError: The system or one of its arguments is unknown.
    """

    def __init__(
        self,
        frame: Any,
        *,
        system: str,
        arguments: dict[str, Any],
        config: TrainConfig,
        validation: float | None,
        weights: Array | None = None,
        quick: bool = False,
        progress: bool = False,
    ) -> None:
        self.like = kind_of_frame(frame)
        table = as_table(frame, Reading())
        self.schema = infer_schema(table, leave_out=True)
        rows = self.schema.encode(table)
        choice = AutoChoice(system=system, arguments=arguments, label_hidden=label_widths(self.schema))
        if system == "auto":
            found = choose(self.schema, rows, config.seed, quick=quick)
            choice = found.of(found.system, {**found.arguments, **arguments})
        self.model = fresh(self.schema, choice, config.seed)
        self.result: FitResult = fit(
            self.model, rows, weights=weights, validation=validation, config=config, progress=progress
        )
        self.model.eval()

    def log_density(self, frame: Any, seed: int = 0) -> Array:
        """Return the log-likelihood of each row in nats; -inf for a row that the model cannot have.

        Args:
            frame: Data frame with the columns of the fit.
            seed: Seed of the noise of models that have some.
        """
        encoded = self.schema.encode_rows(as_table(frame, Reading(hints=self.schema.hints)))
        scores = row_scores(self.model, encoded.rows, seed)
        return np.where(encoded.bad | np.isnan(scores), -np.inf, scores)

    def draw(self, n: int, seed: int, given: Mapping[str, Any] | None = None) -> Any:
        """Return new rows as a data frame of the kind of the fit.

        Args:
            n: Number of rows; with conditions that are rare there may be fewer.
            seed: Seed of the draws.
            given: Condition of each column, by name, see `FittedTable.conditional`; None for none.
        """
        with isolated(self.model.device, seed):
            rows = draw_rows(self.model, n, CHUNK) if given is None else conditional_rows(self.model, given, n).rows
        return as_frame(self.schema.decode(rows), self.like)

    def codes(self, frame: Any) -> Array:
        """Return the latent codes of the numeric columns of the rows.

        Raises:
            DataError: A row cannot be encoded, or the model has no latent codes.
        """
        encoded = self.schema.encode_rows(as_table(frame, Reading(hints=self.schema.hints)))
        if encoded.bad.any():
            raise DataError(
                f"expected rows like those of the fit, got another one in row {int(np.argmax(encoded.bad))}"
            )
        with torch.no_grad():
            return self.model.encode(torch.from_numpy(encoded.rows)).double().numpy()
