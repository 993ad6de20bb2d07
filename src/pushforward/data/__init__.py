"""Tables and pictures: reading and writing them, what is known of a table's columns, and models of its rows."""

from .datasets import DATASETS, Dataset, load_dataset
from .images import ImageSet, ImageSplit, read_images
from .model import TableModel, models_labels, table_model
from .pictures import to_grid, write_images, write_picture
from .schema import Schema, Split, digest, infer_schema
from .space import Column, TableSpace
from .tables import Table, read_table, table_from, write_table

__all__ = [
    "DATASETS",
    "Column",
    "Dataset",
    "ImageSet",
    "ImageSplit",
    "Schema",
    "Split",
    "Table",
    "TableModel",
    "TableSpace",
    "digest",
    "infer_schema",
    "load_dataset",
    "models_labels",
    "read_images",
    "read_table",
    "table_from",
    "table_model",
    "to_grid",
    "write_images",
    "write_picture",
    "write_table",
]
