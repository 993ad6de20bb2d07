"""Model of a table whose observed columns are given to the others, as in an inverse problem; see the system `inn`.

    p(row) = p(facts) p(y | facts) p(x | facts, y)

y are the observed numbers, x the unknown ones, and the facts are those of observed columns. p(y | facts) is a spline flow.
Rows given all observed columns are exact draws, without rejection.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from ..core import Chain, Distribution, Flow, Real
from ..errors import DataError, SpecError, listed
from ..systems.inn import INN
from ..systems.nsf import NSF
from ..systems.spec import Spec
from ..transforms import Standardise
from .column_layers import column_layers
from .facts import without_spikes
from .row_space import Column
from .schema import Schema
from .table_model import TableModel, number_columns


class ObservedTable(TableModel):
    """Distribution of the rows of a table, p(facts) p(y | facts) p(x | facts, y), with any draws of x given y.

    Args:
        schema: Schema of the table.
        spec: Spec of the system `inn`; its `columns` are the names of the observed columns.
        label_hidden: Widths of the hidden layers of the network of labels.

    Raises:
        DataError: The columns do not fit, see `observed_columns`.
        SpecError: The sizes of the spec do not fit the schema.
    """

    def __init__(self, schema: Schema, spec: INN, label_hidden: tuple[int, ...] = (64, 64)) -> None:
        super().__init__(schema, spec, label_hidden)

    def _make_parts(self, spec: Spec | None) -> None:
        """Make the models of the facts, of the observed numbers, and of the unknown ones."""
        assert isinstance(spec, INN)  # noqa: S101
        observed = observed_columns(self.schema, spec.columns)
        self.seen_at = [i for i in self.number_at if i in observed]
        self.number_at = [i for i in self.number_at if i not in observed]
        self.observed = frozenset(i for i in observed if self.schema.columns[i].kind != "constant")
        length = sum(self.classes)
        if (spec.features, spec.context) != (len(self.number_at), length + len(self.seen_at)):
            raise SpecError(
                f"expected a system with features={len(self.number_at)} and context={length + len(self.seen_at)} for this "
                f"table, got features={spec.features} and context={spec.context}"
            )
        self.labels = self._label_model() if self.fact_at else None
        self.standardise = Standardise(Real((len(self.seen_at),)))
        self.outputs: Flow | None = None
        if self.seen_at:
            small = NSF(features=len(self.seen_at), context=length, layers=3, hidden=32, blocks=1)
            self.outputs = self._behind(self.seen_at, small.build(), length)
        self.numbers = self._behind(self.number_at, spec.build(), spec.context)

    def _behind(self, at: Sequence[int], inner: Distribution, length: int) -> Flow:
        """Return a flow of columns of numbers in their own units, with a context of some length."""
        assert isinstance(inner, Flow)  # noqa: S101
        bit = dict(zip(self.fact_at, self.offsets, strict=True))
        layers = column_layers(number_columns(self.schema, at), length, [bit.get(i, -1) for i in at])
        return Flow(Chain(*layers, inner.chain), inner.base)

    def _columns(self, x: Tensor, at: Sequence[int]) -> Tensor:
        return without_spikes([self.schema.columns[i] for i in at], x[:, torch.tensor(at, device=x.device)])

    def _numbers_of(self, x: Tensor) -> Tensor:
        return self._columns(x, self.number_at)

    def _facts(self, x: Tensor) -> tuple[Tensor | None, Tensor | None]:
        """Return the discrete facts and their code; None for both without facts."""
        return super()._split(x)

    def _split(self, x: Tensor) -> tuple[Tensor | None, Tensor | None]:
        """Return the discrete facts, and the code of the facts beside the standardised observed numbers."""
        facts, code = self._facts(x)
        parts = [] if code is None else [code]
        if self.seen_at:
            # The code of the facts tells which numbers are missing, so any value may stand for them.
            parts.append(self.standardise(self._columns(x, self.seen_at))[0].nan_to_num(0.0).to(self.dtype))
        return facts, torch.cat(parts, 1)

    def _scored_labels(self, x: Tensor) -> tuple[Tensor | None, Tensor]:
        """Return the context of the unknown numbers, and log p(facts) + log p(y | facts), (B,)."""
        context, logp = super()._scored_labels(x)
        if self.outputs is not None:
            logp = logp + self.outputs._log_prob(self._columns(x, self.seen_at), self._facts(x)[1])
        return context, logp

    def _sample(self, n: int, context: Tensor | None) -> tuple[Tensor, Tensor]:
        facts, code, seen = None, None, None
        logp = torch.zeros(n, dtype=torch.float64, device=self.device)
        if self.labels is not None:
            facts, log_labels = self.labels._sample(n, None)
            code, logp = self._code(facts), logp + log_labels
        if self.outputs is not None:
            seen, log_seen = self.outputs._sample(n, code)
            logp = logp + log_seen
        rows = self._joined(n, facts, seen, self.seen_at)
        numbers, log_numbers = self._unknowns(rows)
        return numbers, logp + log_numbers

    def _unknowns(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Return rows with new draws of their unknown numbers, and the log-density of these."""
        numbers, logp = self.numbers._sample(len(rows), self._split(rows)[1])  # type: ignore[union-attr]
        rows = rows.clone()
        rows[:, torch.tensor(self.number_at, device=rows.device)] = numbers
        return rows, logp

    @torch.no_grad()
    def given(self, values: Mapping[int, float], n: int) -> np.ndarray:
        """Return n rows with given values of all observed columns, by their indices: (n, C)."""
        row = torch.full((n, len(self.schema.columns)), torch.nan, dtype=torch.float64, device=self.device)
        for i, column in enumerate(self.schema.columns):
            row[:, i] = column.value if column.kind == "constant" else values.get(i, torch.nan)
        return self._unknowns(row)[0].cpu().numpy()

    def init_from(self, x: Tensor, context: Tensor | None = None) -> None:
        """Set starting values from a batch."""
        if self.seen_at:
            seen = self._columns(x, self.seen_at)
            self.standardise.init_from(torch.where(seen.isnan(), seen.nanmean(0), seen))
        if self.outputs is not None:
            self.outputs.init_from(self._columns(x, self.seen_at), self._facts(x)[1])
        super().init_from(x, context)


def observed_columns(schema: Schema, names: Sequence[str]) -> list[int]:
    """Return the indices of the observed columns.

    Raises:
        DataError: No column is named, one does not exist, all are observed, or an unknown column has labels, missing values or
            frequent single values.
    """
    if not names:
        raise DataError("expected the observed columns for inn: give each with --given COLUMN (columns= in Python)")
    for name in names:
        if name not in schema.names:
            raise DataError(f"expected observed columns among {listed(schema.names)}, got {name!r}")
    observed = [schema.names.index(name) for name in names]
    unknown: list[Column] = [column for column in schema.columns if column.name not in names]
    for column in unknown:
        if column.classes > 1:
            what = "labels" if column.kind == "categorical" else "missing or frequent single values"
            raise DataError(
                f"expected numbers in the unknown columns, got {what} in column {column.name!r}; name it with --given, or "
                "leave it out"
            )
        if column.axis != "number":
            raise DataError(f"expected numbers, no angles and positions, for system 'inn', got column {column.name!r}")
    if not any(column.numeric for column in unknown):
        raise DataError("expected a column of numbers that is not observed, got only observed ones")
    return observed
