"""Tables: files, the schema of the columns, the coding of rows as numbers, and models of rows."""

from .any_order_table import AnyOrderTable
from .infer import infer_schema
from .model_choice import model_of, models_labels, table_model
from .observed_table import ObservedTable
from .row_space import Column, TableSpace
from .schema import Schema, Split, digest
from .table import Table, read_table, table_from, write_table
from .table_model import TableModel

__all__ = [
    "AnyOrderTable",
    "Column",
    "ObservedTable",
    "Schema",
    "Split",
    "Table",
    "TableModel",
    "TableSpace",
    "digest",
    "infer_schema",
    "model_of",
    "models_labels",
    "read_table",
    "table_from",
    "table_model",
    "write_table",
]
