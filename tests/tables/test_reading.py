"""How files of tables are read: layout, encodings, numbers and dates as written, markers of missing values."""

from __future__ import annotations

import datetime
import gzip
import math

import numpy as np
import polars as pl
import pytest

from pushforward.errors import DataError, FileError
from pushforward.tables import infer_schema, read_table, write_table
from pushforward.tables.hints import Hint, Reading
from pushforward.tables.written_dates import written_dates
from pushforward.tables.written_numbers import cleaned, decimal_mark, sentinel, written_numbers


def read(tmp_path, content, suffix=".csv", **options):
    path = tmp_path / f"table{suffix}"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_table(path, reading=Reading(**options))


def notes(table):
    return " | ".join(note.sentence for note in table.notes)


ROWS = [("a", "b"), ("1.5", "x"), ("2.5", "y"), ("3.5", "x")]


def lines(rows=ROWS, mark=",", end="\n"):
    return end.join(mark.join(row) for row in rows) + end


LAYOUTS = {
    "comma": lines(),
    "carriage returns": lines(end="\r"),
    "both": lines(end="\r\n"),
    "semicolons": lines(mark=";"),
    "tabs": lines(mark="\t"),
    "bars": lines(mark="|"),
    "sep line": "sep=;\n" + lines(mark=";"),
    "comments": "# made by hand\n# twice\n" + lines(),
    "comment between": "# first\na,b\n1.5,x\n# no row\n2.5,y\n3.5,x\n",
    "hash before the names": "#a,b\n1.5,x\n2.5,y\n3.5,x\n",
    "trailing commas": "a,b,\n1.5,x,\n2.5,y,\n3.5,x,\n",
    "trailing commas below": "a,b\n1.5,x,\n2.5,y,\n3.5,x,\n",
    "blank lines": "\n\n" + lines() + "\n\n",
    "UTF-8 with a mark": lines().encode("utf-8-sig"),
    "UTF-16": lines().encode("utf-16"),
    "UTF-16 without a mark": lines().encode("utf-16-le"),
    "index of pandas": ",a,b\n0,1.5,x\n1,2.5,y\n2,3.5,x\n",
    "quotes": '"a","b"\n"1.5","x"\n"2.5","y"\n"3.5","x"\n',
}


@pytest.mark.parametrize("case", LAYOUTS)
def test_layouts(tmp_path, case):
    table = read(tmp_path, LAYOUTS[case])
    assert table.names == ("a", "b")
    assert table["a"].tolist() == [1.5, 2.5, 3.5]
    assert table["b"].tolist() == ["x", "y", "x"]


def test_other_suffixes(tmp_path):
    assert read(tmp_path, lines(mark="\t"), ".tsv")["a"].tolist() == [1.5, 2.5, 3.5]
    assert read(tmp_path, lines(mark=";"), ".txt")["a"].tolist() == [1.5, 2.5, 3.5]
    assert read(tmp_path, gzip.compress(lines().encode()), ".csv.gz")["b"].tolist() == ["x", "y", "x"]
    with pytest.raises(FileError, match="gzip"):
        read(tmp_path, gzip.compress(lines().encode())[:-9], ".csv.gz")
    records = read(tmp_path, '[{"a": 1.5, "b": "2024-01-05"}, {"a": 2.5, "b": "2024-02-05"}]', ".json")
    assert records["b"].dtype.kind == "M"
    with pytest.raises(FileError, match="damaged"):
        read(tmp_path, b"PK\x03\x04 no", ".xlsx")


def test_latin_1_is_said(tmp_path):
    table = read(tmp_path, "ort,b\nGärten,1.5\nBühl,2\n".encode("cp1252"))
    assert table["ort"].tolist() == ["Gärten", "Bühl"]
    assert "Windows-1252" in notes(table)


def test_names_of_columns(tmp_path):
    assert read(tmp_path, "2019,2020\n1.5,2.5\n3.5,4.5\n").names == ("2019", "2020")
    assert read(tmp_path, "0,1,2\n1.5,2.5,3\n3.5,4.5,3\n").names == ("0", "1", "2")
    data = read(tmp_path, "1.5,2.25\n3.5,4.5\n")
    assert data.names == ("x0", "x1")
    assert data.n_rows == 2
    assert "first line holds numbers" in notes(data)
    assert read(tmp_path, "1.5,2.25\n3.5,4.5\n", header=True).names == ("1.5", "2.25")
    twice = read(tmp_path, "a,a,,a_2\n1,2,3,4\n5,6,7,8\n")
    assert twice.names == ("a", "a_3", "column 3", "a_2")
    assert "'a_3'" in notes(twice)


NUMBERS = {
    "decimal commas": (["53,0", "58,5", "-0,25"], [53.0, 58.5, -0.25]),
    "thousands": (["5,125", "14,867", "1,005,640"], [5125, 14867, 1005640]),
    "thousands and decimals": (["1,234.50", "12.00", "1,000,000.25"], [1234.5, 12.0, 1000000.25]),
    "dots of thousands": (["1.234.567", "12.345.678", "1.000.000"], [1234567, 12345678, 1000000]),
    "European": (["1.234,50", "12,00", "1.000.000,25"], [1234.5, 12.0, 1000000.25]),
    "dollars": (["$5.50", "$1,200.00", "-$3.25"], [5.5, 1200.0, -3.25]),
    "euros behind": (["5,50 €", "1.200,00 €", "3,25€"], [5.5, 1200.0, 3.25]),
    "accounting": (["(5.50)", "7.25", "8.00-"], [-5.5, 7.25, -8.0]),
    "percent": (["53%", "58.5 %", "0.1%"], [53.0, 58.5, 0.1]),
    "unicode minus": (["−5.5", "3.25", "–1.0"], [-5.5, 3.25, -1.0]),
    "narrow spaces": (["1\u202f234", "12\u202f345", "999"], [1234, 12345, 999]),
    "apostrophes": (["1'234", "12'345.5", "999"], [1234, 12345.5, 999]),
    "exponents": (["1.5e3", "2E-2", "+7"], [1500.0, 0.02, 7.0]),
}


@pytest.mark.parametrize("case", NUMBERS)
def test_numbers_as_written(case):
    texts, values = NUMBERS[case]
    series = pl.Series("x", texts)
    written = written_numbers(series, decimal_mark(cleaned(series)) or ".", pl)
    assert written.numbers.to_list() == pytest.approx(values, rel=1e-15)
    assert written.numbers.dtype == (pl.Int64 if all(isinstance(v, int) for v in values) else pl.Float64)


@pytest.mark.parametrize(
    "text", ["5 kg", "1,2,3", "1.2.3", "12-05", "0x1f", "1e", "--1", "1,23,456", "1_000", "٣", "", "€"]
)
def test_other_texts_are_no_numbers(text):
    assert written_numbers(pl.Series("x", [text, "apple", "pear"]), ".", pl) is None


def test_markers_of_missing_values_among_numbers(tmp_path):
    rows = ["?", *map(str, range(20, 60)), "-", "n.a."]
    table = read(tmp_path, "x\n" + "\n".join(rows) + "\n")
    assert [v is None for v in table["x"]].count(True) == 3
    assert "3 entries" in notes(table)
    assert set(table.found["x"].markers) == {"?", "-", "n.a."}
    kept = read(tmp_path, "x\n" + "\n".join(rows) + "\n", missing=())
    assert kept["x"].tolist() == rows
    set_by_hand = read(tmp_path, "x,y\n1,a\n-7,NA\n3,b\n", missing=("-7",))
    assert set_by_hand["x"].tolist() == [1, None, 3]
    assert set_by_hand["y"].tolist() == ["a", "NA", "b"]


def test_a_column_of_numbers_can_be_called_count(tmp_path):
    table = read(tmp_path, "count\n" + "".join(f"{i}\n" for i in range(40)) + "?\n")
    assert np.isnan(table["count"].astype(float)).sum() == 1


def test_censored_numbers_are_said(tmp_path):
    table = read(tmp_path, "x\n<0.5\n" + "\n".join(f"{v / 8}" for v in range(4, 60)) + "\n")
    assert math.isnan(table["x"][0])
    assert "censored" in notes(table)


def test_a_few_odd_entries_are_said(tmp_path):
    rows = "\n".join(f"{i}.25" for i in range(50))
    table = read(tmp_path, f"x\n{rows}\nmany\n")
    assert math.isnan(table["x"][-1])
    assert "'many' in row 51" in notes(table)
    grades = read(tmp_path, "x\n" + "1\n2\n3\nA\n" * 10)
    assert grades["x"].dtype == object


@pytest.mark.parametrize(
    ("values", "found"),
    [
        ([20, 25, 31, -999, -999], -999),
        ([20.5, 25.25, 31, 9999, 9999], 9999),
        ([-20, 25, 31, -999, -999], -999),
        ([20, 25, 31, -999], None),
        ([600, 25, 31, 999, 999], None),
        ([1, 1, 1, -9, -9], None),
        ([20, 25, 31, -998, -998], None),
    ],
)
def test_numbers_that_mark_missing_values(values, found):
    assert sentinel(pl.Series("x", values, strict=False)) == found


def test_leading_zeros_are_text(tmp_path):
    table = read(tmp_path, "zip,n\n01067,5\n10115,7\n00501,9\n")
    assert table["zip"].tolist() == ["01067", "10115", "00501"]
    assert table["n"].dtype == np.int64
    assert "zeros" in notes(table)


def test_labels_such_as_na_are_kept_when_asked_for(tmp_path):
    content = "country,x\nNA,1.5\nZA,2.5\n,3.5\n"
    assert read(tmp_path, content)["country"].tolist() == [None, "ZA", None]
    assert read(tmp_path, content, missing=())["country"].tolist() == ["NA", "ZA", None]
    kept = read(tmp_path, content, hints={"country": Hint(kind="text", labels=frozenset(["NA", "ZA"]))})
    assert kept["country"].tolist() == ["NA", "ZA", None]


DAY = datetime.date(2020, 1, 31)
NOON = datetime.datetime(2020, 1, 31, 12, 30)
DATES = {
    "%Y-%m-%d": DAY,
    "%d/%m/%Y": DAY,
    "%m/%d/%Y": DAY,
    "%d.%m.%Y": DAY,
    "%Y/%m/%d": DAY,
    "%d %b %Y": DAY,
    "%b %d, %Y": DAY,
    "%d-%b-%y": DAY,
    "%Y-%m-%d %H:%M": NOON,
    "%Y-%m-%dT%H:%M:%S": NOON,
    "%d/%m/%Y %H:%M": NOON,
    "%m/%d/%Y %I:%M %p": NOON,
    "%H:%M": NOON.time(),
    "%I:%M %p": NOON.time(),
}


@pytest.mark.parametrize("form", DATES)
def test_dates_as_written(form):
    value = DATES[form]
    found = written_dates(pl.Series("x", [value.strftime(form), None]), pl)
    assert found.values.to_list() == [value, None]


@pytest.mark.parametrize("text", ["1.2.3", "2020-13-45", "99/99/2020", "apple", "12-1", "555-1234", "10.0.0.1", "v1.2"])
def test_other_texts_are_no_dates(text):
    assert written_dates(pl.Series("x", [text, text]), pl) is None


def test_zones_and_resolutions_are_kept(tmp_path):
    table = read(
        tmp_path, "t,x\n2020-01-01T10:00:00+01:00,1.5\n2020-06-01T10:00:05+02:00,2.5\n2020-06-02T00:00:00Z,1.25\n"
    )
    column = infer_schema(table).columns[0]
    assert (column.storage, column.step, column.zone) == ("datetime", 1e6, "UTC")
    schema = infer_schema(table)
    same = schema.decode(schema.encode(table))
    for suffix in (".csv", ".parquet", ".jsonl", ".npz"):
        write_table(same, tmp_path / f"o{suffix}")
        again = read_table(tmp_path / f"o{suffix}", reading=Reading(hints=schema.hints))
        np.testing.assert_array_equal(schema.encode(again), schema.encode(table))
    assert (tmp_path / "o.csv").read_text().splitlines()[1] == "2020-01-01T09:00:00+00:00,1.5"


def test_whole_dates_when_told(tmp_path):
    content = "day,x\n20200131,1.5\n20200201,2.5\n20201224,3.5\n"
    assert read(tmp_path, content)["day"].dtype == np.int64
    told = read(tmp_path, content, hints={"day": Hint(kind="date")})
    assert told["day"].astype(str).tolist() == ["2020-01-31", "2020-02-01", "2020-12-24"]


def test_ambiguous_dates_are_said(tmp_path):
    table = read(tmp_path, "d\n01/02/2020\n03/04/2020\n05/06/2020\n")
    assert "fits as well" in notes(table)


def test_unusable_columns_of_parquet(tmp_path):
    frame = pl.DataFrame(
        {"x": [1.5, 2.5], "l": [[1], [2]], "b": [b"a", b"b"], "d": [datetime.timedelta(seconds=5)] * 2}
    )
    frame.write_parquet(tmp_path / "t.parquet")
    table = read_table(tmp_path / "t.parquet")
    assert table.names == ("x", "d")
    assert table["d"].tolist() == [5.0, 5.0]
    assert [note.column for note in table.notes if note.left_out] == ["l", "b"]
    with pytest.raises(DataError, match="'l'"):
        read_table(tmp_path / "t.parquet", reading=Reading(strict=True))


def test_rows_of_different_lengths_are_refused(tmp_path):
    with pytest.raises(DataError, match="row 2"):
        read(tmp_path, "a,b\n1,2\n3,4,5\n6,7\n")
