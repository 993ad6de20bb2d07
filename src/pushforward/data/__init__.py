"""Tables: reading and writing them, what is known of their columns, and models of their rows."""

from .model import TableModel, table_model
from .schema import Schema, Split, digest, infer_schema
from .space import Column, TableSpace
from .tables import Table, read_table, table_from, write_table

__all__ = [
    "Column",
    "Schema",
    "Split",
    "Table",
    "TableModel",
    "TableSpace",
    "digest",
    "infer_schema",
    "read_table",
    "table_from",
    "table_model",
    "write_table",
]
