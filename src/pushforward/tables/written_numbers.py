"""Numbers as people write them: decimal commas, marks of thousands, currencies, percent signs, and markers of missing values.

Everything here works on polars columns of text; null is a missing value.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, NamedTuple

from ..errors import brief, listed

KNOWN_MARKERS = frozenset(
    (
        *(
            "?",
            "-",
            "--",
            "---",
            ".",
            "..",
            "*",
            "none",
            "n/a",
            "na",
            "nan",
            "nil",
            "null",
            "n.a.",
            "n.a",
            "n.d.",
            "nd",
        ),
        *("#n/a", "#na", "#value!", "#div/0!", "#null!", "#num!", "#ref!", "<na>", "(null)", "missing", "k.a."),
        *("not available", "not applicable", "inf", "-inf", "infinity", "-infinity"),
    )
)
"""Texts among numbers that mark a missing value, in lower case."""
SENTINELS = (-9.0, -99.0, -999.0, -9999.0, -99999.0, 999.0, 9999.0, 99999.0, 999999.0)
"""Numbers that often mark a missing value."""
MOST_NUMBERS = 0.8
"""Share of the entries from which a column of text holds numbers, when the others are known markers or few."""
ODD = 0.1
"""Share of the entries up to which texts among numbers are taken for missing values."""

_CURRENCY = r"(?:US\$|R\$|USD|EUR|GBP|CHF|JPY|CAD|AUD|[$€£¥₹₽₩₺])"
_EXPONENT = r"(?:[eE][-+]?\d+)?"
_PLAIN = rf"^[-+]?(?:\d+\.?\d*|\.\d+){_EXPONENT}$"
_DECIMAL_COMMA = rf"^[-+]?\d*,\d+{_EXPONENT}$"
_COMMA_THOUSANDS = r"^[-+]?[1-9]\d{0,2}(?:,\d{3})+(?:\.\d*)?$"
_DOT_THOUSANDS = r"^[-+]?[1-9]\d{0,2}(?:\.\d{3})+(?:,\d*)?$"
_CLEAR_COMMA_THOUSANDS = r"^[-+]?[1-9]\d{0,2}(?:,\d{3})+\.\d*$|^[-+]?[1-9]\d{0,2}(?:,\d{3}){2,}$"
_CLEAR_DOT_THOUSANDS = r"^[-+]?[1-9]\d{0,2}(?:\.\d{3})+,\d*$|^[-+]?[1-9]\d{0,2}(?:\.\d{3}){2,}$"
_SPACED = r"^[-+]?\d{1,3}(?:[ \u00a0\u2009\u202f'’]\d{3})+(?:[.,]\d*)?$"
_CENSORED = rf"^[<>≤≥]=?\s*[-+]?\d+(?:[.,]\d+)?{_EXPONENT}$"


class Written(NamedTuple):
    """A column of text as numbers.

    Args:
        numbers: Column of Float64, or of Int64 where all entries are whole and written so.
        markers: Texts that were taken for missing values.
        notes: Remarks, each a sentence without its column and without a full stop.
        strange: Number of entries that are neither numbers nor known markers, and are missing now.
    """

    numbers: Any
    markers: tuple[str, ...]
    notes: tuple[str, ...]
    strange: int = 0


def cleaned(text: Any) -> Any:
    """Return a column of text without spaces, currencies, percent signs, plus signs in other scripts, and spaces in numbers."""
    text = text.str.strip_chars().str.replace(r"^[−‒–﹣－]\s*", "-")
    text = text.str.replace(r"^\((\S.*)\)$", "-$1").str.replace(r"^(\d.*)-$", "-$1")
    text = text.str.replace(rf"^([-+]?)\s*{_CURRENCY}\s*([-+]?[\d.,])", "$1$2")
    text = text.str.replace(rf"(\d[.,]?)\s*(?:{_CURRENCY}|[%‰])$", "$1")
    spaced = text.str.contains(_SPACED)
    if spaced.any():
        joined = text.str.replace_all(r"[ \u00a0\u2009\u202f'’]", "")
        text = _where(spaced.fill_null(value=False), joined, text)
    return text


def decimal_mark(text: Any) -> str:
    """Return the decimal mark that a cleaned column proves, "." or ","; empty if it proves none, "?" if it proves both."""
    comma = text.str.contains(_CLEAR_DOT_THOUSANDS) | (
        text.str.contains(_DECIMAL_COMMA) & ~text.str.contains(_COMMA_THOUSANDS)
    )
    dot = text.str.contains(_CLEAR_COMMA_THOUSANDS) | (
        text.str.contains(_PLAIN) & text.str.contains(".", literal=True) & ~text.str.contains(_DOT_THOUSANDS)
    )
    found = "," * bool(comma.any()) + "." * bool(dot.any())
    return "?" if len(found) > 1 else found


def to_numbers(text: Any, decimal: str, polars: Any) -> Any:
    """Return a cleaned column as Float64 numbers; null where an entry is none."""
    if decimal == ",":
        fits = text.str.contains(_DECIMAL_COMMA) | text.str.contains(_DOT_THOUSANDS) | text.str.contains(r"^[-+]?\d+$")
        plain = text.str.replace_all(".", "", literal=True).str.replace(",", ".", literal=True)
    else:
        fits = text.str.contains(_PLAIN) | text.str.contains(_COMMA_THOUSANDS)
        plain = text.str.replace_all(",", "", literal=True)
    numbers = plain.str.strip_chars_start("+").cast(polars.Float64, strict=False)
    return _where(fits.fill_null(value=False) & numbers.is_finite().fill_null(value=False), numbers, None)


def written_numbers(
    text: Any, decimal: str, polars: Any, *, certain: bool = False, find_markers: bool = True
) -> Written | None:
    """Return a column of text as numbers; None if it does not hold numbers.

    A column holds numbers if nearly all entries are numbers, or if most are and the others are known markers of missing values.

    Args:
        text: Column of text, missing values as null.
        decimal: Decimal mark, "." or ",".
        polars: The module.
        certain: Whether the column is known to hold numbers.
        find_markers: Whether texts among numbers may be taken for missing values.
    """
    present = text.drop_nulls()
    if present.len() == 0:
        return None
    clean = cleaned(text)
    numbers = to_numbers(clean, decimal, polars)
    odd = text.filter(numbers.is_null() & text.is_not_null())
    share = 1 - odd.len() / present.len()
    if odd.len() and (not find_markers or share == 0) and not certain:
        return None
    markers: tuple[str, ...] = ()
    notes: list[str] = []
    strange = 0
    if odd.len():
        counts = odd.str.strip_chars().value_counts(sort=True)
        texts = dict(zip(counts[counts.columns[0]].to_list(), counts[counts.columns[1]].to_list(), strict=True))
        known = [entry for entry in texts if entry.lower() in KNOWN_MARKERS]
        censored = [
            entry for entry, is_censored in zip(texts, _matches(texts, _CENSORED, polars), strict=True) if is_censored
        ]
        others = [entry for entry in texts if entry not in known and entry not in censored]
        strange = sum(texts[entry] for entry in others)
        if not certain and (
            strange > ODD * present.len() or share < 1 - MOST_NUMBERS or len(others) > numbers.n_unique()
        ):
            return None
        markers = tuple(known)
        notes += _marker_notes(text, texts, known, censored, others)
    notes += _style_notes(text, clean, decimal)
    whole = clean.str.contains(r"^[-+]?[\d,.]+$") & (~clean.str.contains("." if decimal == "." else ",", literal=True))
    if bool(whole.filter(numbers.is_not_null()).all()) and float(numbers.abs().max() or 0) < 2**53:
        numbers = numbers.cast(polars.Int64)
    return Written(numbers, markers, tuple(notes), strange)


def _marker_notes(
    text: Any, texts: dict[str, int], known: list[str], censored: list[str], others: list[str]
) -> list[str]:
    notes = []
    if known:
        count = sum(texts[entry] for entry in known)
        notes.append(f"read as missing: {entries(count)} {listed(known, 4)}; --missing sets other markers")
    if censored:
        count = sum(texts[entry] for entry in censored)
        notes.append(
            f"read as missing: {entries(count)} such as {brief(censored[0])}, which are censored: only a limit is known"
        )
    if others:
        count = sum(texts[entry] for entry in others)
        row = text.str.strip_chars().to_list().index(others[0]) + 1
        notes.append(
            f"read as missing: {entries(count)} among the numbers, such as {brief(others[0])} in row {row}; "
            "--kind NAME=categorical keeps all entries as labels"
        )
    return notes


def _style_notes(text: Any, clean: Any, decimal: str) -> list[str]:
    notes = []
    if text.str.contains(r"\d\s*%\s*$").any():
        notes.append("percent signs are left out: 53% is read as 53")
    if text.str.contains(_CURRENCY).any():
        notes.append("currency signs are left out")
    if text.str.strip_chars().str.contains(_SPACED).any():
        notes.append("spaces between digits are left out")
    if decimal == "," and clean.str.contains(_DECIMAL_COMMA).any():
        notes.append("the comma is read as decimal mark")
    elif decimal == "," and clean.str.contains(_DOT_THOUSANDS).any():
        notes.append("dots are read as marks of thousands")
    elif decimal == "." and clean.str.contains(_COMMA_THOUSANDS).any():
        notes.append("commas are read as marks of thousands")
    return notes


def sentinel(numbers: Any, markers: Collection[float] = ()) -> float | None:
    """Return a number far from all others that marks missing values, such as -999; None if there is none.

    Such a number is one of `SENTINELS`, is the smallest or the largest value, comes at least twice but in at most half of the
    rows, and lies more than twice as far from zero as every other value.

    Args:
        numbers: Column of numbers.
        markers: Numbers that are known to mark missing values.
    """
    present = numbers.drop_nulls()
    if present.len() < 3 or not present.dtype.is_numeric():
        return None
    for end in (present.min(), present.max()):
        if end is None or end != end:
            continue
        if end in markers:
            return float(end)
        if float(end) not in SENTINELS:
            continue
        count = int((present == end).sum())
        others = present.filter((present != end) & (present.is_not_nan() if present.dtype.is_float() else True))
        if not 2 <= count <= present.len() / 2 or others.len() == 0 or others.n_unique() < 3:
            continue
        if abs(end) > 2 * max(abs(others.min()), abs(others.max())):
            return float(end)
    return None


def entries(count: int) -> str:
    """Return a number of entries in words."""
    return "1 entry" if count == 1 else f"{count:,} entries"


def _matches(texts: Collection[str], pattern: str, polars: Any) -> list[bool]:
    return polars.Series("text", list(texts), dtype=polars.String).str.contains(pattern).to_list()


def _where(condition: Any, yes: Any, no: Any) -> Any:
    """Return entries of `yes` where a condition holds, and of `no` (or null) elsewhere."""
    if no is None:
        no = yes.clear(yes.len())
    return yes.zip_with(condition, no)
