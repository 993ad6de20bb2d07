"""Tables that are larger than they look, and texts that a spreadsheet would run."""

import io
import struct
import zipfile

import numpy as np
import polars as pl
import pytest
import torch

from pushforward.cli.main import main
from pushforward.errors import DataError, FileError
from pushforward.serialize import save
from pushforward.tables import Table, infer_schema, read_table, table_model, write_table
from pushforward.tables.formulas import escape_formulas
from pushforward.tables.unpacked_size import arrow_contents, parquet_contents

N = 300_000


def frame():
    rng = np.random.default_rng(0)
    return pl.DataFrame(
        {
            "a": rng.normal(size=N),
            "b": np.arange(N),
            "c": np.where(rng.random(N) < 0.5, "x", "yy"),
            "none": pl.Series([None] * N, dtype=pl.Float64),
        }
    )


@pytest.mark.parametrize("compression", ["uncompressed", "zstd", "snappy", "lz4"])
def test_parquet_files_are_measured_without_unpacking_them(tmp_path, compression):
    path, table = tmp_path / "t.parquet", frame()
    for size in (None, 50_000):
        table.write_parquet(path, compression=compression, row_group_size=size)
        found = parquet_contents(str(path))
        assert (found.rows, found.columns) == (N, 4)
        assert found.size == 8 * N * 4
        assert 8 * N < found.unpacked < 8 * N * 4


@pytest.mark.parametrize("compression", ["uncompressed", "zstd", "lz4"])
def test_arrow_files_are_measured_without_unpacking_them(tmp_path, compression):
    path = tmp_path / "t.arrow"
    frame().write_ipc(path, compression=compression)
    found = arrow_contents(str(path))
    assert (found.rows, found.columns) == (N, 4)
    assert 3 * 8 * N < found.unpacked < 6 * 8 * N
    frame().head(0).write_ipc(path)
    assert arrow_contents(str(path)).rows == 0


def bomb(path):
    """A table of zeros that unpacks to 0.6 or 0.8 GB."""
    suffix = path.suffix
    if suffix == ".npz":
        with (
            zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive,
            archive.open("x.npy", "w", force_zip64=True) as member,
        ):
            np.lib.format.write_array_header_1_0(
                member, {"descr": "<f8", "fortran_order": False, "shape": (75_000_000,)}
            )
            for _ in range(600):
                member.write(bytes(10**6))
        return
    zeros = pl.DataFrame({f"x{i}": pl.zeros(5_000_000, dtype=pl.Int8, eager=True) for i in range(20)})
    if suffix == ".parquet":
        zeros.write_parquet(path)
    else:
        zeros.write_ipc(path, compression="zstd")


@pytest.mark.parametrize("suffix", [".parquet", ".arrow", ".npz"])
def test_a_small_file_is_not_unpacked_to_gigabytes(tmp_path, suffix):
    path = tmp_path / f"t{suffix}"
    bomb(path)
    assert path.stat().st_size < 2e6
    with pytest.raises(FileError, match=r"unpacks to 0\.[68] GB; .*--max-gigabytes") as error:
        read_table(path)
    assert str(path) in str(error.value)
    if suffix == ".parquet":
        assert read_table(path, max_gigabytes=1).n_rows == 5_000_000


def npy(shape, dtype="<f8", body=b""):
    target = io.BytesIO()
    np.lib.format.write_array_header_1_0(target, {"descr": dtype, "fortran_order": False, "shape": shape})
    return target.getvalue() + body


@pytest.mark.parametrize(
    ("content", "error", "words"),
    [
        (npy((0, 10**9)), DataError, "1,000,000,000; .*--max-columns"),
        (npy((10**6, 10**6)), FileError, "damaged"),
        (npy((-3,)), FileError, "damaged"),
        (npy((10**9, 0)), DataError, "got none"),
        (npy((3,), "<U1000000000"), FileError, "damaged"),
        (npy((1, 30_000), "|u1", bytes(30_000)), DataError, "30,000; .*--max-columns"),
    ],
)
def test_headers_of_arrays_are_not_believed(tmp_path, content, error, words):
    path = tmp_path / "t.npy"
    path.write_bytes(content)
    with pytest.raises(error, match=words):
        read_table(path)


def test_a_million_columns(tmp_path, capsys):
    path = tmp_path / "t.csv"
    names = ",".join(f"c{i}" for i in range(10**6))
    path.write_text(f"{names}\n{'1,' * 999_999}1\n")
    assert main(["fit", str(path), "--out", str(tmp_path / "m.flow")]) == 1
    assert (
        "expected at most 20,000 columns, got 1,000,000; if they are meant, raise the limit" in capsys.readouterr().err
    )
    path.write_text("a,b,c\n1,2,3\n4,5,6\n")
    with pytest.raises(DataError, match="at most 2 columns, got 3"):
        read_table(path, max_columns=2)
    assert main(["fit", str(path), "--out", str(tmp_path / "m.flow"), "--max-columns", "2"]) == 1


def test_lines_with_other_entries_each_make_no_table_of_their_square(tmp_path):
    path = tmp_path / "t.jsonl"
    path.write_text("".join(f'{{"c{i}": 1}}\n' for i in range(4_000)))
    with pytest.raises(FileError, match=r"unpacks to 1\.02 GB"):
        read_table(path)


def test_a_panic_of_polars_gives_one_sentence_and_prints_nothing(tmp_path, capfd):
    path = tmp_path / "t.parquet"
    pl.DataFrame({"a": [1.0, None, 3.0, 4.0]}).write_parquet(path, compression="uncompressed", statistics=False)
    data = bytearray(path.read_bytes())
    data[9] = 0  # the packed size of the page
    path.write_bytes(data)
    with pytest.raises((pl.exceptions.PolarsError, pl.exceptions.PanicException)):
        pl.read_parquet(io.BytesIO(data))
    capfd.readouterr()
    with pytest.raises(FileError, match="damaged"):
        read_table(path)
    assert capfd.readouterr() == ("", "")


def test_damaged_headers_of_parquet_and_arrow_files(tmp_path):
    for name in ("t.parquet", "t.arrow"):
        path = tmp_path / name
        table = frame().head(50)
        table.write_parquet(path) if name == "t.parquet" else table.write_ipc(path)
        whole = path.read_bytes()
        for length in (0, 5, 100, len(whole) - 1):
            path.write_bytes(whole[:length])
            with pytest.raises(FileError):
                read_table(path)
        path.write_bytes(whole[:-8] + struct.pack("<I", 2**31) + whole[-4:])
        with pytest.raises(FileError, match="damaged"):
            read_table(path)


FORMULAS = ["=1+1", "+1-1", "-2+3", "@SUM(A1)", "\t=1", "\r=1", "-1.5", "+3", "plain", "a=1", "", None, "＝1"]


def test_formulas_get_a_quote_and_numbers_stay():
    columns = escape_formulas({"=name": np.array(FORMULAS, dtype=object), "x": np.array([-1.5] * len(FORMULAS))})
    assert list(columns) == ["'=name", "x"]
    escaped = [f"'{text}" for text in FORMULAS[:6]]
    assert columns["'=name"].tolist() == [*escaped, "-1.5", "+3", "plain", "a=1", "", None, "'＝1"]
    assert columns["x"].tolist() == [-1.5] * len(FORMULAS)


def test_sampled_formulas_are_escaped_when_that_is_asked_for(tmp_path, capsys):
    table = Table(("=a", "x"), (np.array(["=1+1", "-2"] * 20, dtype=object), np.linspace(-3, 3, 40)))
    torch.manual_seed(0)
    path = tmp_path / "m.flow"
    save(path, table_model(infer_schema(table), "maf", layers=1, hidden=(4,)))
    assert main(["sample", str(path), "-n", "50"]) == 0
    plain = capsys.readouterr().out
    assert plain.startswith("=a,x\n")
    assert main(["sample", str(path), "-n", "50", "--escape-formulas"]) == 0
    out = capsys.readouterr().out
    assert out == plain.replace("=", "'=")
    assert "\n-2," in out
    assert main(["sample", str(path), "--escape-formulas", "--out", str(tmp_path / "t.parquet")]) == 2
    assert "--escape-formulas is for .csv" in capsys.readouterr().err
    write_table(table, tmp_path / "t.csv", formulas=False)
    assert (tmp_path / "t.csv").read_text().startswith("'=a,x\n'=1+1,")


@pytest.mark.parametrize("seed", ["-1", str(2**63), str(2**64), "9" * 30])
def test_seeds_beyond_63_bits_are_refused(tmp_path, capsys, seed):
    assert main(["sample", "m.flow", f"--seed={seed}"]) == 2
    assert "--seed" in capsys.readouterr().err
