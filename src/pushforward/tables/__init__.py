"""Tables: files, the schema of the columns, the coding of rows as numbers, and models of rows."""

from .infer import infer_schema
from .row_space import Column, TableSpace
from .schema import Schema, Split, digest
from .table import Table, read_table, table_from, write_table
from .table_model import TableModel, models_labels, table_model

__all__ = [
    "Column",
    "Schema",
    "Split",
    "Table",
    "TableModel",
    "TableSpace",
    "digest",
    "infer_schema",
    "models_labels",
    "read_table",
    "table_from",
    "table_model",
    "write_table",
]
