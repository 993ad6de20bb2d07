import dataclasses
import hashlib
import json
import math
import os
import pickle
import random
import struct

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import pushforward
from pushforward.core import Flow
from pushforward.errors import DataError, FileError, SpecError
from pushforward.serialize import FORMAT, inspect_file, load, save
from pushforward.systems import MAF, NSF
from pushforward.systems.spec import Spec
from pushforward.tables import Split, Table, infer_schema, table_model

N = 40
rng = np.random.default_rng(0)
TABLE = {
    "a": np.where(np.arange(N) % 5 == 0, np.nan, 1.7e9 + rng.normal(size=N) / 3),
    "n": np.arange(N) % 6,
    "colour": np.array(["rød", 'a"b\\', "c", None], dtype=object)[np.arange(N) % 4],
    "b": rng.gamma(2.0, 1.0, N),
}


def table(system="maf", dtype=torch.float32, **fields):
    schema = infer_schema(TABLE, bounds={"b": (0, None)}, split=Split(rows=N, validation=0.25, seed=7, digest="d"))
    torch.manual_seed(0)
    return shaken(table_model(schema, system, label_hidden=(5,), **fields).to(dtype))


def shaken(model):
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model.eval()


def same_state(a, b):
    left, right = a.state_dict(), b.state_dict()
    assert list(left) == list(right)
    for name in left:
        assert left[name].dtype == right[name].dtype
        assert torch.equal(left[name], right[name]), name


def sentence(error, path):
    text = str(error.value)
    assert str(path) in text
    assert "\n" not in text
    assert len(text) < 300 + len(str(path))
    for word in ("Traceback", "Error(", "safetensors_rust", "Exception"):
        assert word not in text


def refused(path, *words):
    with pytest.raises(FileError) as error:
        load(path)
    sentence(error, path)
    for word in words:
        assert word in str(error.value), error.value


# --- round trips -------------------------------------------------------------------------------------------------------

SYSTEMS = [case for cls in Spec.registry.values() for case in list(cls.cases())[:2]]


@pytest.mark.parametrize("spec", SYSTEMS, ids=lambda spec: f"{spec.name}-{getattr(spec, 'context', 0)}")
def test_every_system_comes_back_bit_for_bit(tmp_path, spec):
    for dtype in (torch.float32, torch.float64):
        torch.manual_seed(1)
        model = shaken(spec.build().to(dtype))
        path = tmp_path / "m.flow"
        save(path, model, spec=spec)
        state = torch.get_rng_state()
        saved = load(path)
        assert torch.equal(torch.get_rng_state(), state)
        same_state(model, saved.model)
        assert saved.spec == spec
        assert saved.model.dtype == dtype
        assert not saved.model.training
        assert saved.schema is None
        assert saved.training == {}
        assert saved.version == pushforward.__version__
        x = model.space.random(20, dtype)
        c = None if model.context is None else model.context.random(20, dtype)
        if model.exactness == type(model.exactness).EXACT:
            assert torch.equal(model.log_prob(x, c), saved.model.log_prob(x, c))
    assert os.listdir(tmp_path) == ["m.flow"]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_table_model_comes_back_with_its_schema_and_record(tmp_path, dtype):
    model = table("nsf", dtype, layers=2, hidden=8)
    record = {
        "epochs": 3,
        "history": [{"loss": 1 / 3}, {"loss": math.inf}],
        "best": np.float64(0.1),
        "when": np.arange(2),
    }
    save(tmp_path / "t.flow", model, spec=None, training=record)
    saved = load(tmp_path / "t.flow")
    same_state(model, saved.model)
    assert saved.schema == model.schema
    assert saved.spec == model.spec
    assert saved.model.label_hidden == (5,)
    assert saved.training == record | {"best": 0.1, "when": [0, 1]}
    rows = torch.from_numpy(model.schema.encode(TABLE))
    torch.manual_seed(0)
    expected = model.log_prob(rows)
    torch.manual_seed(0)
    assert torch.equal(saved.model.log_prob(rows), expected)
    torch.manual_seed(0)
    drawn = model.schema.decode(model.sample(30))
    torch.manual_seed(0)
    again = saved.schema.decode(saved.model.sample(30))
    assert isinstance(again, Table)
    assert all(
        np.array_equal(a, b, equal_nan=a.dtype.kind == "f") for a, b in zip(drawn.columns, again.columns, strict=True)
    )
    with pytest.raises(dataclasses.FrozenInstanceError):
        saved.version = "2"


def test_a_table_of_labels_and_a_dictionary_as_spec(tmp_path):
    model = table_model(infer_schema({"c": TABLE["colour"]}))
    save(tmp_path / "t.flow", model, spec=None)
    assert load(tmp_path / "t.flow").spec is None
    flow = MAF(features=2, layers=1, hidden=(4,)).build()
    save(tmp_path / "m.flow", flow, spec={"system": "maf", "features": 2, "layers": 1, "hidden": [4]})
    assert load(tmp_path / "m.flow").spec == MAF(features=2, layers=1, hidden=(4,))


def test_trained_averages_are_kept(tmp_path):
    spec = MAF(features=2, layers=2, hidden=(4,), batch_norm=True)
    model = spec.build().train()
    model(5 + torch.randn(100, 2))
    save(tmp_path / "m.flow", model.eval(), spec=spec)
    same_state(model, load(tmp_path / "m.flow").model)


def test_inspect_reads_the_description_only(tmp_path):
    model = table()
    path = tmp_path / "t.flow"
    save(path, model, spec=None, training={"epochs": 3})
    whole = path.read_bytes()
    found = inspect_file(path)
    assert found["spec"] == json.loads(json.dumps(model.spec.to_dict()))
    assert found["schema"]["split"]["seed"] == 7
    assert found["training"] == {"epochs": 3}
    assert (found["format"], found["version"], found["dtype"]) == (FORMAT, pushforward.__version__, "float32")
    assert found["parameters"] == sum(t.numel() for t in model.state_dict().values())
    length = struct.unpack("<Q", whole[:8])[0]
    path.write_bytes(whole[: 8 + length] + b"\x00" * (len(whole) - 8 - length))
    assert inspect_file(path) == found
    refused(path, "corrupted")


# --- damage ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    path = tmp_path_factory.mktemp("good") / "t.flow"
    model = table(layers=1, hidden=(4,))
    save(path, model, spec=None, training={"epochs": 3})
    return model, path.read_bytes()


def test_every_truncation_is_noticed(tmp_path, good):
    _, whole = good
    path = tmp_path / "t.flow"
    header = 8 + struct.unpack("<Q", whole[:8])[0]
    lengths = {*range(20), *range(header - 10, header + 10), *range(len(whole) - 10, len(whole))}
    lengths |= {*random.Random(0).sample(range(len(whole)), 100)}
    for length in sorted(lengths):
        path.write_bytes(whole[:length])
        refused(path)
    path.write_bytes(whole + b"\x00")
    refused(path)


def attempt(path):
    try:
        return load(path), ""
    except FileError as error:
        return None, str(error)


def test_one_flipped_bit_is_noticed_or_harmless(tmp_path, good):
    model, whole = good
    path = tmp_path / "t.flow"
    draws = random.Random(1)
    header = 8 + struct.unpack("<Q", whole[:8])[0]
    places = [
        *range(64),
        *draws.sample(range(64, header * 8), 300),
        *draws.sample(range(header * 8, len(whole) * 8), 100),
    ]
    noticed = 0
    for place in places:
        changed = bytearray(whole)
        changed[place // 8] ^= 1 << place % 8
        path.write_bytes(changed)
        saved, message = attempt(path)
        if saved is None:
            noticed += 1
            assert str(path) in message
            assert "\n" not in message
            continue
        same_state(model, saved.model)
        assert saved.schema == model.schema
        assert saved.spec == model.spec
        assert saved.training == {"epochs": 3}
    assert noticed > 0.95 * len(places)


def rewritten(path, whole, change, *, sign=True):
    """The file with its description changed, and signed again."""
    length = struct.unpack("<Q", whole[:8])[0]
    header = json.loads(whole[8 : 8 + length])
    document = json.loads(header["__metadata__"]["pushforward"])
    text = change(document)
    text = json.dumps(document) if text is None else text
    header["__metadata__"]["pushforward"] = text
    if sign:
        header["__metadata__"]["sha256"] = hashlib.sha256(text.encode()).hexdigest()
    raw = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(raw)) + raw + whole[8 + length :])


CHANGES = {
    "newer format": (lambda d: d.update(format=FORMAT + 1, version="9.0"), ("9.0", "update pushforward")),
    "unknown system": (lambda d: d["spec"].update(system="warp"), ("unknown system 'warp'",)),
    "unknown field": (lambda d: d["spec"].update(speed=3), ("no argument 'speed'",)),
    "other size": (lambda d: d["spec"].update(hidden=[5]), ("does not fit",)),
    "more layers": (lambda d: d["spec"].update(layers=2), ("lacks the tensor",)),
    "other dtype": (lambda d: d.update(dtype="float64"), ("float32",)),
    "unknown dtype": (lambda d: d.update(dtype="int3"), ("description",)),
    "unknown kind": (lambda d: d.update(model="tree"), ("'tree'",)),
    "other features": (lambda d: d["spec"].update(features=4), ("features=4",)),
    "no schema": (lambda d: d.update(schema=None), ("description",)),
    "broken schema": (lambda d: d["schema"].update(columns=[{}]), ("schema",)),
    "no spec": (lambda d: d.__delitem__("spec"), ("incomplete",)),
    "format is text": (lambda d: d.update(format="1"), ("incomplete",)),
    "other tensors": (lambda d: d.update(tensors="0" * 64), ("corrupted",)),
    "wide": (lambda d: d["spec"].update(hidden=[60_000, 60_000]), ("numbers in the file",)),
    "rather wide": (lambda d: d["spec"].update(hidden=[9999, 9999]), ("far more numbers",)),
    "a billion layers": (lambda d: d["spec"].update(layers=10**9), ("numbers in the file",)),
    "thousands of layers": (lambda d: d["spec"].update(layers=9999), ("far more numbers",)),
    "wide labels": (lambda d: d.update(label_hidden=[9999, 9999]), ("far more numbers",)),
    "a number of a thousand digits": (lambda d: d["spec"].update(layers=10**1000), ("numbers in the file",)),
    "layers is true": (lambda d: d["spec"].update(layers=True), ("to be int, got True",)),
    "labels are a list": (lambda d: d.update(labels=[]), ("incomplete",)),
    "record is text": (lambda d: d.update(training="x"), ("incomplete",)),
    "format is true": (lambda d: d.update(format=True), ("incomplete",)),
    "system is a list": (lambda d: d["spec"].update(system=["maf"]), ("unknown system",)),
    "same columns": (lambda d: d["schema"].update(columns=[d["schema"]["columns"][0]] * 2), ("more than once",)),
    "a bound is text": (lambda d: d["schema"]["columns"][0].update(low="0"), ("finite number", "'low'")),
    "no scale": (lambda d: d["schema"]["columns"][0].update(scale=0), ("scale above 0",)),
    "labels of numbers": (lambda d: d["schema"]["columns"][2].update(storage="int64"), ("numbers",)),
    "a split of text": (lambda d: d["schema"].update(split={"rows": "40"}), ("split",)),
    "columns are a number": (lambda d: d["schema"].update(columns=3), ("with columns",)),
    "not JSON": (lambda d: "{'a'", ("not JSON",)),
    "a spline without end": (
        lambda d: d.update(
            spec={"system": "nsf", "hidden": 4, "bound": math.inf}
            | {name: d["spec"][name] for name in ("features", "context", "layers")}
        ),
        ("finite bound > 0, got inf",),
    ),
    "a list": (lambda d: "[]", ("not JSON",)),
    "deep": (lambda d: "[" * 100_000, ("not JSON",)),
}


@pytest.mark.parametrize("case", CHANGES)
def test_a_foreign_description_is_one_clear_sentence(tmp_path, good, case):
    change, words = CHANGES[case]
    path = tmp_path / "t.flow"
    rewritten(path, good[1], change)
    refused(path, *words)


RECORDS = [
    {"data": 3, "split": [], "scores": "x", "epochs": "three", "seconds": None, "history": 5},
    {
        "data": {"name": "t"},
        "scores": {"rows": "test"},
        "best_validation": "good",
        "versions": {"torch": 2},
        "config": [],
    },
    {"data": {"name": ["t"], "rows": 3, "dropped": 4}, "train_rows": 3, "epochs": 10**400, "created": {}},
]


@pytest.mark.parametrize("record", RECORDS)
def test_records_of_another_form_are_left_out(tmp_path, good, record, capsys):
    from pushforward.cli.main import main

    path, rows = tmp_path / "t.flow", tmp_path / "rows.jsonl"
    rewritten(path, good[1], lambda d: d.update(training=record))
    assert load(path).training == record
    assert main(["inspect", str(path)]) == 0
    assert main(["sample", str(path), "-n", "3", "--out", str(rows)]) == 0
    assert main(["score", str(path), str(rows), "-q"]) == 0
    assert "error" not in capsys.readouterr().err


def test_an_unsigned_change_is_noticed(tmp_path, good):
    path = tmp_path / "t.flow"
    rewritten(path, good[1], lambda d: d["training"].update(epochs=4), sign=False)
    refused(path, "corrupted")
    with pytest.raises(FileError, match="corrupted"):
        inspect_file(path)


def test_files_that_are_something_else(tmp_path):
    refused(tmp_path / "none.flow", "none")
    refused(tmp_path, "directory")
    path = tmp_path / "m.flow"
    path.write_bytes(b"")
    refused(path, "empty")
    for content in (
        b"\x00" * 100,
        b"PK\x03\x04" + b"x" * 200,
        pickle.dumps({"a": torch.zeros(3).numpy()}),
        b"a,b\n1,2\n" * 20,
        struct.pack("<Q", 2**63) + b"{}",
        struct.pack("<Q", 99_999_999) + b"{}",
        struct.pack("<Q", 2) + b"[]",
        struct.pack("<Q", 2) + b"\xff\xfe",
        struct.pack("<Q", 0),
    ):
        path.write_bytes(content)
        refused(path)
    torch.save({"a": torch.zeros(3)}, path)
    refused(path)
    for metadata in (None, {"format": "pt"}, {"pushforward": "{}"}):
        save_file({"a": torch.zeros(3)}, path, metadata=metadata)
        refused(path)
    save_file({"a": torch.zeros(3)}, path)
    refused(path, "not one that pushforward wrote")


# --- saving ------------------------------------------------------------------------------------------------------------


def test_paths_that_cannot_be_written_lose_nothing(tmp_path, monkeypatch):
    spec = MAF(features=2, layers=1, hidden=(4,))
    model = spec.build()
    (tmp_path / "file").write_text("x")
    for path in (tmp_path / "none" / "m.flow", tmp_path, tmp_path / "file" / "m.flow"):
        with pytest.raises(FileError) as error:
            save(path, model, spec=spec)
        sentence(error, path)
    path = tmp_path / "m.flow"
    save(path, model, spec=spec)
    before = path.read_bytes()

    def full(self, content):
        with self.open("wb") as file:
            file.write(content[:100])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.write_bytes", full)
    with pytest.raises(FileError, match="no space left") as error:
        save(path, model, spec=spec)
    sentence(error, path)
    assert path.read_bytes() == before
    assert sorted(os.listdir(tmp_path)) == ["file", "m.flow"]


def test_what_does_not_belong_together_is_refused(tmp_path):
    path = tmp_path / "m.flow"
    flow, model = MAF(features=2, layers=1, hidden=(4,)).build(), table()
    other = infer_schema({"c": TABLE["colour"]})
    for arguments, error, words in (
        ({"model": flow, "spec": MAF(features=3, layers=1, hidden=(4,))}, SpecError, "of shape"),
        ({"model": flow, "spec": NSF(features=2)}, SpecError, "lacks the tensor|unknown tensor"),
        ({"model": flow, "spec": MAF(features=2, layers=1, hidden=(4,)), "schema": other}, DataError, "schema"),
        ({"model": model, "spec": None, "schema": other}, DataError, "other columns"),
        (
            {"model": Flow(flow.chain, NSF(features=2, layers=1).build()), "spec": flow_spec()},
            SpecError,
            "unknown tensor",
        ),
    ):
        with pytest.raises(error, match=words):
            save(path, **arguments)
    assert not path.exists()


def flow_spec():
    return MAF(features=2, layers=1, hidden=(4,))


@pytest.mark.parametrize(
    "spec",
    [
        MAF(features=3, layers=2, hidden=(8,)),
        NSF(features=3, layers=2, hidden=8, bins=3, structure="coupling"),
        NSF(features=1, layers=1, hidden=8, bins=3, structure="coupling"),
    ],
    ids=["made", "coupling", "constant"],
)
def test_files_of_the_first_format_are_read_as_they_were_meant(tmp_path, spec):
    """Their networks gave all parameters of one coordinate together; the same model has its last layers' rows in that order."""
    torch.manual_seed(0)
    model = spec.build()
    for p in model.parameters():
        p.data.add_(0.3 * torch.randn_like(p))
    x = torch.randn(5, spec.features)
    expected = model.log_prob(x)
    for layer in model.chain.layers:
        net = getattr(layer, "net", None)
        if net is not None:
            rows = [net.value] if hasattr(net, "value") else [net.out.weight, net.out.bias]
            n = layer.scalar.n
            for t in rows:
                t.data.copy_(t.data.unflatten(0, (n, -1)).transpose(0, 1).flatten(0, 1))
    path = tmp_path / "old.flow"
    save(path, model, spec=spec)
    rewritten(path, path.read_bytes(), lambda d: d.update(format=1))
    torch.testing.assert_close(load(path).model.log_prob(x), expected)
    save(path, model, spec=spec)
    assert not torch.allclose(load(path).model.log_prob(x), expected) or spec.features == 1
