"""Numbers of single values of a column: a label as its code, a date as steps, from a text or a value of Python or NumPy."""

from __future__ import annotations

import datetime
import math
from typing import Any

import numpy as np

from ..errors import DataError, brief, listed
from .row_space import TIMES, Column
from .table import label_of

_EXAMPLES = {
    "date": "a date such as 2024-01-31",
    "datetime": "a timestamp such as 2024-01-31T12:00",
    "time": "a time such as 12:00",
}


def entry_number(column: Column, value: Any) -> float:
    """Return the number that a value has in a row.

    Args:
        column: Column of the value.
        value: Label, number, date or time, or a text for one of them.

    Raises:
        DataError: It is no value of the column.
    """
    where = f"in column {brief(column.name)}"
    if column.categories:
        label = label_of(value) if isinstance(value, (str, bool, int, float, np.generic)) else str(value)
        if label not in column.categories:
            raise DataError(f"expected one of the labels {listed(column.categories)} {where}, got {brief(value)}")
        return float(column.categories.index(label))
    try:
        number = _microseconds(column.storage, value) / column.step if column.storage in TIMES else float(value)
    except (ValueError, OverflowError, TypeError):
        number = math.nan
    if not math.isfinite(number):
        raise DataError(f"expected {_EXAMPLES.get(column.storage, 'a finite number')} {where}, got {brief(value)}")
    return number


def _microseconds(storage: str, value: Any) -> int:
    """Return a date, a timestamp or a time of day as microseconds since 1970 or since midnight."""
    if isinstance(value, (np.datetime64, np.timedelta64)):
        unit = "timedelta64[us]" if isinstance(value, np.timedelta64) else "datetime64[us]"
        if np.isnat(value):
            raise ValueError("not a time")
        return int(value.astype(unit).astype(np.int64))
    if storage == "time":
        time = value if isinstance(value, datetime.time) else datetime.time.fromisoformat(str(value).strip())
        length = datetime.timedelta(
            hours=time.hour, minutes=time.minute, seconds=time.second, microseconds=time.microsecond
        )
        return length // datetime.timedelta(microseconds=1)
    moment = datetime.datetime.fromisoformat(value.isoformat() if hasattr(value, "isoformat") else str(value).strip())
    if moment.tzinfo is not None:
        moment = moment.astimezone(datetime.UTC).replace(tzinfo=None)
    return (moment - datetime.datetime(1970, 1, 1)) // datetime.timedelta(microseconds=1)
