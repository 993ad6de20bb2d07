"""The local page about a model of pictures: samples, classes, temperatures, and pictures between two samples."""

import base64
from pathlib import Path

import numpy as np
import pytest
import torch
from command_line import refused, run
from served_page import HOSTILE, Client, served

import pushforward as pf
from pushforward.web.explore_pictures import PictureExplorer


def pictures(*, classes=2, system="Glow"):
    """The page's answers for a small model of colour pictures that was not trained."""
    arguments = {"steps": 1, "scales": 1, "hidden": 4}
    spec = getattr(pf.systems, system)(shape=(3, 4, 4), levels=4, classes=classes, **arguments)
    torch.manual_seed(0)
    scores = {"value": 2.5, "error": 0.01, "events": 30, "rows": "test", "symbol": "<="}
    data = {"classes": [HOSTILE, "dog"][:classes]}
    return PictureExplorer(spec.build().eval(), spec, {"scores": scores, "data": data}, "folder/small.flow")


@pytest.fixture(scope="module")
def client():
    with served(pictures()) as url:
        yield Client(url)


def pixels(found):
    shape = found["count"], found["height"], found["width"], found["channels"]
    return np.frombuffer(base64.b64decode(found["bytes"]), dtype=np.uint8).reshape(shape)


def test_the_page_and_its_facts(client):
    status, _, page = client.request("GET", "/")
    assert status == 200
    assert "pictures.js?token=" in page
    for path in ("/pictures.js", "/common.js", "/page.css"):
        assert client.request("GET", path)[0] == 200
        assert client.request("GET", path, token=None)[0] == 403
    assert client.request("GET", "/page.js")[0] == 404
    found = client.ask("summary")
    assert found["lead"] == "Pictures of 4 x 4 with 3 channels (glow)."
    assert found["score"] == "2.500 ± 0.010 bits per dimension of 30 test pictures, an upper bound; lower is better."
    assert found["classes"] == [HOSTILE, "dog"]
    assert found["temperature"] is True


def test_samples_by_class_and_temperature(client):
    found = client.ask("draw", {"n": 6})
    assert found["classes"] == [0, 1, 0, 1, 0, 1]
    assert pixels(found["pictures"]).shape == (6, 4, 4, 3)
    assert set(np.unique(pixels(found["pictures"]))) <= {0, 85, 170, 255}
    assert client.ask("draw", {"n": 6}) == found
    assert client.ask("draw", {"n": 6, "seed": 1}) != found
    assert client.ask("draw", {"n": 3, "class": 1, "temperature": 0})["classes"] == [1, 1, 1]


def test_pictures_between_two_samples(client):
    grid = pixels(client.ask("draw", {"n": 4, "class": 1})["pictures"])
    strip = pixels(client.ask("between", {"a": 0, "b": 3, "steps": 5})["pictures"])
    assert strip.shape == (5, 4, 4, 3)
    assert (strip[[0, -1]] == grid[[0, 3]]).mean() > 0.9
    client.ask("draw", {"n": 2})
    assert "expected two pictures of one class" in client.refused("between", {"a": 0, "b": 1})


@pytest.mark.parametrize(
    ("question", "body", "words"),
    [
        ("draw", {"n": 65}, "expected n to be a whole number from 1 to 64"),
        ("draw", {"class": 2}, "expected class to be a whole number from 0 to 1"),
        ("draw", {"class": "dog"}, "expected class"),
        ("draw", {"temperature": 3}, "expected temperature to be a number from 0 to 2"),
        ("draw", '{"temperature": NaN}', "without NaN"),
        ("draw", {"size": 3}, "got also 'size'"),
        ("between", {"a": 900, "b": 0}, "expected a to be a whole number"),
        ("between", {"a": 0, "b": 0, "steps": 1}, "expected steps"),
    ],
)
def test_bad_questions_are_refused(client, question, body, words):
    client.ask("draw", {"n": 2})
    assert words in client.refused(question, body)


def test_models_without_classes():
    made = pictures(classes=0)
    with served(made) as url:
        client = Client(url)
        assert client.ask("summary")["classes"] == []
        assert "got none; draw some" in client.refused("between", {"a": 0, "b": 1})
        assert client.ask("draw", {"n": 2})["classes"] == []
        assert "expected no class" in client.refused("draw", {"class": 0})
        assert client.ask("between", {"a": 0, "b": 1, "steps": 3})["pictures"]["count"] == 3


def test_integer_models_take_no_temperature():
    made = pictures(classes=0, system="IDF")
    assert made.summary({})["temperature"] is False
    with served(made) as url:
        assert "expected temperature 1" in Client(url).refused("draw", {"temperature": 0.5})
        assert Client(url).ask("draw", {"n": 2})["pictures"]["count"] == 2


def test_the_command_takes_no_second_argument_for_pictures(tmp_path):
    made = pictures()
    pf.save(tmp_path / "small.flow", made.model, spec=made.spec)
    np.save(tmp_path / "x.npy", np.zeros((2, 4, 4, 3), dtype=np.uint8))
    refused(run("explore", tmp_path / "small.flow", tmp_path / "x.npy"), 1, "a model of pictures", "leave it out")


@pytest.mark.dear
@pytest.mark.skipif(not Path("/usr/bin/chromium").exists(), reason="Chromium is not installed")
def test_two_samples_are_chosen_by_keyboard():
    playwright = pytest.importorskip("playwright.sync_api")
    with served(pictures()) as url, playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 400, "height": 900})
        problems = []
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("console", lambda message: problems.append(message.text))
        page.goto(url)
        page.wait_for_selector("#grid button")
        page.get_by_label("Temperature").focus()
        with page.expect_response("**/api/draw"):
            page.keyboard.press("ArrowLeft")
        with page.expect_response("**/api/draw"):
            page.locator("#class").select_option(label=HOSTILE)
        page.wait_for_selector("#grid:not([aria-busy])")
        for name in ("Sample 1,", "Sample 3,"):
            page.get_by_role("button", name=name).focus()
            page.keyboard.press("Enter")
        page.get_by_role("button", name="Show the way").click()
        page.wait_for_selector("#strip canvas")
        assert page.locator("#strip canvas").count() == 9
        assert page.locator("#between-status").inner_text() == "From sample 1 to sample 3."
        assert page.evaluate("document.documentElement.scrollWidth") <= 400
        assert page.title() == "small.flow: explore"
        assert problems == []
        browser.close()
