"""Classes of rows: Bayes' rule over labels, the table with one Gaussian for each class, and the command `classify`."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from command_line import run

from pushforward import laws
from pushforward.core import Real
from pushforward.distributions import ClassGaussians
from pushforward.errors import DataError, SpecError
from pushforward.laws.cases import Case
from pushforward.tables import infer_schema, table_model
from pushforward.tables.class_table import ClassesGivenFacts, ClassTable, PartOfContext
from pushforward.tables.classification import class_probabilities, column_of_classes
from pushforward.transforms import Affine, Elementwise

rng = np.random.default_rng(0)
N = 240
SIDE = rng.integers(0, 2, N)
KIND = np.array(["left", "right"], dtype=object)[SIDE]
A = rng.normal(4.0 * SIDE, 1, N)
B = rng.normal(0, 1, N)
CITY = np.array(["x", "y"], dtype=object)[(rng.random(N) < 0.2 + 0.6 * SIDE).astype(int)]
SOME = KIND.copy()
SOME[rng.random(N) < 0.5] = None


def model_of(schema, **fields):
    torch.manual_seed(0)
    model = (
        table_model(schema, "flowgmm", label="kind", layers=2, hidden=(8,), label_hidden=(8,), **fields).double().eval()
    )
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.3 * torch.randn_like(p))
    return model


def test_a_row_without_a_class_has_the_density_of_all_classes():
    schema = infer_schema({"a": A, "b": B, "city": CITY, "kind": SOME})
    model = model_of(schema)
    assert isinstance(model, ClassTable)
    rows = torch.from_numpy(schema.encode({"a": A, "b": B, "city": CITY, "kind": SOME}))
    at = schema.names.index("kind")
    parts = []
    for label in (0.0, 1.0, np.nan):
        given = rows.clone()
        given[:, at] = label
        with torch.no_grad():
            parts.append(model.log_prob(given))
    torch.testing.assert_close(torch.logaddexp(parts[0], parts[1]), parts[2])
    expected = torch.stack(parts[:2], 1).softmax(1).numpy()
    np.testing.assert_allclose(class_probabilities(model, rows.numpy(), at), expected, atol=1e-10)
    torch.manual_seed(0)
    drawn = model.sample(4000)
    share = np.exp(np.logaddexp(*(part.numpy() for part in parts[:2])))
    assert np.isfinite(share).all()
    assert set(drawn[:, at].unique().tolist()) == {0.0, 1.0}
    with torch.no_grad():
        torch.testing.assert_close(model.sample_and_log_prob(5)[1].shape, torch.Size([5]))


def test_mass_is_one_over_classes_facts_and_a_number():
    schema = infer_schema({"a": A, "city": CITY, "kind": KIND}, bounds={"a": (-8, 12)})
    model = model_of(schema, scalar="spline", bins=3)
    grid = -8 + 20 * (np.arange(400) + 0.5) / 400
    total = 0.0
    for city in (0, 1):
        for kind in (0, 1):
            rows = np.stack([grid, np.full(400, city), np.full(400, kind)], 1)
            with torch.no_grad():
                total += float(model.log_prob(torch.from_numpy(rows)).exp().sum()) * 20 / 400
    assert total == pytest.approx(1, abs=1e-3)
    torch.manual_seed(1)
    drawn = model.sample(20_000).numpy()
    rows = np.stack([grid, np.ones(400), np.zeros(400)], 1)
    with torch.no_grad():
        mass = float(model.log_prob(torch.from_numpy(rows)).exp().sum()) * 20 / 400
    assert ((drawn[:, 1] == 1) & (drawn[:, 2] == 0)).mean() == pytest.approx(mass, abs=0.015)


def test_layers_of_a_class_table_keep_the_laws():
    laws.check(
        Case("part", lambda: PartOfContext(Elementwise(Affine(), Real(2), context=2, hidden=(8,)), 2, 5), constant=True)
    )
    laws.check(Case("classes", lambda: ClassesGivenFacts(ClassGaussians(Real(1), 2), 3), exempt=SHARED))


SHARED = {
    "total_mass": "the density includes the probability of a known class",
    "samples_follow_density": "the density includes the probability of a known class",
}


def test_any_model_of_a_table_classifies_by_bayes():
    schema = infer_schema({"a": A, "b": B, "kind": KIND})
    torch.manual_seed(0)
    model = table_model(schema, "gaussian", label_hidden=(4,)).eval()
    rows = schema.encode({"a": A, "b": B, "kind": KIND})
    at = column_of_classes(model, "kind")
    found = class_probabilities(model, rows, at)
    logs = []
    for label in (0.0, 1.0):
        given = torch.from_numpy(rows).clone()
        given[:, at] = label
        with torch.no_grad():
            logs.append(model.log_prob(given))
    np.testing.assert_allclose(found, torch.stack(logs, 1).softmax(1).numpy(), atol=1e-12)
    with pytest.raises(DataError, match="expected --column"):
        column_of_classes(model, None)
    with pytest.raises(DataError, match="columns of labels 'kind', got 'a'"):
        column_of_classes(model, "a")


@pytest.mark.parametrize(
    ("label", "message"),
    [("", "give it with --label"), ("species", "got 'species'"), ("a", "declare it with --kind a=categorical")],
)
def test_wrong_columns_of_classes_get_one_sentence(label, message):
    schema = infer_schema({"a": A, "b": B, "kind": KIND})
    with pytest.raises(DataError, match=message):
        table_model(schema, "flowgmm", label=label)
    with pytest.raises(DataError, match="columns of numbers"):
        table_model(infer_schema({"city": CITY, "kind": KIND}), "flowgmm", label="kind")
    with pytest.raises(SpecError, match="no argument 'classes'"):
        table_model(schema, "flowgmm", label="kind", classes=3)


def test_fit_and_classify(tmp_path):
    path, model, out = tmp_path / "t.csv", tmp_path / "m.flow", tmp_path / "p.csv"
    lines = [f"{a:.3f},{b:.3f},{city},{kind or ''}" for a, b, city, kind in zip(A, B, CITY, SOME, strict=True)]
    path.write_text("\n".join(["a,b,city,kind", *lines]) + "\n")
    options = ("--epochs", "15", "--no-baselines", "--set", "layers=2", "--set", "hidden=16", "--lr", "5e-3")
    code, _, err = run("fit", path, "--label", "kind", "--flow", "flowgmm", *options, "--out", model)
    assert code == 0, err
    test = tmp_path / "new.csv"
    test.write_text("a,b,city\n-1,0,x\n5,0,y\n5,,y\n")
    code, _, err = run("classify", model, test, "--out", out)
    assert code == 0, err
    assert "1 row has an entry that cannot be used, and no prediction" in err
    rows = out.read_text().splitlines()
    assert rows[0] == "row,kind,p(left),p(right)"
    assert [row.split(",")[1] for row in rows[1:]] == ["left", "right", ""]
    code, printed, err = run("classify", model, path)
    assert code == 0, err
    assert "labels are predicted" in err
    assert len(printed.splitlines()) == N + 1
    # An unknown label is no prediction's fault: the row is classified, and not counted.
    test.write_text("a,b,city,kind\n-1,0,x,left\n5,0,y,middle\n")
    code, printed, err = run("classify", model, test)
    assert code == 0, err
    assert "100.0% of 1 labels are predicted" in err
    assert [row.split(",")[1] for row in printed.splitlines()[1:]] == ["left", "right"]
    code, _, err = run("classify", model, path, "--column", "age")
    assert code in (1, 2)
    assert "columns of labels" in err
    code, _, err = run("fit", path, "--label", "kind", "--flow", "maf")
    assert code in (1, 2)
    assert "--label" in err
