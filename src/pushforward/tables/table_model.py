"""Model of the rows of a table: a categorical model of labels, spikes and missing values, and a flow for the numbers.

A row consists of its discrete facts d and its ordinary numbers c. The discrete fact of a categorical column is its label, where
"missing" is one more label. The discrete fact of a column of numbers tells whether the value is an ordinary number, one of the
spikes of the column, or missing. Then

    p(row) = p(d) p(c | d).

p(d) is autoregressive with a softmax for each fact, or another system for labels. p(c | d) is any system of the registry behind
the layers of `column_layers`, and its context is the one-hot code of d. Constant columns add nothing.

The measure is mixed. A label, a spike, a whole number and a missing value have probabilities (the counting measure). An
ordinary number of a continuous column has a density in the units of the column (the Lebesgue measure). A spike must not have a
density as well: then it would count twice. So it is a missing value for the flow, and `FillMissing` fills it with noise.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from ..core import Chain, Distribution, Flow, Given, Transform
from ..distributions import AutoregressiveCategorical
from ..errors import DataError, SpecError
from ..systems.spec import Spec
from ..transforms import Marginals
from .column_layers import OnSurface, column_layers
from .curved_layers import space_of_axes
from .facts import facts_of, value_of, without_spikes
from .row_space import Column, TableSpace
from .schema import Schema


class TableModel(Distribution):
    """Distribution of the rows of a table, (C,) float64 in raw units, which `Schema.encode` makes and `Schema.decode` reads.

    log_prob is in nats and float64. It is a log-density for continuous columns and a log-probability for the others. It is
    exact if no column is an integer and no number can be missing or a spike; otherwise it is a random lower bound.

    Args:
        schema: Schema of the table.
        spec: Spec of the flow of the numeric columns; its `features` is their number, and its `context` is the length of the
            one-hot code of the discrete facts. None for a table without numeric columns.
        label_hidden: Widths of the hidden layers of the network of labels.
        label_spec: Spec of another model of the discrete facts; its `classes` is the number of values of each fact.

    Raises:
        DataError: Every column is constant.
        SpecError: A spec does not fit the schema.
    """

    space: TableSpace
    labels: Distribution | None
    numbers: Flow | None

    def __init__(
        self,
        schema: Schema,
        spec: Spec | None,
        label_hidden: tuple[int, ...] = (64, 64),
        label_spec: Spec | None = None,
    ) -> None:
        super().__init__()
        self.schema, self.spec, self.label_hidden = schema, spec, tuple(label_hidden)
        self.label_spec = label_spec
        self.space = TableSpace(schema.columns)
        columns = schema.columns
        self.number_at = [i for i, column in enumerate(columns) if column.numeric]
        self.fact_at = [i for i, column in enumerate(columns) if column.classes > 1]
        self.classes = tuple(columns[i].classes for i in self.fact_at)
        self.offsets = list(itertools.accumulate(self.classes, initial=0))[:-1]
        if not self.number_at and not self.fact_at:
            raise DataError("expected a column with different values, got a table whose columns are all constant")
        self._make_parts(spec)

    def _make_parts(self, spec: Spec | None) -> None:
        """Make the model of the labels and that of the numbers."""
        _require_fit(self.schema, spec)
        self.labels = self._label_model() if self.fact_at else None
        self.numbers = None if spec is None else self._number_model(spec)

    def _label_model(self) -> Distribution:
        if self.label_spec is None:
            return AutoregressiveCategorical(self.classes, hidden=self.label_hidden)
        model = self.label_spec.build()
        if model.space.counts != self.classes or model.context is not None:
            raise SpecError(f"expected a system of labels with {self.classes} labels for this table, got {model.space}")
        return model

    def _number_model(self, spec: Spec) -> Flow:
        columns = number_columns(self.schema, self.number_at)
        bit = dict(zip(self.fact_at, self.offsets, strict=True))
        inner = spec.build()
        for part in inner.modules():
            if isinstance(part, Marginals):
                part.names = [f"column {column.name!r}" for column in columns]
        layers: list[Transform]
        wanted = space_of_axes(columns)
        curved = next((column for column in columns if column.axis != "number"), None)
        if curved is not None and inner.space != wanted:
            what = "part of a position" if curved.partner else "an angle"
            raise DataError(
                f"expected a system such as 'mixed' for this table, because column {curved.name!r} is {what}, got "
                f"{spec.name!r}, which models points of {inner.space}"
            )
        flat = inner.space == wanted and not spec.on_surface
        if curved is not None or flat or inner.space.discrete or inner.space.shape != (len(columns),):
            layers = column_layers(columns, sum(self.classes), [bit.get(i, -1) for i in self.number_at])
        else:
            layers = [OnSurface(columns, inner.space)]
        if isinstance(inner, Flow) and inner.embed is None:
            return Flow(Chain(*layers, inner.chain), inner.base)
        return Flow(Chain(*layers), inner)

    def _split(self, x: Tensor) -> tuple[Tensor | None, Tensor | None]:
        """Return the discrete facts (B, F) int64 and their one-hot code (B, L); None for both without any facts."""
        if self.labels is None:
            return None, None
        columns = [self.schema.columns[i] for i in self.fact_at]
        facts = facts_of(columns, x[:, torch.tensor(self.fact_at, device=x.device)])
        return facts, self._code(facts)

    def _code(self, facts: Tensor) -> Tensor:
        code = torch.zeros(facts.shape[0], sum(self.classes), dtype=self.dtype, device=facts.device)
        # The one-hot codes of all facts stand side by side, so the code of fact j begins at its offset.
        return code.scatter(1, facts + torch.tensor(self.offsets, device=facts.device), 1.0)

    def _numbers_of(self, x: Tensor) -> Tensor:
        """Return the ordinary numbers (B, features), with NaN for spikes."""
        columns = [self.schema.columns[i] for i in self.number_at]
        return without_spikes(columns, x[:, torch.tensor(self.number_at, device=x.device)])

    def _log_prob(self, x: Tensor, context: Tensor | None) -> Tensor:
        code, logp = self._scored_labels(x)
        return logp if self.numbers is None else logp + self.numbers._log_prob(self._numbers_of(x), code)

    def _log_prob_aux(self, x: Tensor, context: Tensor | None) -> tuple[Tensor, dict[str, Tensor]]:
        code, logp = self._scored_labels(x)
        if self.numbers is None:
            return logp, {}
        more, penalties = self.numbers._log_prob_aux(self._numbers_of(x), code)
        return logp + more, penalties

    def _log_prob_until(
        self, wanted: Callable[[Transform], bool], x: Tensor, context: Tensor | None
    ) -> tuple[Tensor, Given | None]:
        if self.numbers is None:
            facts, _ = self._split(x)
            assert self.labels is not None and facts is not None  # noqa: S101, PT018
            return self.labels._log_prob_until(wanted, facts, None)
        code, logp = self._scored_labels(x)
        more, given = self.numbers._log_prob_until(wanted, self._numbers_of(x), code)
        return logp + more, given

    def _scored_labels(self, x: Tensor) -> tuple[Tensor | None, Tensor]:
        """Return the one-hot code of the discrete facts, and their log-probability (B,)."""
        facts, code = self._split(x)
        logp = x.new_zeros(x.shape[0])
        if self.labels is not None and facts is not None:
            logp = logp + self.labels._log_prob(facts, None)
        return code, logp

    def _sample(self, n: int, context: Tensor | None) -> tuple[Tensor, Tensor]:
        logp = torch.zeros(n, dtype=torch.float64, device=self.device)
        facts, code, numbers = None, None, None
        if self.labels is not None:
            facts, log_labels = self.labels._sample(n, None)
            code, logp = self._code(facts), logp + log_labels
        if self.numbers is not None:
            numbers, log_numbers = self.numbers._sample(n, code)
            logp = logp + log_numbers
        return self._joined(n, facts, numbers), logp

    def _joined(
        self, n: int, facts: Tensor | None, numbers: Tensor | None, number_at: Sequence[int] | None = None
    ) -> Tensor:
        like = torch.empty(n, 0, device=self.device)
        number_at = self.number_at if number_at is None else number_at
        number_of, fact_of = ({i: k for k, i in enumerate(at)} for at in (number_at, self.fact_at))
        x = []
        for i, column in enumerate(self.schema.columns):
            fact = None if facts is None or i not in fact_of else facts[:, fact_of[i]]
            number = None if numbers is None or i not in number_of else numbers[:, number_of[i]]
            x.append(value_of(column, fact, number, like))
        return torch.stack(x, 1)

    def encode(self, x: Tensor) -> Tensor:
        """Return the latent code (*batch, features) of the numeric columns of rows (*batch, C), given the discrete facts.

        Raises:
            DataError: There are no numeric columns.
        """
        if self.numbers is None:
            raise DataError("expected numeric columns to encode, got a table of labels only")
        x, _, batch = self._flatten(x, None)
        z = self.numbers.chain(self._numbers_of(x), self._split(x)[1])[0]
        return z.reshape(*batch, *z.shape[1:])

    def behind_columns(self, x: Tensor) -> tuple[Flow, Tensor, Tensor | None]:
        """Return the flow of standardised numbers, its events for flat rows (B, C), and their context.

        Raises:
            SpecError: The table has no columns of numbers, or their model is not a flow.
        """
        if self.numbers is None or not isinstance(self.numbers.chain, Chain) or len(self.numbers.chain) < 2:
            raise SpecError("expected a table with columns of numbers and a flow of these, got another model")
        code, chain = self._split(x)[1], self.numbers.chain
        events = chain[:-1](self._numbers_of(x), code)[0]
        return Flow(chain[-1], self.numbers.base), events, code

    def init_from(self, x: Tensor, context: Tensor | None = None) -> None:
        """Set starting values from a batch: the frequencies of the labels, and the starting values of the flow."""
        labels, given = self._split(x)
        if self.labels is not None and labels is not None:
            self.labels.init_from(labels)
        if self.numbers is not None:
            self.numbers.init_from(self._numbers_of(x), given)


def number_columns(schema: Schema, at: Sequence[int]) -> list[Column]:
    """Return the columns of numbers as the flow sees them.

    The density models only ordinary numbers, so a spike is a missing value here, like a value that is really missing.
    """
    columns = (schema.columns[i] for i in at)
    return [dataclasses.replace(column, missing=column.classes > 1, spikes=()) for column in columns]


def model_sizes(schema: Schema) -> tuple[int, int]:
    """Return the number of numeric columns, and the length of the one-hot code of the discrete facts."""
    features = sum(column.numeric for column in schema.columns)
    return features, sum(column.classes for column in schema.columns if column.classes > 1)


def _require_fit(schema: Schema, spec: Spec | None) -> None:
    features, context = model_sizes(schema)
    given = (0, 0) if spec is None else (getattr(spec, "features", 0), getattr(spec, "context", 0))
    wanted = (features, context if features else 0)
    if given != wanted:
        raise SpecError(
            f"expected a system with features={wanted[0]} and context={wanted[1]} for this table, "
            f"got features={given[0]} and context={given[1]}"
        )
