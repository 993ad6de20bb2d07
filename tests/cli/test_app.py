import dataclasses
import inspect
import io
import json
import os
import resource
import signal
import subprocess
import sys
import typing

import numpy as np
import polars as pl
import pytest
import torch
from command_line import mixed, process, refused, run

import pushforward as pf
from pushforward import fitted_table
from pushforward.cli import table_task
from pushforward.cli.app import app
from pushforward.cli.options import TrainOptions
from pushforward.dataclass_source import argument_texts, first_sentence
from pushforward.errors import ContextError, DataError
from pushforward.evaluation import held_out
from pushforward.training import TrainConfig

N = 200
TINY = ["--flow", "nsf", "--layers", "1", "--hidden", "8", "--set", "bins=3", "--epochs", "2"]


def numbers(seed=0, rows=120):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=rows)
    return pl.DataFrame({"x": x, "y": x**2 + rng.normal(size=rows) / 3, "colour": rng.choice(["red", "blue"], rows)})


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A folder with two fitted models: of a mixed table (a lower bound) and of numbers with a label (exact)."""
    folder = tmp_path_factory.mktemp("cli")
    mixed().write_csv(folder / "table.csv")
    numbers().write_csv(folder / "numbers.csv")
    options = ["--drop", "id", "--bounds", "share=0:1", "--test", "0.2", *TINY, "--json"]
    code, out, err = run("fit", folder / "table.csv", "--out", folder / "table.flow", *options)
    assert code == 0, err
    (folder / "record.json").write_text(out)
    code, out, err = run("fit", folder / "numbers.csv", "--flow", "maf", "--layers", 1, "--hidden", "8,8",
                         "--epochs", 2, "--out", folder / "numbers.flow")  # fmt: skip
    assert code == 0, err
    (folder / "summary.txt").write_text(out + err)
    return folder


# --- help, options, configuration ------------------------------------------------------------------------------------


def test_help_is_quick_and_leaves_torch_alone():
    code = (
        "import sys\nfrom pushforward.cli import main\n"
        "assert main(['fit', '--help']) == 0\nassert main(['--help']) == 0\n"
        "print([name for name in ('torch', 'numpy', 'polars', 'sklearn', 'matplotlib') if name in sys.modules])"
    )
    ratios = []
    for _ in range(3):
        floor, _ = cpu_seconds("import cyclopts")
        spent, said = cpu_seconds(code)
        assert said.splitlines()[-1] == "[]"
        ratios.append(spent / floor)
        if ratios[-1] < 4:
            break
    assert min(ratios) < 4


def test_systems_and_inspect_leave_torch_alone(home):
    code = (
        "import sys\nfrom pushforward.cli import main\nassert main(['systems']) == 0\nassert main(['systems', 'nsf']) == 0\n"
        f"assert main(['inspect', {str(home / 'numbers.flow')!r}]) == 0\n"
        "print([name for name in ('torch', 'numpy', 'polars', 'sklearn', 'matplotlib') if name in sys.modules])"
    )
    assert cpu_seconds(code)[1].splitlines()[-1] == "[]"


def cpu_seconds(code: str) -> tuple[float, str]:
    """What a fresh interpreter spends on some code, and what it prints."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime, done.stdout


COMMANDS = ["fit", "score", "sample", "interpolate", "edit", "resample", "report", "inspect", "systems", "compress",
            "decompress", "demo"]  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_that_reads_alone(command):
    code, out, err = run(command, "--help")
    assert (code, err) == (0, "")
    assert f"Usage: pushforward {command}" in out
    assert "[default: ()]" not in out
    assert command in run("--help")[1]
    shown = [argument for argument in app[command].assemble_argument_collection(parse_docstring=True) if argument.show]
    for argument in shown:
        assert argument.parameter.help, argument.name
        assert not argument.parameter.help[0].islower(), argument.parameter.help


def test_the_help_of_training_is_that_of_the_library():
    out = " ".join(run("fit", "--help")[1].replace("│", " ").split())
    texts = argument_texts(inspect.cleandoc(TrainConfig.__doc__))
    for field in dataclasses.fields(TrainOptions):
        assert " ".join(first_sentence(texts[field.name]).split()) in out, field.name


def test_version():
    assert run("--version") == (0, f"{pf.__version__}\n", "")


def test_training_options_are_those_of_the_library():
    ours, theirs = TrainOptions(), TrainConfig()
    assert {**dataclasses.asdict(ours), "seed": 0, "threads": None} == theirs.to_dict()
    hints, expected = typing.get_type_hints(TrainOptions), typing.get_type_hints(TrainConfig)
    assert all(hints[name] == expected[name] for name in hints)


def test_flags_go_before_the_environment_before_the_file(tmp_path, monkeypatch):
    numbers().write_csv(tmp_path / "t.csv")
    (tmp_path / "c.toml").write_text(
        "[fit]\nlr = 0.5\nclip = 2\nweight_decay = 0.25\nbaselines = false\nepochs = 1\nflow = 'nsf'\n"
        "set = {layers = 1, hidden = 8, linear = false}\nkind = {colour = 'categorical'}\n[score]\ntop = 3\n"
    )
    monkeypatch.setenv("PUSHFORWARD_FIT_LR", "0.01")
    monkeypatch.setenv("PUSHFORWARD_FIT_CLIP", "3")
    fit = ["fit", tmp_path / "t.csv", "--out", tmp_path / "t.flow", "--json", "-q", "--lr", "0.002"]
    code, out, err = run(*fit, "--config", tmp_path / "c.toml")
    assert code == 0, err
    record = json.loads(out)
    assert (record["config"]["lr"], record["config"]["clip"], record["config"]["weight_decay"]) == (0.002, 3, 0.25)
    assert (record["spec"]["layers"], record["spec"]["linear"]) == (1, False)
    assert record["scores"]["baselines"] == []
    monkeypatch.setenv("PUSHFORWARD_FIT_CONFIG", str(tmp_path / "c.toml"))
    assert json.loads(run(*fit)[1])["config"]["weight_decay"] == 0.25


def test_lists_of_the_system_from_the_file(tmp_path):
    numbers().write_csv(tmp_path / "t.csv")
    (tmp_path / "c.toml").write_text("[fit]\nflow = 'maf'\nset = {hidden = [6, 7], layers = 1}\nmax_steps = 1\n")
    code, out, err = run(
        "fit", tmp_path / "t.csv", "-o", tmp_path / "t.flow", "--config", tmp_path / "c.toml", "--json"
    )
    assert code == 0, err
    assert json.loads(out)["spec"]["hidden"] == [6, 7]


@pytest.mark.parametrize(
    ("text", "code", "words"),
    [
        ("[fit]\nlrr = 1\n", 2, ["c.toml", "'lrr'", "did you mean 'lr'"]),
        ("[fitt]\nlr = 1\n", 2, ["'fitt'", "did you mean 'fit'"]),
        ("fit = 3\n", 2, ["[fit]", "single value"]),
        ("[fit\n", 2, ["TOML"]),
        ("[fit]\nlr = 'fast'\n", 2, ["lr", "fast", "c.toml"]),
        ("fit." + "a." * 30_000 + "b = 1\n", 2, ["c.toml", "tables in each other"]),
        (None, 1, ["c.toml", "no such file"]),
    ],
)
def test_bad_configuration(tmp_path, text, code, words):
    numbers().write_csv(tmp_path / "t.csv")
    if text is not None:
        (tmp_path / "c.toml").write_text(text)
    command = ["fit", tmp_path / "t.csv", "--out", tmp_path / "t.flow", "--config", tmp_path / "c.toml"]
    refused(run(*command), code, *words)
    assert not (tmp_path / "t.flow").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["fot"], ["fot", "Did you mean", "fit"]),
        (["fit"], ["SOURCE"]),
        (["fit", "-"], ["--out FILE"]),
        (["fit", "T", "--out", "M", "--eposch", "3"], ["--eposch", "Did you mean --epochs", "fit --help"]),
        (["fit", "T", "--out", "M", "--epochs", "x"], ["--epochs", "x"]),
        (["fit", "T", "--out", "M", "--epochs", "0"], ["epochs"]),
        (["fit", "T", "--out", "M", "--lr", "-1"], ["lr"]),
        (["fit", "T", "--out", "M", "--schedule", "steps"], ["--schedule", "cosine"]),
        (["fit", "T", "--out", "M", "--threads", "0"], ["--threads"]),
        (["fit", "T", "--out", "M", "--flow", "nfs"], ["'nfs'", "did you mean 'nsf'"]),
        (["fit", "T", "--out", "M", "--set", "layer=3"], ["'layer'", "did you mean 'layers'"]),
        (["fit", "T", "--out", "M", "--set", "layers"], ["--set NAME=VALUE"]),
        (["fit", "T", "--out", "M", "--set", "layers=two"], ["nsf.layers", "'two'"]),
        (["fit", "T", "--out", "M", "--set", "layers=2", "--layers", "3"], ["--layers"]),
        (["fit", "T", "--out", "M", "--set", "features=2"], ["features"]),
        (["fit", "T", "--out", "M", "--bounds", "x=3"], ["LOW:HIGH"]),
        (["fit", "T", "--out", "M", "--kind", "integer"], ["--kind NAME=VALUE"]),
        (["fit", "T", "--out", "M", "--test", "1.5"], ["--test"]),
        (["fit", "T", "--out", "-"], ["--out"]),
        (["fit", "T", "--out", "T"], ["input"]),
        (["fit", "T", "--out", "M", "--metrics", "M"], ["same file"]),
        (["sample", "MODEL", "-n", "0"], ["-n", ">= 1"]),
        (["sample", "MODEL", "--out", "new.xlsx"], [".csv", "new.xlsx"]),
        (["sample", "MODEL", "--out", "--seed"], ["path"]),
        (["score", "MODEL", "T", "--top", "-3"], ["--top"]),
        (["score", "MODEL", "T", "--json", "--out", "-"], ["standard output"]),
        (["systems", "maff"], ["did you mean 'maf'"]),
    ],
)
def test_usage_errors_exit_with_2(home, tmp_path, arguments, words):
    names = {"T": home / "numbers.csv", "M": tmp_path / "m.flow", "MODEL": home / "numbers.flow"}
    refused(run(*(names.get(argument, argument) for argument in arguments)), 2, *words)
    assert list(tmp_path.iterdir()) == []


# --- the main job ------------------------------------------------------------------------------------------------------


def test_fit_prints_one_record(home):
    record = json.loads((home / "record.json").read_text())
    assert record["system"] == "nsf"
    assert (record["train_rows"], record["validation_rows"], record["scores"]["count"]) == (144, 16, 40)
    assert record["scores"]["rows"] == "test"
    assert record["scores"]["symbol"] == ">="
    assert "history" not in record
    assert record["scores"]["baselines"][0]["gain"] == pytest.approx(
        record["scores"]["mean"] - record["scores"]["baselines"][0]["mean"]
    )


def test_fit_says_how_it_went(home):
    text = (home / "summary.txt").read_text()
    for words in ("120 rows (97 to train, 11 to validate, 12 to test)", "nats per row", "maf is better by", "Gaussian",
                  "kernel density", "= is exact", f"wrote {home / 'numbers.flow'}", "epoch 1/2"):  # fmt: skip
        assert words in text
    assert not list(home.glob("*.checkpoint"))


def test_quiet_and_metrics(home, tmp_path):
    command = ["fit", home / "numbers.csv", "-o", tmp_path / "m.flow", *TINY, "--metrics", tmp_path / "m.jsonl", "-q"]
    assert run(*command) == (0, "", "")
    assert [json.loads(line)["epoch"] for line in (tmp_path / "m.jsonl").read_text().splitlines()] == [1, 2]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m.flow", "m.jsonl"]


def test_the_same_seed_gives_the_same_model(home, tmp_path):
    for name in ("a", "b"):
        command = ["fit", home / "numbers.csv", "-o", tmp_path / name, *TINY, "-q", "--seed", 5, "--no-baselines"]
        assert run(*command)[0] == 0
    first, second = (pf.load(tmp_path / name).model.state_dict() for name in ("a", "b"))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_inspect(home):
    code, out, err = run("inspect", home / "table.flow")
    assert (code, err) == (0, "")
    for words in ("nsf: Durkan", "layers=1", "table.csv, 200 rows", "144 rows to train, 16 to validate, 40 to test",
                  "2 epochs", "age     integer", "categorical  Bergen, west, Oslo, Ålesund", "0 to 1", "or missing",
                  "constant     cm", "is a lower bound", "id"):  # fmt: skip
        assert words in out
    document = json.loads(run("inspect", home / "table.flow", "--json")[1])
    assert document["training"]["split"]["test"] == 0.2
    assert [column["name"] for column in document["schema"]["columns"]][:2] == ["age", "height"]


def test_inspect_reads_the_header_only(home, tmp_path):
    (tmp_path / "half.flow").write_bytes((home / "table.flow").read_bytes()[:-500])
    assert run("inspect", tmp_path / "half.flow")[0] == 0


def test_scores_keep_the_order_of_the_rows(home, tmp_path):
    code, out, err = run("score", home / "numbers.flow", home / "numbers.csv", "--out", tmp_path / "s.csv")
    assert (code, out) == (0, "")
    assert "120 rows: = " in err
    assert "exact" in err
    scores = pl.read_csv(tmp_path / "s.csv")
    assert scores.columns == ["row", "log_prob", "percentile", "outlier"]
    assert scores["row"].to_list() == list(range(1, 121))
    assert scores["percentile"].is_between(0, 100).all()
    assert scores["outlier"].sum() <= 6
    saved = pf.load(home / "numbers.flow")
    expected = saved.model.log_prob(torch.from_numpy(saved.schema.encode(pl.read_csv(home / "numbers.csv"))))
    np.testing.assert_allclose(scores["log_prob"].to_numpy(), expected.detach().numpy(), rtol=1e-12)
    shuffled = numbers().select("colour", "y", "x").reverse()
    shuffled.write_parquet(tmp_path / "t.parquet")
    assert run("score", home / "numbers.flow", tmp_path / "t.parquet", "--out", tmp_path / "r.npy")[0] == 0
    np.testing.assert_allclose(np.load(tmp_path / "r.npy")[::-1, 1], scores["log_prob"].to_numpy(), rtol=1e-5)


def test_the_least_likely_rows(home):
    code, out, err = run("score", home / "numbers.flow", home / "numbers.csv", "--top", 3)
    assert code == 0
    lines = [line.split() for line in out.splitlines()]
    assert lines[0] == ["row", "log_prob", "x", "y", "colour"]
    scores = [float(line[1]) for line in lines[1:]]
    assert len(scores) == 3
    assert scores == sorted(scores)
    table = numbers()
    assert [line[4] for line in lines[1:]] == [table["colour"][int(line[0]) - 1] for line in lines[1:]]
    code, out, err = run("score", home / "numbers.flow", home / "numbers.csv", "--top", 2, "--json", "-q")
    assert (code, err) == (0, "")
    record = json.loads(out)
    assert [row["log_prob"] for row in record["least_likely"]] == pytest.approx(scores[:2], rel=1e-3)
    assert record["rows"] == 120


def test_tables_through_standard_input_and_output(home):
    text = (home / "numbers.csv").read_text()
    code, out, err = run("score", home / "numbers.flow", "-", "--out", "-", stdin=text)
    assert code == 0
    assert out.splitlines()[0] == "row,log_prob,percentile,outlier"
    assert len(out.splitlines()) == 121
    assert "120 rows" in err


def test_more_draws_tighten_a_bound(home):
    means = []
    for samples in (1, 16):
        code, out, err = run("score", home / "table.flow", home / "table.csv", "--samples", samples, "--json")
        assert code == 0
        assert "a lower bound" in err
        record = json.loads(out)
        assert (record["samples"], record["symbol"]) == (samples, ">=")
        means.append(record["mean"])
    assert means[0] < means[1] < means[0] + 1
    code, out, err = run("score", home / "numbers.flow", home / "numbers.csv", "--samples", 3, "--json")
    assert json.loads(out)["samples"] == 1
    assert "no difference" in err


def test_rows_outside_the_support_are_impossible_not_wrong(home, tmp_path):
    mixed().with_columns(age=pl.Series([200, *mixed()["age"][1:]])).write_csv(tmp_path / "t.csv")
    code, _, err = run("score", home / "table.flow", tmp_path / "t.csv", "--out", tmp_path / "s.csv")
    assert code == 0
    assert "1 of 200 row has probability zero" in err
    assert pl.read_csv(tmp_path / "s.csv")["log_prob"][0] == -np.inf


def test_samples_have_the_columns_and_types_of_the_table(home, tmp_path):
    code, out, _ = run("sample", home / "table.flow", "-n", 50, "--seed", 3, "--out", tmp_path / "new.csv")
    assert (code, out) == (0, "")
    new, old = pl.read_csv(tmp_path / "new.csv"), pl.read_csv(home / "table.csv").drop("id")
    assert new.height == 50
    assert new.schema == old.schema
    assert set(new["city"]) <= set(old["city"])
    assert new["share"].is_between(0, 1).all()
    assert new["age"].is_between(old["age"].min(), old["age"].max()).all()
    assert new["unit"].unique().to_list() == ["cm"]
    text = (tmp_path / "new.csv").read_text()
    assert run("sample", home / "table.flow", "-n", 50, "--seed", 3)[1] == text
    assert run("sample", home / "table.flow", "-n", 50, "--seed", 4)[1] != text


def test_report_uses_the_rows_that_were_held_out(home, tmp_path):
    code, out, err = run("report", home / "table.flow", home / "table.csv", "--out", tmp_path / "r.html")
    assert code == 0, err
    assert "its 40 test rows are used" in err
    assert "nsf is better by" in out
    page = (tmp_path / "r.html").read_text()
    assert "40 held-out rows" in page
    assert "Gaussian" in page
    record = json.loads((home / "record.json").read_text())
    reported = json.loads(
        run("report", home / "table.flow", home / "table.csv", "--out", tmp_path / "r.html", "--json")[1]
    )
    assert reported["scores"]["mean"] == pytest.approx(record["scores"]["mean"], abs=1e-6)


def test_report_on_another_table_uses_all_rows(home, tmp_path):
    numbers(1, 30).write_csv(tmp_path / "t.csv")
    code, out, err = run("report", home / "numbers.flow", tmp_path / "t.csv", "--out", tmp_path / "r.html")
    assert code == 0, err
    assert "is not the table of the fit, so all its 30 rows are used" in err
    assert "no baselines" in out


def test_systems(home):
    code, out, err = run("systems")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert [line.split()[0] for line in lines[1:]] == sorted(pf.Spec.registry)
    assert any("Durkan" in line and "exact" in line for line in lines)
    listed = json.loads(run("systems", "--json")[1])
    assert {"name": "mlp-density", "symbol": "~"}.items() <= next(
        s for s in listed if s["name"] == "mlp-density"
    ).items()
    code, out, err = run("systems", "nsf")
    assert code == 0
    assert ["bins", "int", "8"] in [line.split()[:3] for line in out.splitlines()]
    described = json.loads(run("systems", "maf", "--json")[1])
    assert {a["name"] for a in described["arguments"]} == {f.name for f in dataclasses.fields(pf.systems.MAF)}
    assert all(a["about"] for a in described["arguments"])


def test_demo(tmp_path, monkeypatch):
    monkeypatch.setenv("PUSHFORWARD_FIT_EPOCHS", "2")
    code, out, err = run("demo", "--out", tmp_path / "d")
    assert code == 0, err
    assert out.splitlines()[-1] == f"the report is {tmp_path / 'd' / 'report.html'}"
    assert f"$ pushforward score {tmp_path}/d/table.flow" in err
    names = {"table.csv", "table.flow", "scores.csv", "new.csv", "report.html"}
    assert {path.name for path in (tmp_path / "d").iterdir()} == names


# --- bad input -----------------------------------------------------------------------------------------------------------


BAD_TABLES = {
    "unknown file type": ("t.docx", "a,b\n1,2\n", "expected a file of type"),
    "empty file": ("t.csv", "", "empty file"),
    "header only": ("t.csv", "a,b\n", "expected rows below the column names"),
    "one row": ("t.csv", "a,b\n1,2\n", "at least 2 rows"),
    "three rows": ("t.csv", "a\n1\n2\n3.5\n", "at least 2 rows to train on, got 3 rows"),
    "all constant": ("t.csv", "a,b\n" + "1,x\n" * 30, "all constant"),
    "all missing": ("t.csv", "a,b\n" + ",1\n,2\n" * 30, "a: no values at all"),
    "infinity": ("t.csv", "a,b\n" + "1.5,2\n2.5,3\n" * 20 + "inf,2\n", "infinite value"),
    "columns that cannot be used": (
        "t.csv",
        "k,name,x\n" + "".join(f"{i},user {i} x,{i % 7}.5\n" for i in range(300)),
        "got 2 that cannot (k: consecutive numbers, as identifiers are; --kind NAME=integer keeps them; name: 300 different",
    ),
    "damaged parquet": ("t.parquet", "PAR1 no", "damaged"),
    "no file": (None, None, "expected a file, got none"),
}


@pytest.mark.parametrize("case", BAD_TABLES)
def test_bad_tables(tmp_path, case):
    name, text, words = BAD_TABLES[case]
    path = tmp_path / (name or "absent.csv")
    if text is not None:
        path.write_text(text)
    before = set(tmp_path.iterdir())
    refused(run("fit", path, "--out", tmp_path / "m.flow", *TINY, "--strict"), 1, words)
    assert set(tmp_path.iterdir()) == before


def test_text_in_a_numeric_column(tmp_path):
    (tmp_path / "t.csv").write_text("a,b\n" + "1.5,2\n2.5,3\n" * 20 + "many,2\n")
    command = ["fit", tmp_path / "t.csv", "--out", tmp_path / "m.flow", *TINY]
    refused(run(*command, "--kind", "a=continuous", "--strict"), 1, "'a'", "'many'", "row 41")
    rows = "".join(f"{i}.5,{i}\n" for i in range(300))
    (tmp_path / "t.csv").write_text(f"a,b\n{rows}many,2\n")
    refused(run(*command, "--strict"), 1, "a: text among numbers", "'many'")
    assert os.listdir(tmp_path) == ["t.csv"]
    code, _, err = run(*command)
    assert code == 0
    assert "note: a: read as missing: 1 entry among the numbers, such as 'many' in row 301" in err


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--kind", "z=integer"], ["'z'"]),
        (["--kind", "x=whole"], ["'x'", "continuous"]),
        (["--drop", "colou"], ["did you mean 'colour'"]),
        (["--drop", "x", "--drop", "y", "--drop", "colour"], ["all of them"]),
        (["--bounds", "x=100:"], ["'x'", "below its bound"]),
        (["--test", "119"], ["at least 2 rows to train on"]),
    ],
)
def test_options_that_do_not_fit_the_table(home, tmp_path, options, words):
    refused(run("fit", home / "numbers.csv", "--out", tmp_path / "m.flow", *TINY, *options), 1, *words)
    assert list(tmp_path.iterdir()) == []


LEGAL_TABLES = {
    "one column": pl.DataFrame({"x": np.random.default_rng(0).normal(size=40)}),
    "one label column": pl.DataFrame({"x": ["a", "b", "b", "c"] * 10}),
    "constant columns": pl.DataFrame(
        {"k": [3] * 40, "t": ["same"] * 40, "x": np.random.default_rng(0).gamma(2.0, size=40)}
    ),
    "four rows": pl.DataFrame({"x": [0.5, 1.25, 2.0, 3.5]}),
    "missing values": pl.DataFrame({"x": [0.5, None, 2.0, 3.5, 1.5] * 8, "l": ["a", None, "b", "c", "a"] * 8}),
}


@pytest.mark.parametrize("case", LEGAL_TABLES)
def test_small_and_odd_tables_work(tmp_path, case):
    LEGAL_TABLES[case].write_csv(tmp_path / "t.csv")
    code, _, err = run("fit", tmp_path / "t.csv", "--out", tmp_path / "m.flow", *TINY)
    assert code == 0, err
    code, out, err = run("sample", tmp_path / "m.flow", "-n", 3)
    assert code == 0, err
    assert pl.read_csv(io.StringIO(out)).columns == LEGAL_TABLES[case].columns
    code, out, err = run("score", tmp_path / "m.flow", tmp_path / "t.csv")
    assert code == 0, err
    code, out, err = run("report", tmp_path / "m.flow", tmp_path / "t.csv", "--out", tmp_path / "r.html")
    assert code == 0, err


def test_without_held_out_rows(home, tmp_path):
    fit = ["fit", home / "numbers.csv", "--flow", "maf", "--layers", 1, "--hidden", 8, "--epochs", 2, "--test", 0]
    fit += ["--out", tmp_path / "m.flow"]
    code, out, err = run(*fit)
    assert code == 0
    assert "validation rows" in out
    code, out, err = run(*fit, "--validation", 0)
    assert code == 0
    assert "no rows were held out" in out
    code, out, err = run("report", tmp_path / "m.flow", home / "numbers.csv", "--out", tmp_path / "r.html")
    assert code == 0
    assert "were held out" in err


OTHER_TABLES = {
    "missing column": (numbers().drop("y"), ["without 'y'"]),
    "extra column": (numbers().with_columns(z=1), ["also 'z'"]),
    "another table": (pl.DataFrame({"a": [1.5, 2.5]}), ["without 'x'"]),
    "unseen category": (numbers().with_columns(colour=pl.lit("green")), ["'colour'", "'green'", "row 1"]),
    "text": (numbers().with_columns(x=pl.lit("high")), ["numbers in column 'x'", "'high'"]),
    "NaN": (numbers().with_columns(x=pl.lit(None, pl.Float64)), ["'x' has a missing value in row 1"]),
    "infinity": (numbers().with_columns(x=pl.lit(-np.inf)), ["'x' holds an infinite value in row 1"]),
    "missing label": (numbers().with_columns(colour=pl.lit(None, pl.String)), ["'colour' has a missing value"]),
}


@pytest.mark.parametrize("case", OTHER_TABLES)
def test_tables_that_do_not_fit_the_model(home, tmp_path, case):
    table, words = OTHER_TABLES[case]
    table.write_csv(tmp_path / "t.csv")
    for command, out in (("score", "s.csv"), ("report", "r.html")):
        command = [command, home / "numbers.flow", tmp_path / "t.csv", "--out", tmp_path / out, "-q", "--strict"]
        refused(run(*command), 1, *words)
    assert os.listdir(tmp_path) == ["t.csv"]


def test_odd_rows_do_not_stop_a_file(home, tmp_path):
    table = numbers()
    odd = table.head(7).with_columns(
        pl.Series("x", [None, np.inf, 1e30, 1e300, *table["x"][4:7]]),
        pl.Series("colour", [*table["colour"][:5], "green", None]),
    )
    odd.write_csv(tmp_path / "t.csv")
    code, _, err = run("score", home / "numbers.flow", tmp_path / "t.csv", "--out", tmp_path / "s.csv", "--top", 7)
    assert code == 0, err
    scores = pl.read_csv(tmp_path / "s.csv")
    lost = scores.filter(pl.col("log_prob") == -np.inf)
    assert set(lost["row"]) >= {1, 2, 4, 6, 7}
    assert scores["log_prob"].is_not_nan().all()
    notes = scores["note"].to_list()
    assert notes[4] is None
    for row, words in (
        (1, "x has a missing value"),
        (6, "label that was not in training: 'green'"),
        (7, "colour has a missing"),
    ):
        assert words in notes[row - 1]
    assert "too far from all training rows" in notes[3]
    assert scores["outlier"].to_list()[:2] == [True, True]


def test_extra_columns_can_be_dropped(home, tmp_path):
    numbers().with_columns(z=1).write_csv(tmp_path / "t.csv")
    assert run("score", home / "numbers.flow", tmp_path / "t.csv", "--drop", "z", "-q")[0] == 0
    refused(run("score", home / "numbers.flow", tmp_path / "t.csv", "--drop", "zz"), 1, "did you mean 'z'")


@pytest.fixture
def bad_paths(tmp_path):
    (tmp_path / "file").write_text("kept")
    (tmp_path / "folder").mkdir()
    return [tmp_path / "absent" / "m.csv", tmp_path / "file" / "m.csv", tmp_path / "folder"]


def test_outputs_are_checked_before_any_work(home, bad_paths, monkeypatch):
    def never(*_, **__):
        raise AssertionError("work was done")

    monkeypatch.setattr(table_task, "read_table", never)
    monkeypatch.setattr(fitted_table, "load", never)
    for path in bad_paths:
        for option in ("--out", "--metrics", "--checkpoint"):
            other = [] if option == "--out" else ["--out", home / "never.flow"]
            refused(run("fit", home / "numbers.csv", option, path, *other), 1, "cannot be written", str(path))
        path = path if path.suffix else path.with_suffix(".csv")
        if path.parent.is_dir():
            path.mkdir()
        refused(run("sample", home / "numbers.flow", "--out", path), 1, "cannot be written", str(path))
    assert (bad_paths[1].parent).read_text() == "kept"
    assert not (home / "never.flow").exists()


def test_score_and_report_refuse_bad_outputs(home, bad_paths):
    for path in bad_paths[:2]:
        refused(run("score", home / "numbers.flow", home / "numbers.csv", "--out", path), 1, "cannot be written")
        refused(run("report", home / "numbers.flow", home / "numbers.csv", "--out", path), 1, "cannot be written")


@pytest.mark.parametrize("command", ["score", "sample", "report", "inspect"])
def test_files_that_are_no_models(home, tmp_path, command):
    whole = (home / "numbers.flow").read_bytes()
    files = {"empty": b"", "foreign": b"a,b\n1,2\n" * 50, "truncated": whole[: 300 if command == "inspect" else -200]}
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    rest = [home / "numbers.csv"] if command in ("score", "report") else []
    out = [] if command == "inspect" else ["--out", tmp_path / ("o.html" if command == "report" else "o.csv")]
    for name in [*files, "absent"]:
        refused(run(command, tmp_path / name, *rest, *out), 1, str(tmp_path / name))
    assert {path.name for path in tmp_path.iterdir()} == set(files)


def test_models_that_are_not_of_tables(home, tmp_path):
    spec = pf.systems.MAF(features=2, layers=1, hidden=(8,))
    pf.save(tmp_path / "m.flow", spec.build(), spec=spec)
    refused(run("score", tmp_path / "m.flow", home / "numbers.csv"), 1, "expected a model of a table")
    code, out, _ = run("inspect", tmp_path / "m.flow")
    assert code == 0
    assert "a model of events" in out


def test_context_for_an_unconditional_flow():
    flow, x, c = pf.build("maf", features=2, layers=1, hidden=(8,)), torch.zeros(8, 2), torch.zeros(8, 1)
    for attempt in (lambda: flow.log_prob(x, c), lambda: pf.fit(flow, x, context=c)):
        with pytest.raises(ContextError, match="expected no context"):
            attempt()


def test_a_loss_that_diverges_leaves_nothing_behind(home, tmp_path):
    code, out, err = run("fit", home / "numbers.csv", "--out", tmp_path / "m.flow", "--lr", 1e30, "--warmup", 0,
                         "--clip", 0, "--flow", "realnvp", "-q")  # fmt: skip
    refused((code, out, err), 1, "lower the learning rate")
    assert list(tmp_path.iterdir()) == []


def test_missing_scikit_learn_costs_the_baselines_only(home, tmp_path, monkeypatch):
    def none(*_, **__):
        raise DataError("the mixture baseline needs scikit-learn: pip install 'pushforward[sklearn]'")

    monkeypatch.setattr(held_out, "fit_baselines", none)
    code, out, _ = run("fit", home / "numbers.csv", "--out", tmp_path / "m.flow", *TINY)
    assert code == 0
    assert "no baselines: the mixture baseline needs scikit-learn" in out


# --- interruptions and accidents ------------------------------------------------------------------------------------------


@pytest.mark.dear  # pictures have the same test, in a third of the time
def test_ctrl_c_saves_and_resume_ends_with_the_same_weights(home, tmp_path):
    command = ["fit", home / "numbers.csv", *TINY[:-2], "--schedule", "constant", "--no-baselines"]
    out = tmp_path / "m.flow"
    options = {"preexec_fn": lambda: signal.signal(signal.SIGINT, signal.default_int_handler)}
    with process(*command, "--out", out, "--epochs", 100_000, "--patience", 0, **options) as long:
        for line in long.stderr:
            if line.startswith("epoch 1/"):
                long.send_signal(signal.SIGINT)
                break
        last = long.stderr.read().splitlines()
        assert long.wait(timeout=60) == 130
    assert len(last) == 1
    assert f"is in {out}; go on with the same command and --resume {out}.checkpoint" in last[0]
    epochs = json.loads(run("inspect", out, "--json")[1])["training"]["epochs"] + 3
    again = [*command, "--patience", 0, "--epochs", epochs]
    refused(run(*again, "--out", out), 2, "interrupted run", "--resume")
    code, _, err = run(*again, "--out", out, "--resume", f"{out}.checkpoint")
    assert code == 0, err
    assert run(*again, "--out", tmp_path / "direct.flow")[0] == 0
    resumed, direct = (pf.load(tmp_path / name).model.state_dict() for name in ("m.flow", "direct.flow"))
    assert all(torch.equal(resumed[name], direct[name]) for name in direct)
    assert {path.name for path in tmp_path.iterdir()} == {"m.flow", "direct.flow"}


def test_ctrl_c_while_scoring_keeps_the_model(home, tmp_path, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(held_out, "row_scores", interrupted)
    code, out, err = run("fit", home / "numbers.csv", "--out", tmp_path / "m.flow", *TINY, "-q")
    assert (code, out) == (130, "")
    assert (
        err
        == f"pushforward: interrupted while scoring; the trained model is in {tmp_path / 'm.flow'}, without a score\n"
    )
    assert run("sample", tmp_path / "m.flow", "-n", 2)[0] == 0
    monkeypatch.setattr(table_task, "read_table", interrupted)
    code, out, err = run("fit", home / "numbers.csv", "--out", tmp_path / "n.flow", *TINY)
    assert (code, out, err.count("\n")) == (130, "", 1)
    assert [path.name for path in tmp_path.iterdir()] == ["m.flow"]


def test_a_checkpoint_of_another_run_is_refused(home, tmp_path):
    fit = ["fit", home / "numbers.csv", *TINY, "-q"]
    assert run(*fit, "--out", tmp_path / "m.flow", "--checkpoint", tmp_path / "c")[0] == 0
    assert (tmp_path / "c").exists()
    refused(run(*fit, "--out", tmp_path / "m.flow", "--resume", tmp_path / "c", "--lr", 0.5), 1, "lr=0.001", "lr=0.5")
    assert (tmp_path / "c").exists()


def test_a_broken_pipe_is_silent(home):
    # Rows enough to fill any pipe, and a reader that leaves; and one that was never there.
    with process("sample", home / "numbers.flow", "-n", 6_000) as leaving:
        leaving.stdout.read(10)
        leaving.stdout.close()
        assert leaving.stderr.read() == ""
        assert leaving.wait(timeout=60) in (0, 141)
    with process("systems") as gone:
        gone.stdout.close()
        assert gone.stderr.read() == ""
        assert gone.wait(timeout=60) == 141


def test_faults_of_our_own_are_one_sentence_too(home, monkeypatch):
    def fault(*_, **__):
        raise RuntimeError("something\n  odd")

    monkeypatch.setattr(fitted_table, "load", fault)
    code, out, err = run("sample", home / "numbers.flow")
    assert (code, out) == (1, "")
    assert err == "pushforward: error: unexpected RuntimeError: something odd; --debug shows where\n"
    with pytest.raises(RuntimeError, match="something"):
        run("sample", home / "numbers.flow", "--debug")
    monkeypatch.setenv("PUSHFORWARD_DEBUG", "1")
    with pytest.raises(RuntimeError, match="something"):
        run("sample", home / "numbers.flow")


def test_fit_says_where_a_density_can_pile_up(tmp_path):
    rng = np.random.default_rng(0)
    spiked = np.where(rng.random(N) < 0.2, 0.0, rng.standard_normal(N))
    path = tmp_path / "spiked.csv"
    pl.DataFrame({"smooth": rng.standard_normal(N), "spiked": spiked}).write_csv(path)
    code, _, err = run("fit", path, "--out", tmp_path / "m.flow", *TINY)
    assert code == 0
    assert "often 0" in err
    assert "note: smooth" not in err
