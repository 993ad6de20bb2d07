"""Reading of written numbers: decimal commas, thousands separators, currencies, percent signs and markers of missing values.

All functions work on polars columns of text, in which null is a missing value.
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
"""Smallest share of numbers among the entries of a column that is read as numbers."""
ODD = 0.1
"""Largest share of unknown texts among numbers that are read as missing values."""

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
    """Numbers that were read from a column of text.

    Args:
        numbers: Column of Float64, or of Int64 if all entries are written as whole numbers.
        markers: Known markers of missing values that were found.
        notes: Notes, each a sentence without the name of the column and without a full stop.
        strange: Number of entries that are neither numbers nor known markers; they are read as missing values.
    """

    numbers: Any
    markers: tuple[str, ...]
    notes: tuple[str, ...]
    strange: int = 0


def cleaned(text: Any) -> Any:
    """Return a column of text without blanks, currency signs and percent signs, and with an ordinary minus sign.

    Blanks and apostrophes between groups of three digits are removed. A number in brackets, or before a minus sign, becomes
    negative, as accountants write it.
    """
    text = text.str.strip_chars().str.replace(r"^[−‒–﹣－]\s*", "-")
    # Accountants write -5 as (5), and some programs write it as 5-.
    text = text.str.replace(r"^\((\S.*)\)$", "-$1").str.replace(r"^(\d.*)-$", "-$1")
    text = text.str.replace(rf"^([-+]?)\s*{_CURRENCY}\s*([-+]?[\d.,])", "$1$2")
    text = text.str.replace(rf"(\d[.,]?)\s*(?:{_CURRENCY}|[%‰])$", "$1")
    spaced = text.str.contains(_SPACED)
    if spaced.any():
        joined = text.str.replace_all(r"[ \u00a0\u2009\u202f'’]", "")
        text = _where(spaced.fill_null(value=False), joined, text)
    return text


def decimal_mark(text: Any) -> str:
    """Return the decimal mark that the entries of a cleaned column prove, "." or ","; "" if none is proved, "?" if both are.

    The entry 1,5 proves a decimal comma and 1.5 a decimal point. The entry 1,500 proves nothing, because the comma can separate
    thousands.
    """
    comma = text.str.contains(_CLEAR_DOT_THOUSANDS) | (
        text.str.contains(_DECIMAL_COMMA) & ~text.str.contains(_COMMA_THOUSANDS)
    )
    dot = text.str.contains(_CLEAR_COMMA_THOUSANDS) | (
        text.str.contains(_PLAIN) & text.str.contains(".", literal=True) & ~text.str.contains(_DOT_THOUSANDS)
    )
    # "1,234" alone proves nothing: it is 1234 or 1.234. "53,0" and "1.234,5" prove a decimal comma; "1,234.5" proves a point.
    found = "," * bool(comma.any()) + "." * bool(dot.any())
    return "?" if len(found) > 1 else found


def to_numbers(text: Any, decimal: str, polars: Any) -> Any:
    """Return a cleaned column as Float64 numbers, with null for entries that are not numbers."""
    if decimal == ",":
        fits = text.str.contains(_DECIMAL_COMMA) | text.str.contains(_DOT_THOUSANDS) | text.str.contains(r"^[-+]?\d+$")
        plain = text.str.replace_all(".", "", literal=True).str.replace(",", ".", literal=True)
    else:
        fits = text.str.contains(_PLAIN) | text.str.contains(_COMMA_THOUSANDS)
        plain = text.str.replace_all(",", "", literal=True)
    # The patterns are checked first: the cast would also accept texts such as "inf" and "1_000".
    numbers = plain.str.strip_chars_start("+").cast(polars.Float64, strict=False)
    return _where(fits.fill_null(value=False) & numbers.is_finite().fill_null(value=False), numbers, None)


def written_numbers(
    text: Any, decimal: str, polars: Any, *, certain: bool = False, find_markers: bool = True
) -> Written | None:
    """Return a column of text as numbers; None if it does not hold numbers.

    A column holds numbers if nearly all entries are numbers, or if most are and the others are known markers of missing values.

    Args:
        text: Column of text, with null for missing values.
        decimal: Decimal mark, "." or ",".
        polars: The module polars.
        certain: Whether the column is known to hold numbers.
        find_markers: Whether texts among numbers may be read as missing values.
    """
    present = text.drop_nulls()
    if present.len() == 0:
        return None
    clean = cleaned(text)
    numbers = to_numbers(clean, decimal, polars)
    odd = text.filter(numbers.is_null() & text.is_not_null())
    # A column of labels can hold a few numbers, and a column of numbers a few other texts; the share of numbers decides.
    share = 1 - odd.len() / present.len()
    if odd.len() and (not find_markers or share == 0) and not certain:
        return None
    markers: tuple[str, ...] = ()
    notes: list[str] = []
    strange = 0
    if odd.len():
        counts = odd.str.strip_chars().alias("text").value_counts(sort=True)
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

    Such a number is one of `SENTINELS`, is the smallest or the largest value, occurs at least twice but in at most half of the
    rows, and has an absolute value of more than twice that of every other value.

    Args:
        numbers: Column of numbers.
        markers: Numbers that are known to mark missing values.
    """
    present = numbers.drop_nulls()
    if present.len() < 3 or not present.dtype.is_numeric():
        return None
    # A marker such as -999 is an end of the range, so the column is not searched.
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


def reads_as_float(text: str) -> bool:
    """Return whether Python's `float` reads a text, blanks around it, infinities and NaN included."""
    try:
        float(text)
    except ValueError:
        return False
    return True


def entries(count: int) -> str:
    """Return a number of entries as text, "1 entry" or "2 entries"."""
    return "1 entry" if count == 1 else f"{count:,} entries"


def _matches(texts: Collection[str], pattern: str, polars: Any) -> list[bool]:
    return polars.Series("text", list(texts), dtype=polars.String).str.contains(pattern).to_list()


def _where(condition: Any, yes: Any, no: Any) -> Any:
    """Return entries of `yes` where a condition holds, and of `no` (or null) elsewhere."""
    if no is None:
        no = yes.clear(yes.len())
    return yes.zip_with(condition, no)
