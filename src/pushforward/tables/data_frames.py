"""Conversion of paths and data frames to tables, and of tables to data frames."""

from __future__ import annotations

import os
from typing import Any

from ..errors import FileError
from .hints import Reading
from .interpret import interpreted
from .polars_frames import from_polars, to_polars
from .table import Table, read_table, table_from

Source = Any
"""Source of a table: a path, a data frame of pandas or polars, a mapping, an array, a tensor or a table."""


def as_table(source: Source, reading: Reading) -> Table:
    """Return a table from a path or from data in memory; texts in a data frame are interpreted like those in a file.

    Raises:
        FlowError: The source cannot be read.
    """
    if isinstance(source, (str, os.PathLike)):
        return read_table(source, reading=reading)
    if isinstance(source, Table):
        return source
    table = table_from(source)
    frame = to_polars(dict(zip(table.names, table.columns, strict=True)), table.zones)
    frame, found, notes = interpreted(frame, reading)
    columns, zones, more = from_polars(frame, strict=reading.strict)
    return Table(tuple(columns), tuple(columns.values()), zones, found, (*notes, *more))


def kind_of_frame(source: Source) -> str:
    """Return the kind of data frame for results: the kind of the source, or "polars" for a path."""
    module = type(source).__module__.partition(".")[0]
    if module in ("pandas", "polars"):
        return module
    return "polars" if isinstance(source, (str, os.PathLike)) else "table"


def as_frame(table: Table, like: str) -> Any:
    """Return a table as a data frame of pandas or polars; for any other kind return the table itself.

    Raises:
        FileError: The library is not installed.
    """
    columns = dict(zip(table.names, table.columns, strict=True))
    if like == "polars":
        return to_polars(columns, table.zones)
    if like != "pandas":
        return table
    try:
        import pandas
    except ImportError:
        raise FileError("data frames of pandas need pandas; install it with pip install pandas") from None
    frame = pandas.DataFrame(columns)
    for name, zone in table.zones.items():
        if name in frame:
            frame[name] = frame[name].dt.tz_localize("UTC").dt.tz_convert(zone)
    return frame
