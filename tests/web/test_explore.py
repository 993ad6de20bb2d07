"""The local page: who may ask, what it answers, and that every bad question gets one sentence."""

import csv
import io
import json
import signal
import sys
import time

import numpy as np
import pytest
from command_line import process, refused, run
from served_page import HOSTILE, IMAGE, TOKEN, Client, explorer, served, small_table

import pushforward as pf
from pushforward.cli import main
from pushforward.errors import DataError
from pushforward.tables import table_from
from pushforward.tables.conditions import keeping
from pushforward.web.explore import Explorer


@pytest.fixture(scope="module")
def client():
    with served(explorer()) as url:
        yield Client(url)


def test_requests_need_the_token(client):
    for path in (
        "/",
        "/page.js",
        "/common.js",
        "/page.css",
        "/nothing",
        "/?token=",
        "/?token=another",
        "/?token=%C3%A9",
    ):
        status, headers, text = client.request("GET", path, token=None)
        assert status == 403, path
        assert "expected the token" in json.loads(text)["error"]
        assert "default-src 'none'" in headers["content-security-policy"]
    assert client.request("POST", "/api/summary", "{}", token="x")[0] == 403
    assert client.request("GET", f"/?token={TOKEN}", token=None)[0] == 200


def test_requests_need_the_name_of_this_machine(client):
    for host in ("example.org", f"example.org:{client.port}", "127.0.0.1", f"127.0.0.1.nip.io:{client.port}"):
        status, _, text = client.request("GET", f"/?token={TOKEN}", Host=host)
        assert status == 403
        assert "host" in json.loads(text)["error"]
    assert client.request("GET", "/", Host=f"localhost:{client.port}")[0] == 200
    assert client.request("POST", "/api/summary", "{}", Origin="http://example.org")[0] == 403
    assert client.request("POST", "/api/summary", "{}", Origin=f"http://127.0.0.1:{client.port}")[0] == 200


def test_the_page_loads_its_own_files_only(client):
    script = "text/javascript"
    for path, kind in (("/", "text/html"), ("/page.js", script), ("/common.js", script), ("/page.css", "text/css")):
        status, headers, text = client.request("GET", path)
        assert status == 200
        assert headers["content-type"].startswith(kind)
        assert "http" not in text.replace("http://www.w3.org/2000/svg", "").replace("http-equiv", "")
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-store"
        policy = headers["content-security-policy"]
        assert "unsafe" not in policy
        assert "script-src 'self'" in policy
        assert not any(
            way in text for way in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(")
        )
    page = client.request("GET", "/")[2]
    assert f"page.js?token={TOKEN}" in page
    assert "{{" not in page


def test_unknown_addresses_and_methods_are_one_sentence(client):
    for method, path, wanted in (("GET", "/nothing", 404), ("GET", "/api/draw", 405), ("POST", "/", 405)):
        status, _, text = client.request(method, path)
        assert status == wanted
        assert set(json.loads(text)) == {"error"}


def test_summary(client):
    found = client.ask("summary")
    assert found["title"] == "small.flow"
    assert [field["name"] for field in found["fields"]] == ["width", HOSTILE, "day", "clock", "gaps", "label", "area"]
    kinds = {field["name"]: field["kind"] for field in found["fields"]}
    assert kinds == {
        "width": "number", HOSTILE: "number", "day": "date", "clock": "time", "gaps": "number", "label": "label",
        "area": "number",
    }  # fmt: skip
    assert [field["name"] for field in found["fields"] if not field["typed"]] == ["area"]
    assert found["scores"]["lines"][0]["score"] == "-3.25 ± 0.50"
    assert found["scores"]["lines"][1]["name"] == IMAGE
    assert len(found["columns"]) == 8


def test_draws_with_and_without_conditions(client):
    every = client.ask("draw", {"x": "width", "y": "label", "n": 50})
    assert every["samples"] == 50
    assert every["acceptance"] == 1
    assert [len(values["data"]) for values in every["values"]] == [50, 50]
    assert client.ask("draw", {"x": "width", "y": "label", "n": 50}) == every
    given = {"width": {"low": 4.5, "high": None}, HOSTILE: {"low": 2, "high": 6}, "label": {"label": ""}}
    found = client.ask("draw", {"x": "width", "y": HOSTILE, "given": given, "n": 40, "seed": 3})
    assert 0 < found["acceptance"] < 1
    for part in ("data", "samples"):
        widths, counts = (np.array(values[part]) for values in found["values"])
        assert len(widths) > 0
        assert widths.min() >= 4.5
        assert 2 <= counts.min() <= counts.max() <= 6


def test_conditions_on_dates_gaps_and_computed_columns(client):
    days = next(field for field in client.ask("summary")["fields"] if field["name"] == "day")
    middle = round((days["low"] + days["high"]) / 2)
    given = {"day": {"low": middle, "high": None}, "gaps": {"label": None}, "area": {"low": None, "high": 40}}
    found = client.ask("draw", {"x": "day", "y": "gaps", "given": given, "n": 20})
    for part in ("data", "samples"):
        assert min(found["values"][0][part]) >= middle
        assert set(found["values"][1][part]) == {None}
    area = client.ask("draw", {"x": "area", "given": given, "n": 20})["values"][0]["samples"]
    assert max(area) <= 40
    numbers = client.ask("draw", {"x": "gaps", "given": {"gaps": {"low": 2, "high": None}}, "n": 20})
    assert min(numbers["values"][0]["samples"]) >= 2
    clock = next(field for field in client.ask("summary")["fields"] if field["name"] == "clock")
    noon = 12 * 3_600_000_000 / clock["step"]
    found = client.ask("draw", {"x": "clock", "given": {"clock": {"low": noon, "high": None}}, "n": 20})
    assert min(found["values"][0]["samples"]) >= noon


def test_a_typed_row_is_scored_and_explained(client):
    entries = client.ask("row", {"seed": 5})["entries"]
    assert set(entries) == {"width", HOSTILE, "day", "clock", "gaps", "label"}
    found = client.ask("score", {"entries": entries})
    assert np.isfinite(found["log_prob"])
    assert 0 <= found["percentile"] <= 100
    assert [entry["name"] for entry in found["entries"]] == list(entries)
    assert found["percentile"] > 5
    assert found["why"] == "no entry is unusual, given the others"
    far = client.ask("score", {"entries": {**entries, "width": "12"}})
    assert far["log_prob"] < found["log_prob"]
    unusual = {entry["name"] for entry in far["entries"] if entry["unusual"]}
    assert "width" in unusual
    assert "width = 12" in far["why"]
    outside = client.ask("score", {"entries": {**entries, HOSTILE: "100"}})
    assert outside["log_prob"] is None
    assert outside["percentile"] == 0
    assert "is outside 1 to 8" in outside["why"]
    assert client.ask("score", {"entries": {**entries, "gaps": None}})["log_prob"] is not None


def test_least_likely_rows(client):
    found = client.ask("least")
    assert found["sentence"] == "The 12 least likely of all 200 rows."
    scores = [row["log_prob"] for row in found["rows"]]
    assert scores == sorted(scores)
    table = small_table()
    first = found["rows"][0]
    values = {entry["name"]: entry["value"] for entry in first["entries"]}
    assert float(values["width"]) == table["width"][first["row"] - 1]
    assert values["day"] == str(table["day"][first["row"] - 1])


def test_rows_that_cannot_be_scored_are_least_likely():
    made = explorer()
    table = small_table()
    labels = table["label"].copy()
    labels[7] = "unknown"
    odd = table_from({**dict(zip(table.names, table.columns, strict=True)), "label": labels})
    made.rows = made.fitted.read(odd, name="odd.csv")
    row = made.least({})["rows"][0]
    assert row["row"] == 8
    assert row["log_prob"] is None
    assert "has a label that was not in training" in row["why"]
    assert {entry["name"]: entry["value"] for entry in row["entries"]}["label"] == "unknown"


def test_samples_as_a_table(client):
    status, headers, text = client.request("POST", "/api/samples", json.dumps({"n": 30}))
    assert status == 200
    assert headers["content-disposition"] == 'attachment; filename="samples.csv"'
    assert headers["x-rows"] == "30"
    rows = list(csv.DictReader(io.StringIO(text)))
    assert len(rows) == 30
    assert set(rows[0]) == set(small_table().names)
    assert {row["label"] for row in rows} <= {IMAGE, "'=1+1", ""}
    body = {"n": 2000, "quoted": False, "given": {"label": {"label": "=1+1"}}}
    plain = client.request("POST", "/api/samples", json.dumps(body))[2]
    assert {row["label"] for row in csv.DictReader(io.StringIO(plain))} == {"=1+1"}


def test_the_seed_of_the_command_changes_the_draws():
    made, other = explorer(with_table=False), explorer(with_table=False)
    other.seed = 5
    question = {"x": "width", "n": 5}
    assert made.draw({**question, "seed": 5}) == other.draw(question) != made.draw(question)


def test_without_a_table():
    made = explorer(with_table=False)
    assert made.summary({})["table"] == ""
    assert made.draw({"x": "width", "n": 5})["values"][0]["data"] == []
    with pytest.raises(DataError, match="expected a table to find its least likely rows"):
        made.least({})


@pytest.mark.parametrize(
    ("question", "body", "words"),
    [
        ("draw", b"{", "expected a JSON object"),
        ("draw", b"\xff", "expected a JSON object"),
        ("draw", "[" * 100_000, "expected a JSON object"),
        ("draw", '{"x": "\\ud800"}', "expected a JSON object"),
        ("draw", '{"seed": NaN}', "without NaN"),
        ("draw", "[]", "expected a JSON object"),
        ("draw", "", "expected a JSON object"),
        ("draw", " " * 1_100_000, "at most 1,000,000 bytes"),
        ("draw", {"x": "nothing"}, "expected one of the columns"),
        ("draw", {"x": "unit"}, "expected one of the columns"),
        ("draw", {"x": ["width"]}, "expected one of the columns"),
        ("draw", {}, "got None"),
        ("draw", {"x": "width", "z": 1}, "got also 'z'"),
        ("draw", {"x": "width", "n": 10**9}, "expected n to be a whole number from 1 to 5,000"),
        ("draw", {"x": "width", "n": True}, "expected n"),
        ("draw", {"x": "width", "seed": -1}, "expected seed"),
        ("draw", {"x": "width", "given": [1]}, "expected conditions by column"),
        ("draw", {"x": "width", "given": {"nothing": {"label": "a"}}}, "expected one of the columns"),
        ("draw", {"x": "width", "given": {"width": 3}}, "expected low and high as the condition on column 'width'"),
        ("draw", {"x": "width", "given": {"width": {"low": "a", "high": None}}}, "expected a finite number as a bound"),
        ("draw", '{"x": "width", "given": {"width": {"low": 1e999, "high": null}}}', "expected a finite number"),
        ("draw", {"x": "width", "given": {"day": {"low": 1e15, "high": None}}}, "expected a date within its range"),
        ("draw", {"x": "width", "given": {"label": {"label": "other"}}}, "expected one of the labels"),
        ("draw", {"x": "width", "given": {"label": {"label": None}}}, "expected one of the labels"),
        ("draw", {"x": "width", "given": {"width": {"label": None}}}, "expected one of the labels"),
        ("draw", {"x": "width", "given": {"width": {"low": 9e9, "high": None}}}, "some of 98,304 draws meet"),
        ("summary", {"x": 1}, "expected an empty object"),
        ("score", {}, "expected entries by column"),
        ("score", {"entries": {}}, "expected a value in column 'width', got none"),
        ("score", {"entries": {"width": "nan"}}, "expected a finite number in column 'width', got 'nan'"),
        ("score", {"entries": {"width": "1e999"}}, "expected a finite number"),
        ("score", {"entries": {"width": 1}}, "expected a text in column 'width'"),
        ("score", {"entries": {"width": "1" * 5000}}, "expected a text"),
        ("score", {"entries": {"area": "1"}}, "got also 'area'"),
        ("score", {"entries": {"width": "1", HOSTILE: "1", "day": "31.01.2024"}}, "expected a date such as 2024-01-31"),
        ("samples", {"n": 10**7}, "expected n to be a whole number from 1 to 100,000"),
        ("samples", {"n": "many"}, "expected n"),
    ],
)
def test_bad_questions_are_refused(client, question, body, words):
    assert words in client.refused(question, body)


def test_unexpected_errors_do_not_show_a_traceback():
    made = explorer(with_table=False)
    made.row = lambda body: 1 / 0
    with served(made) as url:
        assert Client(url).refused("row", {}, 500) == "the answer could not be computed: unexpected ZeroDivisionError"


def test_given_labels_cost_no_draws_in_an_any_order_model():
    rng = np.random.default_rng(0)
    table = {"kind": np.array(["rare"] * 6 + ["common"] * 194), "size": rng.standard_normal(200)}
    options = {"hidden": (8,), "residual": False, "max_steps": 5, "baselines": False}
    explorer = Explorer(pf.Table(table).fit("any-order", **options))
    found = explorer.draw({"x": "size", "given": {"kind": {"label": "rare"}}, "n": 30})
    assert (found["samples"], found["acceptance"], found["exact"]) == (30, 1.0, True)
    ranged = explorer.draw(
        {"x": "size", "given": {"kind": {"label": "rare"}, "size": {"low": 0, "high": None}}, "n": 30}
    )
    assert 0.1 < ranged["acceptance"] < 0.9


def test_conditions_on_columns_with_gaps():
    table = table_from(
        {
            "whole": np.array([1, None, 3], dtype=object),
            "text": np.array(["None", None, "a"], dtype=object),
            "day": np.array(["2024-01-01", "NaT", "2024-01-03"], dtype="datetime64[D]"),
        }
    )
    assert keeping(table, {"whole": (2, None)}).tolist() == [False, False, True]
    assert keeping(table, {"whole": None}).tolist() == [False, True, False]
    assert keeping(table, {"whole": (None, None)}).all()
    assert keeping(table, {"text": "None"}).tolist() == [True, False, False]
    assert keeping(table, {"text": None}).tolist() == [False, True, False]
    assert keeping(table, {"day": (None, np.datetime64("2024-01-02"))}).tolist() == [True, False, False]
    with pytest.raises(DataError, match="with bounds like its values"):
        keeping(table, {"text": (1, 2)})


@pytest.fixture(scope="module")
def model_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("explore") / "small.flow"
    explorer(with_table=False).fitted.save(path)
    return path


def test_refusals_of_the_command(model_file, monkeypatch, tmp_path):
    refused(run("explore", tmp_path / "none.flow"), 1, "none.flow")
    refused(run("explore", model_file, "--port", "0"), 2, "port")
    refused(run("explore", model_file, tmp_path / "none.csv"), 1, "none.csv")
    with served(explorer(with_table=False)) as url:
        refused(run("explore", model_file, "--port", Client(url).port), 1, "expected a free port", "--port")
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    monkeypatch.delitem(sys.modules, "pushforward.web.server")
    refused(run("explore", model_file), 1, "pip install 'pushforward[web]'")


@pytest.mark.slow
def test_ctrl_c_ends_the_command(model_file):
    running = process("explore", model_file)
    url = running.stdout.readline().strip()
    assert url.startswith("http://127.0.0.1:")
    token = url.partition("token=")[2]
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            assert Client(url).request("POST", "/api/summary", "{}", token=token)[0] == 200
            break
        except ConnectionError:
            time.sleep(0.05)
    running.send_signal(signal.SIGINT)
    out, err = running.communicate(timeout=20)
    assert running.returncode == 0
    assert out == ""
    assert "Traceback" not in err


def test_help_names_the_options(capsys):
    assert main(["explore", "--help"]) == 0
    text = capsys.readouterr().out
    assert all(option in text for option in ("--port", "--browser", "--device", "--missing"))
