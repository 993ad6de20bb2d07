"""Conditional samples, imputation and partial scores on the command line."""

import polars as pl
import pytest
from command_line import mixed, refused, run


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A folder with an any-order model and a spline flow of the same table."""
    folder = tmp_path_factory.mktemp("imputing")
    mixed(rows=300).write_csv(folder / "table.csv")
    for flow, more in (("any-order", ["--hidden", "32", "--set", "residual=false"]), ("gaussian", [])):
        options = ["--drop", "id", "--epochs", "3", "--no-baselines", "--flow", flow, *more]
        code, _, err = run("fit", folder / "table.csv", *options, "--out", folder / f"{flow}.flow")
        assert code == 0, err
    (folder / "gaps.csv").write_text(
        "age,height,share,city,member,unit,note\n30,,0.4,Oslo,True,cm,a\n,171.5,0.4,,True,cm,b\n,,,,,,c\n"
    )
    return folder


def table(text):
    return pl.read_csv(text.encode())


def test_conditional_samples(home):
    code, out, err = run("sample", home / "any-order.flow", "--where", 'city="Bergen, west"|Oslo, age=30', "-n", 30)
    assert code == 0, err
    found = table(out)
    assert found.height == 30
    assert set(found["city"]) <= {"Bergen, west", "Oslo"}
    assert set(found["age"]) == {30}
    assert "rows are drawn given the values that are fixed" in err
    assert "of these draws meet the other conditions" in err


def test_other_models_draw_by_rejection_and_say_so(home):
    code, out, err = run("sample", home / "gaussian.flow", "--where", "age=30..60", "--where", "city=Oslo", "-n", 20)
    assert code == 0, err
    assert table(out)["age"].is_between(30, 60).all()
    assert "no exact conditionals" in err
    assert "--flow any-order" in err


def test_conditions_outside_of_the_training_table(home):
    code, out, err = run("sample", home / "any-order.flow", "--where", "height=400", "-n", 3)
    assert code == 0, err
    assert table(out)["height"].to_list() == [400.0] * 3
    assert "warning: the condition on height is outside" in err


@pytest.mark.parametrize(
    ("where", "words"),
    [
        ("town=Oslo", "there is no column 'town'"),
        ("city=Rome", "one of the labels"),
        ("age=50..40", "an empty range"),
        ("age=20, age=30", "contradict each other"),
        ("age=old", "a finite number"),
        ("age=1000", "probability zero"),
        ("age=30, height=170, share=.5, city=Oslo, member=True", "a column to draw"),
    ],
)
def test_wrong_conditions_are_sentences(home, where, words):
    refused(run("sample", home / "any-order.flow", "--where", where), 1, words)


def test_imputation(home, tmp_path):
    code, _, err = run("impute", home / "any-order.flow", home / "gaps.csv", "--out", tmp_path / "full.csv")
    assert code == 0, err
    assert "warning: 1 row is without any entry, such as row 3" in err
    assert "filled 9 missing values in 3 of 3 rows" in err
    full, holes = pl.read_csv(tmp_path / "full.csv"), pl.read_csv(home / "gaps.csv")
    assert full.columns == holes.columns
    assert sum(full.null_count().row(0)) == 0
    assert full["note"].to_list() == ["a", "b", "c"]
    assert full["height"][1] == 171.5
    assert full["unit"].to_list() == ["cm"] * 3
    code, out, err = run("impute", home / "any-order.flow", home / "gaps.csv", "--draws", 2, "-q")
    assert code == 0, err
    assert table(out)["draw"].to_list() == [1, 1, 1, 2, 2, 2]
    code, out, err = run("impute", home / "any-order.flow", home / "gaps.csv", "--point")
    assert code == 0, err
    assert 18 <= table(out)["age"][1] <= 90


def test_imputation_refuses(home, tmp_path):
    model, gaps = home / "any-order.flow", home / "gaps.csv"
    refused(run("impute", home / "gaussian.flow", gaps), 1, "fit the table with --flow any-order")
    refused(run("impute", model, gaps, "--point", "--draws", 2), 2, "either --point or --draws")
    refused(run("impute", model, gaps, "--out", tmp_path / "x.doc"), 2, "expected --out")
    for old, new, words in ((",0.4,Oslo", ",much,Oslo", "expected numbers"), ("Oslo", "Rome", "one of the labels")):
        (tmp_path / "bad.csv").write_text(gaps.read_text().replace(old, new, 1))
        refused(run("impute", model, tmp_path / "bad.csv", "-q"), 1, words)


def test_partial_scores(home):
    code, out, err = run("score", home / "any-order.flow", home / "gaps.csv", "--drop", "note", "--explain")
    assert code == 0, err
    found = table(out)
    assert found["log_prob"].is_finite().all()
    assert "'age', 'city' not given" in found["note"][1]
    assert "orders of the columns, which differ by" in err
