import io
import json
import os
import sys

import numpy as np
import polars as pl
import pytest
import torch

from pushforward.errors import DataError, FileError, FlowError
from pushforward.output import atomic_output
from pushforward.tables import Schema, Split, Table, digest, infer_schema, read_table, table_from, write_table
from pushforward.tables.formats import SUFFIXES

COLUMNS = {
    "x": np.array([0.1, -2.5e-8, 1 / 3, np.nan, 1e300]),
    "n": np.array([3, -1, 0, 2**53, 7]),
    "k": np.array([1, None, 3, 4, None], dtype=object),
    "label": np.array(["red", None, "blå", "a,b", 'q"uote'], dtype=object),
    "flag": np.array([True, False, True, True, False]),
}


def make(columns=COLUMNS):
    return Table(tuple(columns), tuple(columns.values()))


def same(a, b):
    assert a.names == b.names
    for name, left, right in zip(a.names, a.columns, b.columns, strict=True):
        assert left.dtype == right.dtype, name
        if left.dtype.kind == "f":
            np.testing.assert_array_equal(left, right)
        else:
            assert left.tolist() == right.tolist(), name


def text(*labels):
    return np.array(labels, dtype=object)


def sentence(error, *words):
    message = str(error.value)
    assert "\n" not in message
    assert not message.endswith(".")
    assert "Error" not in message
    for word in words:
        assert str(word) in message, message


# --- files -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".parquet", ".arrow", ".feather", ".ipc", ".jsonl"])
def test_every_file_type_gives_back_what_was_written(tmp_path, suffix):
    path = tmp_path / f"table{suffix}"
    write_table(make(), path)
    same(read_table(path), make())
    assert os.listdir(tmp_path) == [path.name]


def test_npz_and_npy_round_trip(tmp_path):
    columns = {"x": np.array([0.5, np.nan]), "file": np.array([1, 2]), "s": np.array(["a", "bc"], dtype=object)}
    write_table(make(columns), tmp_path / "t.npz")
    same(read_table(tmp_path / "t.npz"), make(columns))
    numbers = {"x0": np.array([0.5, np.nan]), "x1": np.array([1.0, 2.0])}
    write_table(make(numbers), tmp_path / "t.npy")
    same(read_table(tmp_path / "t.npy"), make(numbers))
    np.savez(tmp_path / "wide.npz", data=np.ones((3, 2)), y=np.arange(3))
    assert read_table(tmp_path / "wide.npz").names == ("data0", "data1", "y")
    gaps = {"label": COLUMNS["label"], "flag": np.array([True, None, False, None, True], dtype=object)}
    write_table(make(gaps), tmp_path / "gaps.npz")
    same(read_table(tmp_path / "gaps.npz"), make(gaps))
    with pytest.raises(DataError, match="numbers only") as error:
        write_table(make(columns), tmp_path / "t.npy")
    sentence(error, "'s'")
    same(read_table(tmp_path / "t.npz"), make(columns))


def test_standard_input_and_output(monkeypatch, capsys):
    write_table(make(), "-")
    text = capsys.readouterr().out
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
    same(read_table("-"), make())
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"")))
    with pytest.raises(FileError) as error:
        read_table("-")
    sentence(error, "standard input", "empty")


def read(tmp_path, content, suffix=".csv", **options):
    path = tmp_path / f"table{suffix}"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_table(path, **options)


def test_csv_as_people_write_it(tmp_path):
    table = read(tmp_path, "\ufeffa, b ,c\r\n1, 2.5,NA\r\n\r\n2, 3,x y\r\n\r\n")
    assert table.names == ("a", "b", "c")
    assert table["a"].tolist() == [1, 2]
    assert table["b"].tolist() == [2.5, 3.0]
    assert table["c"].tolist() == [None, "x y"]
    assert read(tmp_path, 'a,b\n"x\ny",1\n"u,v",2\n')["a"].tolist() == ["x\ny", "u,v"]
    assert read(tmp_path, "a\n1\n\n3\n")["a"].tolist() == [1, None, 3]
    late = read(tmp_path, "a,b\n" + "1,\n" * 10_001 + "2.5,7\n")
    assert late["a"].dtype == np.float64
    assert late["b"][-1] == 7
    assert read(tmp_path, "code,n\n007,1\n008,2\n", text=("code", "absent"))["code"].tolist() == ["007", "008"]


BAD_CSV = {
    "empty": (b"", FileError, "empty"),
    "blank lines only": (b"\n\n", FileError, "empty"),
    "header only": (b"a,b\n", DataError, "expected rows"),
    "short row": (b"a,b\n1,2\n3\n", DataError, "got 1 in row 2"),
    "long row": (b"a,b\n1,2\n3,4,5\n", DataError, "got 3 in row 2"),
    "binary": (bytes(range(256)), FileError, "UTF-8"),
    "too large": (b"a\n9223372036854775808\n", DataError, "2^63"),
    "huge field": (b'a,b\n"' + b"x" * 200_000 + b"\n", FlowError, "table.csv"),
}


@pytest.mark.parametrize("case", BAD_CSV)
def test_bad_csv_is_one_clear_sentence(tmp_path, case):
    text, kind, words = BAD_CSV[case]
    with pytest.raises(kind) as error:
        read(tmp_path, text)
    sentence(error, "table.csv", words)


def test_bad_files(tmp_path):
    for name, words in (("t.docx", ".parquet"), ("t.xlsx", "got none"), ("none.csv", "got none")):
        with pytest.raises(FileError) as error:
            read_table(tmp_path / name)
        sentence(error, name, words)
    (tmp_path / "d.csv").mkdir()
    with pytest.raises(FileError, match="directory"):
        read_table(tmp_path / "d.csv")
    for suffix in (".parquet", ".arrow", ".jsonl", ".npy", ".npz"):
        write_table(make({"x": np.arange(300.0)}), tmp_path / f"whole{suffix}")
        whole = (tmp_path / f"whole{suffix}").read_bytes()
        for content in (b"nonsense", whole[: len(whole) // 2], b"\x80\x04junk."):
            with pytest.raises(FileError) as error:
                read(tmp_path, content, suffix)
            sentence(error, f"table{suffix}")
    for suffix in (".npy", ".npz"):
        save = np.save if suffix == ".npy" else np.savez
        save(tmp_path / f"p{suffix}", np.array([{"a": 1}], dtype=object), allow_pickle=True)
        with pytest.raises(FileError) as error:
            read_table(tmp_path / f"p{suffix}")
        sentence(error, "pickled", f"p{suffix}")
    np.save(tmp_path / "c.npy", np.ones((2, 2), dtype=complex))
    with pytest.raises(DataError, match="complex"):
        read_table(tmp_path / "c.npy")
    np.save(tmp_path / "c.npy", np.ones((2, 2, 2)))
    with pytest.raises(DataError, match="one or two dimensions"):
        read_table(tmp_path / "c.npy")
    pl.DataFrame({"some": [[1, 2]]}).write_parquet(tmp_path / "d.parquet")
    with pytest.raises(DataError) as error:
        read_table(tmp_path / "d.parquet")
    sentence(error, "some", "lists", "d.parquet")


def test_numpy_files_with_damaged_headers(tmp_path):
    np.savez(tmp_path / "w.npz", x=np.arange(40.0))
    np.save(tmp_path / "w.npy", np.arange(40.0))
    packed, plain = ((tmp_path / name).read_bytes() for name in ("w.npz", "w.npy"))
    member, entry = packed.index(b"PK\x03\x04"), packed.index(b"PK\x01\x02")

    def changed(flag, method):
        """The archive with other flags, or another way of compression, in both of its headers."""
        content = bytearray(packed)
        for start in (member + 6, entry + 8):
            content[start] |= flag
            content[start + 2] |= method
        return bytes(content)

    damaged = {
        ".npy": [
            plain.replace(b"(40,)", b"(40,("),
            plain.replace(b"'<f8'", b"'<q8'"),
            plain.replace(b"(40,)", b"(-4,)"),
        ],
        ".npz": [changed(1, 0), changed(0, 99), packed.replace(b"(40,)", b"(40,(")],
    }
    for suffix, contents in damaged.items():
        for content in contents:
            with pytest.raises(FileError) as error:
                read(tmp_path, content, suffix)
            sentence(error, f"table{suffix}", "damaged or truncated")


def test_unwritable_paths_lose_nothing(tmp_path):
    (tmp_path / "file").write_text("kept")
    (tmp_path / "folder.csv").mkdir()
    for path in (tmp_path / "none" / "t.csv", tmp_path / "file" / "t.csv", tmp_path / "folder.csv"):
        with pytest.raises(FileError) as error:
            write_table(make(), path)
        sentence(error, path, "cannot be written")
    with pytest.raises(FileError, match=r"\.parquet"):
        write_table(make(), tmp_path / "t.doc")
    target = tmp_path / "t.csv"
    target.write_text("before")
    os.link(target, tmp_path / "old")
    write_table(make(), target)
    assert (tmp_path / "old").read_text() == "before"
    (tmp_path / "old").unlink()
    target.write_text("before")

    def interrupted():
        with atomic_output(target) as temporary:
            temporary.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert target.read_text() == "before"
    assert sorted(os.listdir(tmp_path)) == ["file", "folder.csv", "t.csv"]


# --- tables in memory --------------------------------------------------------------------------------------------------


class Frame:
    """What pandas has of a frame."""

    class Series(np.ndarray):
        def isna(self):
            return np.array([value is None or value != value for value in self.tolist()])

    def __init__(self, columns):
        self.data, self.columns = columns, list(columns)

    def __getitem__(self, name):
        return self.data[name].view(self.Series)


def test_tables_from_memory():
    assert table_from(np.eye(3)).names == ("x0", "x1", "x2")
    assert table_from(torch.zeros(4)).names == ("x0",)
    assert table_from({"a": [1, 2], "b": ["u", None]})["b"].tolist() == ["u", None]
    same(table_from(make()), make())
    frame = pl.DataFrame({"a": [1, None], "b": ["x", "y"], "c": [1.5, None], "d": [None, None]})
    table = table_from(frame.with_columns(pl.col("b").cast(pl.Categorical)))
    assert [column.dtype.kind for column in table.columns] == ["O", "O", "f", "f"]
    table = table_from(Frame({"a": np.array(["u", np.nan, "v"], dtype=object), "b": np.arange(3)}))
    assert table["a"].tolist() == ["u", None, "v"]
    assert table["b"].dtype == np.int64
    assert table.take(np.array([2, 0]))["b"].tolist() == [2, 0]
    assert make({"a": np.array([1, "x", None, 2.5], dtype=object)})["a"].tolist() == ["1", "x", None, "2.5"]
    for bad, words in (
        ({"a": [1], "b": [1, 2]}, "lengths 1, 2"),
        ({"a": np.array([[1]], dtype=object)[:, 0:1]}, "one-dimensional"),
        ({"a": np.array([{1}, {2}], dtype=object)}, "got set"),
        ({"a": np.array([2**64], dtype=object)}, "2^63"),
        ({"a": np.array([2**64 - 1], dtype=np.uint64)}, "2^63"),
        ({}, "0 names"),
        ("text", "got str"),
    ):
        with pytest.raises(DataError) as error:
            table_from(bad)
        sentence(error, words)
    with pytest.raises(DataError, match="'a' more than once"):
        Table(("a", "a"), (np.ones(1), np.ones(1)))
    with pytest.raises(DataError, match="got 'z'"):
        make()["z"]


# --- schema ------------------------------------------------------------------------------------------------------------


def mixed(n=200, seed=0):
    rng = np.random.default_rng(seed)
    height = rng.normal(1.7, 0.1, n)
    height[:5] = np.nan
    colour = np.array(["red", "green", "blue"], dtype=object)[rng.integers(0, 3, n)]
    colour[7] = None
    children = np.array(rng.poisson(2, n).tolist(), dtype=object)
    children[3] = None
    return make(
        {
            "height": height,
            "count": rng.poisson(5, n),
            "colour": colour,
            "sick": rng.random(n) < 0.3,
            "answer": rng.integers(0, 2, n) * 2 - 1,
            "whole": rng.integers(0, 9, n).astype(float),
            "dose": np.array([0.5, 1.0, 2.5])[rng.integers(0, 3, n)],
            "children": children,
            "unit": np.array(["kg"] * n, dtype=object),
            "zero": np.zeros(n),
            "one": np.array([1.0, np.nan] * (n // 2)),
            "weight": rng.gamma(9.0, 8.0, n),
        }
    )


def test_kinds_are_found():
    schema = infer_schema(mixed(), bounds={"weight": (0, None)})
    found = {c.name: (c.kind, c.storage, c.missing) for c in schema.columns}
    assert found == {
        "height": ("continuous", "float64", True),
        "count": ("integer", "int64", False),
        "colour": ("categorical", "str", True),
        "sick": ("categorical", "bool", False),
        "answer": ("categorical", "int64", False),
        "whole": ("integer", "float64", False),
        "dose": ("categorical", "float64", False),
        "children": ("integer", "int64", True),
        "unit": ("constant", "str", False),
        "zero": ("constant", "float64", False),
        "one": ("constant", "float64", True),
        "weight": ("continuous", "float64", False),
    }
    by_name = {c.name: c for c in schema.columns}
    assert by_name["colour"].categories == ("blue", "green", "red")
    assert by_name["answer"].categories == ("-1", "1")
    assert by_name["dose"].categories == ("0.5", "1", "2.5")
    assert (by_name["count"].low, by_name["count"].high) == (mixed()["count"].min(), mixed()["count"].max())
    assert by_name["weight"].low == 0.0
    assert by_name["weight"].high is None
    assert by_name["height"].low is None
    height = mixed()["height"]
    assert by_name["height"].loc == pytest.approx(np.nanmean(height), abs=1e-12)
    assert by_name["height"].scale == pytest.approx(np.nanstd(height), rel=1e-12)
    logs = np.log(mixed()["weight"])
    assert (by_name["weight"].loc, by_name["weight"].scale) == pytest.approx((logs.mean(), logs.std()), rel=1e-12)
    share = (mixed()["count"] - by_name["count"].low + 0.5) / (by_name["count"].high - by_name["count"].low + 1)
    width = by_name["count"].high - by_name["count"].low + 1
    logits = np.log(share) - np.log1p(-share)
    assert (by_name["count"].loc, by_name["count"].scale) == pytest.approx((logits.mean(), logits.std()), rel=1e-10)
    assert width > 5


def test_encode_and_decode_give_the_table_back():
    table = mixed()
    schema = infer_schema(table)
    rows = schema.encode(table)
    assert rows.dtype == np.float64
    assert rows.shape == (200, 12)
    same(schema.decode(rows), table)
    assert schema.decode(torch.from_numpy(rows[:0])).n_rows == 0
    again = Schema.from_dict(json.loads(json.dumps(schema.to_dict())))
    assert again == schema
    order = np.random.default_rng(1).permutation(12)
    shuffled = Table(tuple(table.names[i] for i in order), tuple(table.columns[i] for i in order))
    np.testing.assert_array_equal(schema.encode(shuffled), rows)
    assert digest(rows) == digest(schema.encode(shuffled))
    assert digest(rows) != digest(rows[::-1])


def test_labels_do_not_depend_on_how_numbers_are_stored():
    schema = infer_schema({"a": np.array([0, 1, 1, 0]), "b": np.array(["1", "2", "x", "1"], dtype=object)})
    rows = schema.encode({"a": np.array([1.0, 0.0]), "b": np.array([2, 1])})
    assert rows.tolist() == [[1, 1], [0, 0]]


def test_labels_that_are_numbers_are_in_their_order():
    assert infer_schema({"a": np.array([9, 10, 9])}).columns[0].categories == ("9", "10")
    assert infer_schema({"a": text("b", "a", "b")}).columns[0].categories == ("a", "b")


def test_text_is_read_as_numbers_only_when_declared():
    table = {"a": np.array(["1.5", "2", None, "-3e2"], dtype=object)}
    assert infer_schema(table).columns[0].kind == "categorical"
    schema = infer_schema(table, kinds={"a": "continuous"})
    assert schema.columns[0].missing
    np.testing.assert_array_equal(schema.encode(table)[:, 0], [1.5, 2, np.nan, -300])


def test_training_rows_standardise_and_the_split_is_that_of_fit():
    rng = np.random.default_rng(0)
    table = {"a": rng.normal(size=100), "b": rng.normal(size=100)}
    split = Split(rows=100, validation=0.2, seed=3)
    train, valid = split.indices()
    assert sorted([*train, *valid]) == list(range(100))
    assert len(valid) == 20
    schema = infer_schema(table, split=split)
    assert schema.columns[0].loc == pytest.approx(table["a"][train].mean(), abs=1e-15)
    assert schema.split == split
    assert schema == infer_schema(table, rows=train, split=split)
    assert Schema.from_dict(schema.to_dict()).split == split


def test_extreme_scales_are_standardised():
    z = np.random.default_rng(0).normal(size=50)
    for factor in (1e-300, 1e-160, 1.0, 1e160, 1e300):
        column = infer_schema({"a": factor * z}).columns[0]
        assert (column.loc, column.scale) == pytest.approx((factor * z.mean(), factor * z.std()), rel=1e-9)


n = 40
numbers = np.random.default_rng(0).normal(size=n)
BAD_TABLES = {
    "one row": ({"a": np.ones(1)}, {}, "2 rows"),
    "all constant": ({"a": np.ones(n), "b": np.array(["u"] * n, dtype=object)}, {}, "all constant"),
    "all missing numbers": ({"a": np.full(n, np.nan), "b": numbers}, {}, "'a' has no values"),
    "all missing text": ({"a": np.full(n, None), "b": numbers}, {}, "'a' has no values"),
    "infinity": ({"a": np.where(np.arange(n) == 6, np.inf, numbers)}, {}, "'a' holds an infinite value in row 7"),
    "identifiers": ({"a": np.array([f"id{i}" for i in range(n)], dtype=object)}, {}, "identifiers"),
    "text among numbers": (
        {"a": np.array(["abc" if i == 4 else str(v) for i, v in enumerate(numbers)], dtype=object)},
        {},
        "'abc' in row 5",
    ),
    "text in a declared number": (
        {"a": np.array(["1", "2", "x", "4"], dtype=object)},
        {"kinds": {"a": "continuous"}},
        "numbers in column 'a', got 'x' in row 3",
    ),
    "too many labels": (
        {"a": np.array([f"l{i % 12}" for i in range(n)], dtype=object)},
        {"max_categories": 8},
        "at most 8 labels in column 'a', got 12",
    ),
    "below the bound": ({"a": np.arange(n) - 0.5}, {"bounds": {"a": (0, None)}}, "below its bound: -0.5 in row 1"),
    "above the bound": ({"a": np.arange(n)}, {"bounds": {"a": (0, 38)}}, "above its bound: 39 in row 40"),
    "crossed bounds": ({"a": numbers}, {"bounds": {"a": (2, 1)}}, "got 2.0 and 1.0"),
    "fractional range": ({"a": np.arange(n)}, {"bounds": {"a": (-0.5, None)}}, "whole numbers"),
    "bounds of text": ({"a": np.array(["u", "v"] * 20, dtype=object)}, {"bounds": {"a": (0, 1)}}, "categorical"),
    "bounds of no column": ({"a": numbers}, {"bounds": {"b": (0, 1)}}, "got 'b'"),
    "kind of no column": ({"a": numbers}, {"kinds": {"b": "integer"}}, "got 'b'"),
    "unknown kind": ({"a": numbers}, {"kinds": {"a": "ordinal"}}, "'ordinal'"),
    "fraction in an integer": ({"a": np.arange(n) / 2}, {"kinds": {"a": "integer"}}, "fraction: 0.5 in row 2"),
    "declared constant": ({"a": numbers}, {"kinds": {"a": "constant"}}, "declared constant"),
    "declared constant text": (
        {"a": np.array(["u", "v"] * 20, dtype=object)},
        {"kinds": {"a": "constant"}},
        "declared constant",
    ),
    "declared continuous": ({"a": np.ones(n), "b": numbers}, {"kinds": {"a": "continuous"}}, "different values"),
    "integers beyond float64": ({"a": np.arange(n) + 2**53}, {}, "2^53"),
    "sums beyond float64": ({"a": np.array([1.5e308, 1.7e308, 1.6e308] * 5)}, {}, "rescale"),
}


@pytest.mark.parametrize("case", BAD_TABLES)
def test_bad_tables_are_one_clear_sentence(case):
    table, options, words = BAD_TABLES[case]
    with pytest.raises(DataError) as error:
        infer_schema(table, **options)
    sentence(error, words)


BAD_SCORING = {
    "missing column": ({"a": [1.0], "l": ["u"]}, "without 'k'"),
    "extra column": ({"a": [1.0], "l": ["u"], "k": [3], "z": [1]}, "also 'z'"),
    "unseen label": ({"a": [1.0, 2.0], "l": ["u", "w"], "k": [3, 3]}, "'w' in row 2"),
    "text": ({"a": ["1.0", "abc"], "l": ["u", "u"], "k": [3, 3]}, "'abc' in row 2"),
    "infinity": ({"a": [1.0, -np.inf], "l": ["u", "u"], "k": [3, 3]}, "'a' holds an infinite value in row 2"),
    "missing number": ({"a": [1.0, np.nan], "l": ["u", "u"], "k": [3, 3]}, "'a' has a missing value in row 2"),
    "missing label": (
        {"a": [1.0, 1.0], "l": np.array(["u", None], dtype=object), "k": [3, 3]},
        "'l' has a missing value",
    ),
}


@pytest.mark.parametrize("case", BAD_SCORING)
def test_bad_scoring_tables_are_one_clear_sentence(case):
    table, words = BAD_SCORING[case]
    schema = infer_schema({"a": numbers, "l": np.array(["u", "v"] * 20, dtype=object), "k": np.arange(n)})
    with pytest.raises(DataError) as error:
        schema.encode(table)
    sentence(error, words)


def test_extra_columns_can_be_ignored_and_rows_of_other_shapes_not():
    schema = infer_schema({"a": numbers, "b": -numbers})
    assert schema.encode({"b": [1.0], "z": ["?"], "a": [2.0]}, extra="ignore").tolist() == [[2.0, 1.0]]
    with pytest.raises(DataError, match=r"\(N, 2\)"):
        schema.decode(np.ones((3, 3)))
    labelled = infer_schema({"a": np.array(["u", "v"] * 20, dtype=object)})
    with pytest.raises(DataError, match="codes 0 to 1"):
        labelled.decode(np.array([[2.0]]))
    for bad in (
        {},
        {"columns": [{"name": "a"}]},
        {"columns": 3},
        {"columns": [{"categories": (), "name": "a", "kind": "q"}]},
    ):
        with pytest.raises(DataError, match="expected"):
            Schema.from_dict(bad)


@pytest.mark.parametrize("suffix", [s for s in SUFFIXES if s != ".tab"])
def test_a_name_is_a_name_and_no_pattern(tmp_path, suffix):
    names = ["a[12]", "a1", "b*", "b1", "b2", "x?", "x1", "{q,r}", "q", "~", "http:x", "caf\udce9", "a\nb"]
    for i, name in enumerate(names):
        write_table(Table(("v", "w"), (np.array([i + 0.5, 1.5]), np.array([i, 2]))), f"{tmp_path}/{name}{suffix}")
    for i, name in enumerate(names):
        table = read_table(f"{tmp_path}/{name}{suffix}")
        assert [column.tolist() for column in table.columns] == [[i + 0.5, 1.5], [i, 2]], name
