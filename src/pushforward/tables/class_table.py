"""Model of a table with a column of classes: a flow in front of one Gaussian for each class, see the system `flowgmm`."""

from __future__ import annotations

import itertools
from typing import Any

import torch
from torch import Tensor

from ..core import Chain, Distribution, Flow, Real, Transform
from ..distributions import ClassGaussians
from ..errors import DataError, SpecError
from ..networks import head
from ..systems.flowgmm import FlowGMM
from ..systems.spec import Spec
from .column_layers import column_layers
from .facts import facts_of
from .schema import Schema
from .table_model import TableModel, number_columns


class PartOfContext(Transform):
    """Layers that see the first entries of a context only.

    Args:
        inner: Layers with a context of `length` entries, or without one if that is 0.
        length: Number of entries that the layers see.
        total: Number of entries of the context.
    """

    def __init__(self, inner: Transform, length: int, total: int) -> None:
        super().__init__()
        self.inner, self.length = inner, length
        self.x_space, self.z_space, self.context = inner.x_space, inner.z_space, Real((total,))
        self.undo = inner.undo

    def _seen(self, context: Tensor | None) -> Tensor | None:
        return context[:, : self.length] if self.length and context is not None else None

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return the result of the layers."""
        return self.inner(x, self._seen(context))

    def inverse(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return the result of the inverse layers."""
        return self.inner.inverse(z, self._seen(context))

    def init_from(self, x: Tensor, context: Tensor | None = None) -> None:
        """Set the starting values of the layers."""
        self.inner.init_from(x, self._seen(context))


class ClassesGivenFacts(Distribution):
    """Gaussians of classes whose weights depend on the discrete facts of a row.

    The context is the one-hot code of the facts, followed by that of the class, which is zero for an unknown class. The density
    includes the probability of the class: it is p(z, y | facts) for a known class, and p(z | facts) for an unknown one.

    Args:
        gaussians: Gaussians of the classes.
        length: Length of the code of the facts.
    """

    def __init__(self, gaussians: ClassGaussians, length: int) -> None:
        super().__init__()
        self.space, self.context = gaussians.space, Real((length + gaussians.classes,))
        self.gaussians, self.length = gaussians, length
        self.prior = head(length, gaussians.classes, (32,), "relu") if length else None

    def log_joint(self, z: Tensor, context: Tensor, widening: Tensor | float = 0.0) -> Tensor:
        """Return log p(z, y | facts) of every class: (B, K)."""
        base = self.gaussians
        joint = base.log_joint(z, widening)
        if self.prior is None:
            return joint
        weights = (base.logits + self.prior(context[:, : self.length])).log_softmax(-1)
        return joint - base.logits.log_softmax(0) + weights

    def _log_prob(self, x: Tensor, context: Tensor | None) -> Tensor:
        assert context is not None  # noqa: S101
        joint, code = self.log_joint(x, context), context[:, self.length :]
        known = code.sum(1) > 0.5
        return torch.where(known, (joint * code).sum(1), joint.logsumexp(1))

    def _sample(self, n: int, context: Tensor | None) -> tuple[Tensor, Tensor]:
        assert context is not None  # noqa: S101
        label = context[:, self.length :].argmax(1)
        z = self.gaussians._sample(n, label)[0]
        return z, self._log_prob(z, context)

    @property
    def has_start(self) -> bool:
        """Whether there are data-dependent starting values: True."""
        return True

    def init_from(self, x: Tensor, context: Tensor | None = None) -> None:
        """Start the Gaussians from the classes of the rows."""
        if context is not None:
            code = context[:, self.length :]
            label = torch.where(code.sum(1) > 0.5, code.argmax(1), self.gaussians.classes)
            self.gaussians.init_from(x, label)


class ClassTable(TableModel):
    """Distribution of the rows of a table with a column of classes, p(facts) p(class | facts) p(numbers | class, facts).

    A row without a class has the density of all classes together, so rows without a label train the model, too.

    Args:
        schema: Schema of the table.
        spec: Spec of the system `flowgmm`; its `label` is the name of the column of classes.
        label_hidden: Widths of the hidden layers of the network of the other labels.

    Raises:
        DataError: The column of classes does not exist, or holds no labels; or there are no numbers.
    """

    def __init__(self, schema: Schema, spec: FlowGMM, label_hidden: tuple[int, ...] = (64, 64)) -> None:
        super().__init__(schema, spec, label_hidden)

    def _make_parts(self, spec: Spec | None) -> None:
        """Make the model of the other labels, and that of the classes and the numbers."""
        assert isinstance(spec, FlowGMM)  # noqa: S101
        self.class_at = class_column(self.schema, spec.label)
        column = self.schema.columns[self.class_at]
        self.class_names = column.categories
        if (spec.features, spec.classes) != (len(self.number_at), len(self.class_names)):
            raise SpecError(
                f"expected a system with features={len(self.number_at)} and classes={len(self.class_names)} for this table, "
                f"got features={spec.features} and classes={spec.classes}"
            )
        self.fact_at = [i for i in self.fact_at if i != self.class_at]
        self.classes = tuple(self.schema.columns[i].classes for i in self.fact_at)
        self.offsets = list(itertools.accumulate(self.classes, initial=0))[:-1]
        self.labels = self._label_model() if self.fact_at else None
        length = sum(self.classes)
        total = length + len(self.class_names)
        gaussians = spec.latent()
        assert isinstance(gaussians, ClassGaussians)  # noqa: S101
        bit = dict(zip(self.fact_at, self.offsets, strict=True))
        columns = number_columns(self.schema, self.number_at)
        layers = column_layers(columns, total, [bit.get(i, -1) for i in self.number_at])
        flow = PartOfContext(spec.layers_given(length), length, total)
        self.numbers = Flow(Chain(*layers, flow), ClassesGivenFacts(gaussians, length))

    def _split(self, x: Tensor) -> tuple[Tensor | None, Tensor | None]:
        """Return the discrete facts without the class, or None, and the code of the facts and of the class."""
        facts, parts = None, []
        if self.fact_at:
            columns = [self.schema.columns[i] for i in self.fact_at]
            facts = facts_of(columns, x[:, torch.tensor(self.fact_at, device=x.device)])
            parts.append(self._code(facts))
        label = x[:, self.class_at]
        unknown = label.isnan()
        one_hot = torch.nn.functional.one_hot(label.nan_to_num().long(), len(self.class_names)).to(self.dtype)
        parts.append(one_hot.masked_fill(unknown[:, None], 0.0))
        return facts, torch.cat(parts, 1)

    def _sample(self, n: int, context: Tensor | None) -> tuple[Tensor, Tensor]:
        logp = torch.zeros(n, dtype=torch.float64, device=self.device)
        facts, parts = None, []
        base: Any = self.numbers.base  # type: ignore[union-attr]
        if self.labels is not None:
            facts, log_facts = self.labels._sample(n, None)
            parts.append(self._code(facts))
            logp = logp + log_facts
        logits = base.gaussians.logits.expand(n, -1)
        weights = logits if base.prior is None else logits + base.prior(parts[0])
        label = torch.multinomial(weights.softmax(-1), 1)[:, 0] if n else torch.zeros(0, dtype=torch.long)
        parts.append(torch.nn.functional.one_hot(label, len(self.class_names)).to(self.dtype))
        numbers, log_numbers = self.numbers._sample(n, torch.cat(parts, 1))  # type: ignore[union-attr]
        rows = self._joined(n, facts, numbers)
        rows[:, self.class_at] = label.double()
        return rows, logp + log_numbers

    @torch.no_grad()
    def class_log_probs(self, x: Tensor) -> Tensor:
        """Return log p(class | the other columns) of rows, whatever their class is: (B, C) -> (B, K)."""
        x = x.clone()
        x[:, self.class_at] = torch.nan
        _, code = self._split(x)
        z = self.numbers.chain(self._numbers_of(x), code)[0]  # type: ignore[union-attr]
        base: Any = self.numbers.base  # type: ignore[union-attr]
        found: Tensor = base.log_joint(z, code, base.gaussians.widening).log_softmax(-1)
        return found


def class_column(schema: Schema, label: str) -> int:
    """Return the number of the column of classes in a schema.

    Raises:
        DataError: No column is named, it does not exist, or it does not hold labels.
    """
    if not label:
        raise DataError("expected the column of classes for flowgmm: give it with --label COLUMN (label= in Python)")
    if label not in schema.names:
        raise DataError(f"expected one of the columns {', '.join(schema.names[:20])} as the classes, got {label!r}")
    at = schema.names.index(label)
    if schema.columns[at].kind != "categorical":
        raise DataError(
            f"expected labels in the column of classes {label!r}, got {schema.columns[at].shown_kind} values; declare it with "
            f"--kind {label}=categorical"
        )
    return at
