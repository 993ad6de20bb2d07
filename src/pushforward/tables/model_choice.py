"""Construction of the model of a table from its schema and the name of a system."""

from __future__ import annotations

from typing import Any

from ..errors import DataError, SpecError
from ..systems.flowgmm import FlowGMM
from ..systems.inn import INN
from ..systems.row_spec import RowSpec
from ..systems.spec import Spec, spec_from_dict
from .any_order_table import AnyOrderTable
from .class_table import ClassTable, class_column
from .observed_table import ObservedTable, observed_columns
from .schema import Schema
from .table_model import TableModel, model_sizes


def model_of(
    schema: Schema,
    spec: Spec | None,
    label_hidden: tuple[int, ...] = (64, 64),
    label_spec: Spec | None = None,
) -> TableModel:
    """Return the model of a table with the given specs, see `TableModel` and `AnyOrderTable`."""
    if isinstance(spec, RowSpec):
        return AnyOrderTable(schema, spec)
    if isinstance(spec, FlowGMM):
        return ClassTable(schema, spec, label_hidden)
    if isinstance(spec, INN):
        return ObservedTable(schema, spec, label_hidden)
    return TableModel(schema, spec, label_hidden, label_spec)


def table_model(
    schema: Schema,
    system: str = "nsf",
    *,
    labels: str | None = None,
    label_hidden: tuple[int, ...] = (64, 64),
    **fields: Any,
) -> TableModel:
    """Return a model of a table with any system of the registry, such as `table_model(schema, "maf", layers=8)`.

    Args:
        schema: Schema of the table.
        system: Name of the system for the numeric columns; not used without such columns. For a table of labels only, it can
            also be the name of a system for labels. A system of rows, such as "any-order", models all columns together.
        labels: Name of a system for the discrete facts; by default an autoregressive network with softmaxes.
        label_hidden: Widths of the hidden layers of the network of labels.
        fields: Arguments of the system, without `features` and `context`, which follow from the schema.

    Raises:
        SpecError: The system or one of its arguments is unknown, or it takes no context and the table needs one.
        DataError: Every column is constant, or there are numeric columns and the system models labels only.
    """
    known = Spec.registry.get(system)
    for name in () if known is None else known.sizes:
        if name in fields:
            raise SpecError(f"expected no argument {name!r}: it follows from the table's columns")
    features, context = model_sizes(schema)
    if known is not None and issubclass(known, RowSpec):
        if labels is not None:
            raise SpecError(
                f"expected no system of labels beside {system!r}, which models labels and numbers together, got {labels!r}"
            )
        return model_of(schema, _row_spec(schema, system, fields))
    if known is not None and issubclass(known, FlowGMM):
        return _class_table(schema, system, fields, label_hidden)
    if known is not None and issubclass(known, INN):
        observed = observed_columns(schema, fields.get("columns", ()))
        unknown = sum(column.numeric and i not in observed for i, column in enumerate(schema.columns))
        sizes: dict[str, Any] = {"features": unknown, "context": context + features - unknown}
        return model_of(schema, spec_from_dict({"system": system, **fields, **sizes}), label_hidden)
    if models_labels(system, only=True) or (models_labels(system) and not features):
        numeric = [column.name for column in schema.columns if column.numeric]
        if numeric:
            raise DataError(
                f"expected a table of labels for system {system!r}, got the numeric column {numeric[0]!r}; declare it "
                f"categorical, leave it out, or name another system for the numbers and {system!r} for the labels"
            )
        return TableModel(schema, None, label_hidden, _label_spec(schema, system, fields))
    label_spec = None
    if labels is not None:
        if not models_labels(labels):
            raise SpecError(f"expected a system of labels, such as 'discrete', got {labels!r}")
        label_spec = _label_spec(schema, labels, {}) if context else None
    if features == 0:
        return TableModel(schema, None, label_hidden, label_spec)
    if known is not None and context and "context" not in known.sizes:
        raise SpecError(f"system {system!r} takes no context, so it cannot model a table with labels or missing values")
    sizes = {"features": features, "context": context} if context else {"features": features}
    if known is not None and "kinds" in known.sizes:
        sizes["kinds"] = tuple(column.axis for column in schema.columns if column.numeric)
    return TableModel(schema, spec_from_dict({"system": system, **fields, **sizes}), label_hidden, label_spec)


def _class_table(schema: Schema, system: str, fields: dict[str, Any], label_hidden: tuple[int, ...]) -> TableModel:
    at = class_column(schema, str(fields.get("label", "")))
    features = sum(column.numeric for column in schema.columns)
    if not features:
        raise DataError(f"expected columns of numbers for system {system!r}, got a table of labels only")
    if any(column.axis != "number" for column in schema.columns):
        raise DataError(f"expected numbers, no angles and positions, for system {system!r}")
    classes = len(schema.columns[at].categories)
    return model_of(
        schema, spec_from_dict({"system": system, **fields, "features": features, "classes": classes}), label_hidden
    )


def models_labels(system: str, *, only: bool = False) -> bool:
    """Return whether the system of this name models rows of labels.

    Args:
        system: Name of the system.
        only: Whether to return False for a system that also models real numbers.
    """
    known = Spec.registry.get(system)
    return known is not None and known.models_labels and not (only and "features" in known.sizes)


def _label_spec(schema: Schema, system: str, fields: dict[str, Any]) -> Spec:
    classes = tuple(column.classes for column in schema.columns if column.classes > 1)
    if not classes:
        raise DataError("expected a column with different values, got a table whose columns are all constant")
    return spec_from_dict({"system": system, **fields, **Spec.registry[system].label_sizes(classes)})


def _row_spec(schema: Schema, system: str, fields: dict[str, Any]) -> Spec:
    classes = tuple(column.classes for column in schema.columns if column.classes > 1)
    features = model_sizes(schema)[0]
    if not classes and not features:
        raise DataError("expected a column with different values, got a table whose columns are all constant")
    return spec_from_dict({"system": system, **fields, "features": features, "classes": classes})
