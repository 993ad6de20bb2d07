"""Model of the rows of a table by the conditionals of each column given any others.

The measure is that of `TableModel`: labels, spikes, whole numbers and missing values have probabilities, other numbers have
densities in the units of their column. Here a column is one entry of the model. A column with spikes or missing values has a
softmax over these and "an ordinary number", together with a density of the ordinary numbers. Whole numbers have the mass of
their cells, so the log-likelihood is exact.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import numpy as np
import torch
from torch import Tensor

from ..core import Given, Transform
from ..errors import DataError, SpecError
from ..systems.row_spec import RowSpec
from ..systems.spec import Spec
from .schema import Schema
from .table_coding import TableCoding
from .table_model import TableModel


class AnyOrderTable(TableModel):
    """Distribution of the rows of a table, (C,) float64 in raw units, with the conditionals of each column given any others.

    log_prob is exact. In a column without missing values, NaN is a gap: the log-density is that of the other entries.

    Args:
        schema: Schema of the table.
        spec: Spec of the system of rows; its `features` is the number of numeric columns, and its `classes` are the numbers of
            discrete facts of the columns that have more than one.

    Raises:
        DataError: Every column is constant.
        SpecError: The spec does not fit the schema.
    """

    def __init__(self, schema: Schema, spec: RowSpec) -> None:
        super().__init__(schema, spec, ())

    def _make_parts(self, spec: Spec | None) -> None:
        """Make the model of the rows."""
        assert isinstance(spec, RowSpec)  # noqa: S101
        wanted = (len(self.number_at), self.classes)
        if (spec.features, spec.classes) != wanted:
            raise SpecError(
                f"expected a system with features={wanted[0]} and classes={wanted[1]} for this table, "
                f"got features={spec.features} and classes={spec.classes}"
            )
        self.labels = self.numbers = None
        self.rows = spec.over(TableCoding(self.schema.columns))
        self.space = self.coding.space

    @property
    def coding(self) -> TableCoding:
        """Coding of the columns as entries of the model."""
        return cast(TableCoding, self.rows.coding)

    def _log_prob(self, x: Tensor, context: Tensor | None) -> Tensor:
        return self.rows._log_prob(x, None)

    def _log_prob_aux(self, x: Tensor, context: Tensor | None) -> tuple[Tensor, dict[str, Tensor]]:
        return self._log_prob(x, None), {}

    def _log_prob_until(
        self, wanted: Callable[[Transform], bool], x: Tensor, context: Tensor | None
    ) -> tuple[Tensor, Given | None]:
        return self._log_prob(x, None), None

    def _sample(self, n: int, context: Tensor | None) -> tuple[Tensor, Tensor]:
        return self.rows._sample(n, None)

    def encode(self, x: Tensor) -> Tensor:
        """Refuse to encode rows.

        Raises:
            DataError: In every case: the model has no latent code.
        """
        raise DataError(f"expected a flow to encode rows, got a model of the system {self.spec.name!r}")  # type: ignore[union-attr]

    def init_from(self, x: Tensor, context: Tensor | None = None) -> None:
        """Set starting values from a batch: the frequencies of the labels, and mixtures over the range of the numbers."""
        self.rows.init_from(x)

    def mask(self, columns: np.ndarray | Tensor) -> Tensor:
        """Return a mask of columns, (..., C), as a mask of the entries of the model, (..., D)."""
        places = torch.tensor(self.coding.places, device=self.device)
        return torch.as_tensor(columns, device=self.device).index_select(-1, places)

    @torch.no_grad()
    def entry_log_prob(self, rows: np.ndarray, column: int) -> np.ndarray:
        """Return log p(entry | all other entries of the row) of one column, (N,); 0 for a constant column and for gaps.

        Args:
            rows: Encoded rows (N, C).
            column: Index of the column.
        """
        places, found = self.coding.places, np.zeros(len(rows))
        if column not in places or not len(rows):
            return found
        x = torch.as_tensor(rows, device=self.device)
        inside = self.space.contains(x)
        logp = self.rows.entry_log_prob(self.space.nearest(x), places.index(column))
        found = torch.where(inside, logp.double(), -torch.inf).cpu().numpy()
        return found if self.schema.columns[column].missing else np.where(np.isnan(rows[:, column]), 0.0, found)

    @torch.no_grad()
    def order_spread(self, rows: np.ndarray, chunk: int = 4096) -> np.ndarray:
        """Return for each row the standard deviation of the log-likelihood over the orders, in nats, (N,)."""
        if len(self.rows.ranks) < 2:
            return np.zeros(len(rows))
        x = self.space.nearest(torch.as_tensor(rows, device=self.device))
        parts = [self.rows.order_log_probs(piece).double().std(0).cpu() for piece in x.split(chunk)]
        return torch.cat(parts).numpy() if parts else np.zeros(0)
