"""Reading of written dates and times in many formats; the format is found from the entries."""

from __future__ import annotations

from typing import Any, NamedTuple

from ..errors import brief
from .written_numbers import entries

_DAYS = ("%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d", "%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y", "%m-%d-%Y",
         "%d.%m.%y", "%d/%m/%y", "%m/%d/%y", "%d %b %Y", "%d-%b-%Y", "%d-%b-%y", "%b %d, %Y", "%d %B %Y", "%B %d, %Y",
         "%Y-%b-%d")  # fmt: skip
_CLOCKS = ("%H:%M:%S%.f", "%H:%M:%S", "%H:%M", "%I:%M:%S %p", "%I:%M %p", "%I:%M%p")
_ZONES = ("%#z", "Z")
NEARLY_ALL = 0.95
"""Smallest share of the entries that must be dates of one format."""
SAMPLE = 500
"""Number of entries with which formats are tried first."""


class WrittenDates(NamedTuple):
    """Dates or times that were read from a column of text.

    Args:
        values: Column of Date, Datetime or Time; null for an entry that is no date or time.
        format: Format that was found.
        notes: Notes, each a sentence without the name of the column and without a full stop.
    """

    values: Any
    format: str
    notes: tuple[str, ...]


def written_dates(text: Any, polars: Any, known: str = "", *, certain: bool = False) -> WrittenDates | None:
    """Return a column of text as dates, timestamps or times of day; None if it does not hold them.

    Args:
        text: Column of text, with null for missing values.
        polars: The module polars.
        known: Format to try first.
        certain: Whether the column is known to hold dates, so that all other entries become missing values.
    """
    present = text.drop_nulls()
    if present.len() == 0:
        return None
    if known:
        told = _parsed(text, known, polars)
        if told is not None and told.drop_nulls().len() >= NEARLY_ALL * present.len():
            return WrittenDates(told, known, ())
        # The format of a new file can differ from that of the table: samples of a model, for example, are in ISO 8601.
    sample = present.head(SAMPLE).str.strip_chars()
    if not certain and (not sample.str.contains(r"\d[^\d]+\d").any() or (sample.str.len_chars() > 40).any()):
        return None
    # Formats are tried on a sample first, as each one reads the whole column.
    fitting = [form for form in _formats(sample) if _share(sample, form, polars) >= NEARLY_ALL]
    if not fitting:
        return None
    shares = {form: _share(present, form, polars) for form in fitting}
    best = max(shares.values())
    if best < NEARLY_ALL and not certain:
        return None
    likely = [form for form in fitting if shares[form] == best]
    # If day and month can be exchanged, the format with the shorter span of dates is more plausible: wrong months scatter.
    # Days and months can be exchanged without a contradiction. The reading with the shorter span is more likely: exchanged
    # months spread the dates over the whole year.
    chosen = min(likely, key=lambda form: _span(present, form, polars)) if len(likely) > 1 else likely[0]
    values: Any = _parsed(text, chosen, polars)
    notes = []
    if len(likely) > 1 and "%m" in chosen and chosen.index("%m") < chosen.index("%d") and not chosen.startswith("%Y"):
        notes.append(
            "dates are read as month/day/year, and day/month/year fits as well; declare --kind NAME=date:%d/%m/%Y"
        )
    elif len(likely) > 1 and any(form != chosen and "%m" in form for form in likely) and "%d/%m" in chosen:
        notes.append(
            "dates are read as day/month/year, and month/day/year fits as well; declare --kind NAME=date:%m/%d/%Y"
        )
    lost = values.null_count() - text.null_count()
    if lost:
        odd = text.filter(values.is_null() & text.is_not_null())
        notes.append(f"read as missing: {entries(lost)} among the dates, such as {brief(odd[0])}")
    return WrittenDates(values, chosen, tuple(notes))


def whole_dates(numbers: Any, polars: Any) -> Any | None:
    """Return whole numbers such as 20200131 as dates; None if one of them is not a date of the years 1800 to 2199."""
    present = numbers.drop_nulls()
    if present.len() == 0 or not numbers.dtype.is_integer() or present.min() < 18000101 or present.max() > 21991231:
        return None
    dates = numbers.cast(polars.String).str.to_date("%Y%m%d", strict=False)
    return dates if dates.null_count() == numbers.null_count() else None


def _formats(sample: Any) -> list[str]:
    """Return the formats to try: dates, dates with a time of day and perhaps a time zone, and times of day."""
    first = sample[0]
    clocked = ":" in first
    dated = any(mark in first[:-3] for mark in "-/. ") and sum(map(str.isdigit, first)) > (4 if clocked else 3)
    forms = []
    if not clocked:
        return list(_DAYS)
    if dated:
        for day in _DAYS:
            for gap in ("T", " ", ", "):
                if gap in first:
                    forms += [f"{day}{gap}{clock}{zone}" for clock in _CLOCKS for zone in ("", *_ZONES, " %#z")]
    return [*forms, *_CLOCKS]


def _share(text: Any, form: str, polars: Any) -> float:
    values = _parsed(text, form, polars)
    return 0.0 if values is None else 1 - values.null_count() / text.len()


def _span(text: Any, form: str, polars: Any) -> float:
    values: Any = _parsed(text, form, polars)
    return float((values.max() - values.min()).total_seconds())


def _parsed(text: Any, form: str, polars: Any) -> Any | None:
    """Return the column read in a format, with null for entries of another format; None if polars cannot use the format."""
    text = text.str.strip_chars()
    day, clock = any(mark in form for mark in ("%Y", "%y")), any(mark in form for mark in ("%H", "%I"))
    try:
        if day and clock:
            if form.endswith("%#z") or form.endswith("%z"):
                return text.str.to_datetime(form, time_unit="us", strict=False, time_zone="UTC")
            values = text.str.to_datetime(form, time_unit="us", strict=False)
            return values.dt.replace_time_zone("UTC") if form.endswith("Z") else values
        if day:
            values = text.str.to_date(form, strict=False)
            # %Y also accepts years with fewer than four digits, and %y accepts a single digit.
            # Without this check "1.2.3" would be a date.
            full = values.dt.year() >= 1000 if "%Y" in form else text.str.contains(r"\d\d$")
            return values.zip_with(full.fill_null(value=False), values.clear(values.len()))
        return text.str.to_time(form, strict=False)
    except (polars.exceptions.PolarsError, polars.exceptions.PanicException):
        return None
