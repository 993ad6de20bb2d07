"""Interpretation of columns of text as numbers, dates or labels, and of numbers that mark missing values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

from .hints import ANY, Hint, Note, Reading
from .polars_frames import load_polars
from .written_dates import whole_dates, written_dates
from .written_numbers import cleaned, decimal_mark, entries, reads_as_float, sentinel, written_numbers


class Meaning(NamedTuple):
    """Interpreted column.

    Args:
        values: The column.
        found: Facts about the entries that are needed to read the next file with this column.
        notes: Notes, each a sentence without the name of the column and without a full stop.
    """

    values: Any
    found: Hint = ANY
    notes: Sequence[str] = ()


def interpreted(
    frame: Any, reading: Reading, *, separator: str = ",", texts_hold: Literal["numbers", "dates", "labels"] = "numbers"
) -> tuple[Any, dict[str, Hint], list[Note]]:
    """Return a polars frame whose columns of text are interpreted, the facts that were found about them, and notes.

    Args:
        frame: The frame.
        reading: Rules for the interpretation of the entries.
        separator: Separator of the file; it decides the meaning of an ambiguous comma.
        texts_hold: Possible content of columns of text. "numbers" stands for numbers, dates or labels, as in delimited text;
            "dates" for dates or labels, as in JSON; "labels" for labels only, as in files whose columns have types.
    """
    polars = load_polars("reading tables")
    notes: list[Note] = []
    texts = {}
    for series in frame.get_columns():
        if series.dtype == polars.String and texts_hold != "labels":
            texts[series.name] = _without_markers(series, reading, polars)
    decimal = _file_decimal(texts.values(), separator) if texts_hold == "numbers" else "."
    changed, found = [], {}
    for series in frame.get_columns():
        name, hint = series.name, reading.hint(series.name)
        if name in texts:
            meaning = _meaning(texts[name], hint, reading, decimal, polars, plain_text=texts_hold == "numbers")
        else:
            meaning = _number_meaning(series, hint, reading, polars)
        if meaning.values is not series:
            changed.append(meaning.values.alias(name))
        if meaning.found != ANY:
            found[name] = meaning.found
        notes += [Note(name, text) for text in meaning.notes]
    return frame.with_columns(changed), found, notes


def _without_markers(text: Any, reading: Reading, polars: Any) -> Any:
    """Return a column of text without blanks around its entries, and with null for the markers of missing values."""
    hint = reading.hint(text.name)
    # Blanks around labels are removed as well, unless the column is declared as text.
    stripped = text if hint.kind == "text" and hint.labels else text.str.strip_chars()
    markers = [*reading.markers(text.name), *([] if "" in hint.labels else [""])]
    return stripped.replace(markers, None) if markers else stripped


def _file_decimal(texts: Any, separator: str) -> str:
    """Return the decimal mark of a file: the one that a column proves, otherwise the usual one for the separator."""
    # One program writes all columns of a file, so a column that proves its decimal mark decides for the ambiguous ones.
    proofs = [decimal_mark(cleaned(text.head(10_000))) for text in texts]
    commas, dots = proofs.count(","), proofs.count(".")
    if commas != dots:
        return "," if commas > dots else "."
    # Spreadsheets separate fields by semicolons where the comma is the decimal mark.
    return "," if separator == ";" else "."


def _meaning(text: Any, hint: Hint, reading: Reading, decimal: str, polars: Any, *, plain_text: bool) -> Meaning:
    if hint.kind == "text" or text.null_count() == text.len():
        return Meaning(text)
    if hint.kind != "number":
        dates = written_dates(text, polars, hint.format, certain=hint.kind == "date")
        if dates is not None:
            return Meaning(dates.values, Hint(format=dates.format), dates.notes)
        if hint.kind == "date":
            whole = whole_dates(text.cast(polars.Int64, strict=False), polars)
            return Meaning(text if whole is None else whole)
    if hint.kind != "number" and (not plain_text or text.str.contains(r"^[-+]?0\d+$").any()):
        return Meaning(text)
    proved = hint.decimal or decimal_mark(cleaned(text))
    mark = proved if proved in (".", ",") else decimal
    certain = hint.kind == "number"
    written = written_numbers(text, mark, polars, certain=certain, find_markers=reading.missing is None)
    if written is None or (reading.strict and written.strange):
        return Meaning(text)
    return Meaning(written.numbers, Hint(markers=written.markers, decimal=mark), written.notes)


def _number_meaning(series: Any, hint: Hint, reading: Reading, polars: Any) -> Meaning:
    """Interpret a column of numbers: whole numbers can be dates, and some numbers mark missing values."""
    if hint.kind == "date":
        dates = whole_dates(series, polars)
        return Meaning(series) if dates is None else Meaning(dates)
    if not series.dtype.is_numeric() or hint.kind == "text":
        return Meaning(series)
    notes = []
    if (
        series.dtype.is_float()
        and not reading.strict
        and (infinite := series.is_infinite().fill_null(value=False)).any()
    ):
        series = _blanked(series, infinite)
        notes.append(f"read as missing: {entries(int(infinite.sum()))} of infinite numbers")
    marks = [float(text) for text in (*(reading.missing or ()), *hint.markers) if reads_as_float(text)]
    if reading.missing is None and hint.kind != "number":
        number = sentinel(series)
        if number is not None:
            rows = (series == number).fill_null(value=False)
            note = f"read as missing: {entries(int(rows.sum()))} {number:g}, far from all others; --missing sets other markers"
            return Meaning(_blanked(series, rows), Hint(markers=(f"{number:g}",)), (*notes, note))
    if marks:
        rows = series.cast(polars.Float64).is_in(marks).fill_null(value=False)
        if rows.any():
            return Meaning(_blanked(series, rows), Hint(markers=tuple(f"{mark:g}" for mark in marks)), notes)
    return Meaning(series, notes=notes)


def _blanked(series: Any, rows: Any) -> Any:
    """Return the column with null in some rows."""
    return series.clear(series.len()).zip_with(rows, series)
