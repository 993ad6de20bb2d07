"""Conversion between polars frames and columns of arrays; polars is imported only when it is needed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..errors import DataError, FileError, brief
from .hints import Note
from .numpy_files import Columns


def load_polars(what: str) -> Any:
    """Return the module polars.

    Args:
        what: Task that needs polars, for the error message.

    Raises:
        FileError: Polars is not installed.
    """
    try:
        import polars
    except ImportError:
        raise FileError(f"{what} needs polars; install it with pip install 'pushforward[tables]'") from None
    return polars


def first_line(error: BaseException) -> str:
    """Return the first line of the message of an error."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def from_polars(frame: Any, *, strict: bool = True) -> tuple[dict[str, np.ndarray], dict[str, str], list[Note]]:
    """Return the columns of a polars frame as arrays.

    Columns with missing whole numbers, truth values or text become object arrays with None; dates become datetime64[D],
    timestamps datetime64[us] (in UTC if they have a time zone), and times of day timedelta64[us].

    Args:
        frame: The frame.
        strict: Whether a column of lists, records or bytes is an error; otherwise it is left out.

    Returns:
        The columns, the time zones of timestamps that have one, and notes.

    Raises:
        DataError: A column holds lists, records or bytes (if strict), or whole numbers from 2^63 on.
    """
    polars = load_polars("a polars frame")
    columns: dict[str, np.ndarray] = {}
    zones: dict[str, str] = {}
    notes: list[Note] = []
    for series in frame.get_columns():
        kind = series.dtype
        if kind.is_float() or kind.is_decimal() or kind == polars.Null:
            columns[series.name] = series.cast(polars.Float64).to_numpy()
        elif kind.is_integer() or kind == polars.Boolean:
            try:
                columns[series.name] = _from_whole(series, polars)
            except DataError as error:
                if strict:
                    raise
                notes.append(Note(series.name, str(error), left_out=True))
        elif kind in (polars.String, polars.Categorical, polars.Enum):
            columns[series.name] = np.array(series.cast(polars.String).to_list(), dtype=object)
        elif kind == polars.Date:
            columns[series.name] = series.to_numpy().astype("datetime64[D]")
        elif kind == polars.Datetime:
            if kind.time_zone is not None:
                zones[series.name] = kind.time_zone
                series = series.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
            columns[series.name] = series.dt.cast_time_unit("us").to_numpy().astype("datetime64[us]")
        elif kind == polars.Time:
            columns[series.name] = (series.cast(polars.Int64).to_numpy() // 1000).astype("timedelta64[us]")
            if series.null_count():
                columns[series.name] = _times_with_gaps(series, polars)
        elif kind == polars.Duration:
            columns[series.name] = (
                series.cast(polars.Duration("us")).cast(polars.Int64).cast(polars.Float64).to_numpy() / 1e6
            )
            notes.append(Note(series.name, "durations are read as seconds"))
        elif strict:
            raise unusable(series.name, kind)
        else:
            notes.append(Note(series.name, f"holds {_shown(kind)}, which cannot be modelled", left_out=True))
    return columns, zones, notes


def unusable(name: str, kind: Any) -> DataError:
    """Return the error for a column of a type that cannot be modelled."""
    return DataError(
        f"expected numbers, text, truth values or dates in column {brief(name)}, got {_shown(kind)}; convert it first"
    )


def _shown(kind: Any) -> str:
    return "lists or records" if kind.is_nested() else str(kind)


def _from_whole(series: Any, polars: Any) -> np.ndarray:
    if series.dtype.is_integer():
        try:
            series = series.cast(polars.Int64)
        except polars.exceptions.PolarsError:
            raise DataError(f"expected whole numbers below 2^63 in column {series.name!r}, got a larger one") from None
    return series.to_numpy() if series.null_count() == 0 else np.array(series.to_list(), dtype=object)


def _times_with_gaps(series: Any, polars: Any) -> np.ndarray:
    filled = (series.cast(polars.Int64).fill_null(0).to_numpy() // 1000).astype("timedelta64[us]")
    filled[series.is_null().to_numpy()] = np.timedelta64("NaT")
    return filled


def to_polars(columns: Columns, zones: Mapping[str, str] | None = None) -> Any:
    """Return a polars frame with null for missing values, and polars types for dates, timestamps and times of day."""
    polars = load_polars("writing tables")
    series = []
    for name, values in columns.items():
        kind = values.dtype.kind
        if kind == "f":
            series.append(polars.Series(name, values).fill_nan(None))
        elif kind == "M":
            day = np.datetime_data(values.dtype)[0] == "D"
            made = polars.Series(name, values if day else values.astype("datetime64[us]"))
            zone = (zones or {}).get(name)
            series.append(made.dt.replace_time_zone("UTC").dt.convert_time_zone(zone) if zone else made)
        elif kind == "m":
            nanoseconds = polars.Series(name, values.astype("timedelta64[ns]").astype(np.int64))
            missing = polars.Series(np.isnat(values))
            nulls = nanoseconds.clear(len(values))
            series.append(nulls.zip_with(missing, nanoseconds).cast(polars.Time))
        elif kind != "O":
            series.append(polars.Series(name, values))
        else:
            entries = values.tolist()
            type_ = next((type(entry) for entry in entries if entry is not None), str)
            dtype = {bool: polars.Boolean, int: polars.Int64}.get(type_, polars.String)
            series.append(polars.Series(name, entries, dtype=dtype))
    return polars.DataFrame(series)


def as_written(frame: Any) -> Any:
    """Return a frame whose timestamps and times of day are ISO 8601 texts with as few digits as possible."""
    polars = load_polars("writing tables")
    texts = []
    for series in frame.get_columns():
        if series.dtype not in (polars.Datetime, polars.Time):
            continue
        clock = _clock(series.cast(polars.Int64), 1 if series.dtype == polars.Datetime else 1000, polars)
        if series.dtype == polars.Time:
            texts.append(series.dt.to_string(clock))
        else:
            zone = "%:z" if series.dtype.time_zone else ""
            texts.append(series.dt.to_string(f"%Y-%m-%dT{clock}{zone}"))
    return frame.with_columns(texts)


def _clock(microseconds: Any, unit: int, polars: Any) -> str:
    """Return the shortest format of a time of day that shows all digits of a column."""
    present = microseconds.drop_nulls()
    for size, form in ((60_000_000, "%H:%M"), (1_000_000, "%H:%M:%S"), (1000, "%H:%M:%S%.3f")):
        if present.len() == 0 or (present % (size * unit) == 0).all():
            return form
    return "%H:%M:%S%.6f"
