"""The local page in a real browser: conditions, plots, a typed row, a download, hostile names."""

import csv
from pathlib import Path

import pytest
from served_page import HOSTILE, explorer, served

CHROMIUM = Path("/usr/bin/chromium")
pytestmark = [pytest.mark.dear, pytest.mark.skipif(not CHROMIUM.exists(), reason="Chromium is not installed")]


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as started:
        found = started.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        yield found
        found.close()


@pytest.fixture(scope="module")
def url():
    with served(explorer()) as found:
        yield found


@pytest.fixture
def page(browser, url):
    context = browser.new_context(viewport={"width": 1300, "height": 900}, accept_downloads=True)
    found = context.new_page()
    found.problems = []
    found.on("pageerror", lambda error: found.problems.append(str(error)))
    found.on("console", lambda message: found.problems.append(message.text))
    found.on(
        "request",
        lambda request: None if request.url.startswith(url.split("?")[0]) else found.problems.append(request.url),
    )
    found.goto(url)
    found.wait_for_selector("#least-table table")
    yield found
    assert [text for text in found.problems if not text.startswith(("blob:", "data:", "Failed to load resource"))] == []
    context.close()


def redrawn(page, action):
    """The text below the plot after an action that asks for new samples."""
    with page.expect_response("**/api/draw"):
        action()
    page.wait_for_selector("#plot:not([aria-busy])")
    return page.locator("#acceptance").inner_text()


def test_conditions_are_set_by_keyboard_and_by_choice(page):
    assert page.locator("#acceptance").inner_text() == "1,000 samples."
    slider = page.get_by_label("width from")
    slider.focus()
    for _ in range(60):
        page.keyboard.press("ArrowRight", delay=0)
    page.wait_for_selector("#acceptance:has-text('Acceptance')")
    assert float(slider.get_attribute("aria-valuetext")) > 3
    text = redrawn(page, lambda: page.get_by_label("Condition on label").select_option("0"))
    assert "of all draws keep the conditions" in text
    assert redrawn(page, lambda: page.get_by_role("button", name="Clear the conditions").click()) == "1,000 samples."
    before = page.locator("#plot path.samples").first.get_attribute("d")
    redrawn(page, lambda: page.get_by_role("button", name="Draw again").click())
    assert page.locator("#plot path.samples").first.get_attribute("d") != before


def test_every_pair_of_columns_has_a_plot(page):
    names = page.locator("#x option").all_inner_texts()
    assert HOSTILE in names
    for x, y, kind in (
        ("width", "area", "Scatter plot"),
        ("day", "clock", "Scatter plot"),
        ("width", "label", "Intervals"),
        ("label", HOSTILE, "Intervals"),
        ("label", "label", "Bars"),
        ("label", "(none)", "Bars"),
        ("gaps", "(none)", "Histogram"),
        ("day", "(none)", "Histogram"),
    ):
        page.locator("#x").select_option(label=x)
        redrawn(
            page,
            lambda y=y: page.locator("#y").select_option(label=y) if page.locator("#y").input_value() != y else None,
        )
        svg = page.locator("#plot svg")
        assert svg.get_attribute("aria-label").startswith(kind)
        assert "NaN" not in svg.inner_html()
        page.get_by_label("data", exact=True).uncheck()
        assert page.locator("#plot .data").count() == 0
        page.get_by_label("data", exact=True).check()


def test_a_typed_row_is_scored(page):
    form = page.locator("#row-form")
    form.get_by_label("width").fill("11.5")
    form.get_by_label("day").fill("2024-03-05")
    form.get_by_label("width").press("Enter")
    page.wait_for_selector("#row-result table")
    assert "width = 11.5" in page.locator("#row-result").inner_text()
    assert page.locator("#row-result td.odd").count() >= 2
    form.get_by_label("width").fill("wide")
    page.get_by_role("button", name="Score the row").click()
    page.wait_for_selector("#row-result .problem")
    assert page.locator("#row-result").inner_text() == "Expected a finite number in column 'width', got 'wide'."


def test_samples_are_downloaded(page, tmp_path):
    redrawn(page, lambda: page.get_by_label("Condition on label").select_option("0"))
    page.get_by_label("Number of rows").fill("25")
    with page.expect_download() as waiting:
        page.get_by_role("button", name="Download CSV").click()
    assert waiting.value.suggested_filename == "samples.csv"
    waiting.value.save_as(tmp_path / "samples.csv")
    with open(tmp_path / "samples.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 25
    assert {row["label"] for row in rows} == {""}
    assert page.locator("#download-status").inner_text() == "25 rows in samples.csv."
    page.get_by_label("Number of rows").fill("999999999")
    page.get_by_role("button", name="Download CSV").click()
    page.wait_for_selector("#download-status.problem")


def test_names_and_labels_are_text(page):
    assert page.title() == "small.flow: explore"
    assert page.locator("script:not([src]), img").count() == 0
    assert page.get_by_text(HOSTILE, exact=True).count() > 2


@pytest.mark.parametrize("width", [1300, 400])
def test_nothing_is_cut_off_and_everything_has_a_name(page, width):
    page.set_viewport_size({"width": width, "height": 900})
    page.wait_for_timeout(250)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    nameless = "[...document.querySelectorAll('input, select')].filter(c => !c.labels.length && !c.ariaLabel).length"
    assert page.evaluate(nameless) == 0
    for _ in range(12):
        page.keyboard.press("Tab")
        outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert outline == "solid"
