"""The report: one valid, self-contained, escaped page, whatever the table."""

from __future__ import annotations

import dataclasses
import math
import re
import subprocess
import sys
from html.parser import HTMLParser

import numpy as np
import pytest

from pushforward.errors import DataError, FileError
from pushforward.evaluation import BaselineScore, baselines, mean_and_error, two_sample_score
from pushforward.report import ReportInputs, build_report, sections, write_report
from pushforward.report.marginals import _most_dependent
from pushforward.report.plots import PairColumn, shorten, spearman
from pushforward.report.words import cell, duration, estimate, number, p_value

VOID = {"meta", "img", "br", "hr", "mspace"}
SECTIONS = ["likelihood", "training", "samples", "two-sample", "latent", "least-likely", "made"]
NASTY = '<script>alert("1")</script> & co'


class Page(HTMLParser):
    """Fails on tags that do not match, and collects tags, attributes, ids and text."""

    def __init__(self, html):
        super().__init__()
        self.open, self.tags, self.attributes, self.ids, self.text = [], [], [], [], []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        self.ids += [value for key, value in attrs if key == "id"]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] not in {"style", "script"}:
            self.text.append(data)

    @property
    def words(self):
        return " ".join(" ".join(self.text).split())


def make(columns, kinds, n=60, m=90, **changes):
    """Inputs with columns made by `columns(rng, rows)`."""
    return ReportInputs(**(values_of(columns, kinds, n, m) | changes))


def values_of(columns, kinds, n=60, m=90):
    rng = np.random.default_rng(0)
    return {
        "title": "table.csv",
        "system": "nsf",
        "kinds": kinds,
        "held_out": columns(rng, n),
        "samples": columns(rng, m),
        "log_prob": rng.normal(size=n) - 3,
    }


def plain_columns(rng, rows):
    a = rng.normal(size=rows)
    return {"a": a, "b": a + rng.normal(size=rows), "n": rng.poisson(3, rows), "kind": rng.choice(["x", "y"], rows)}


PLAIN = {"a": "continuous", "b": "continuous", "n": "integer", "kind": "categorical"}


def checked(inputs):
    """The parsed page, once it is known to be one self-contained document with all sections."""
    html = build_report(inputs)
    page = Page(html)
    assert html.lower().startswith("<!doctype html>")
    assert [i for i in page.ids if i in SECTIONS] == SECTIONS
    for key, value in page.attributes:
        if key in {"src", "href", "action", "data"}:
            assert value.startswith("data:image/png;base64,")
        assert not key.startswith("on")
    assert {"script", "link", "iframe", "object"}.isdisjoint(page.tags)
    assert "http" not in re.sub(r"base64,[^\"]*", "", html)
    assert "@import" not in html
    assert "url(" not in html
    assert "nan" not in page.words.replace("nance", "").split()
    assert len(html) < 1_500_000
    return page


@pytest.fixture(scope="module")
def full():
    rng = np.random.default_rng(1)
    history = [
        {"epoch": i + 1, "train": -5 + math.log(i + 1), "validation": -5 + math.log(i + 1) - 0.01 * i, "lr": 1e-3}
        for i in range(30)
    ]
    inputs = make(
        plain_columns,
        PLAIN,
        paper="Durkan and others 2019",
        spec={"system": "nsf", "features": 4, "hidden": (8, 8)},
        training={
            "history": history,
            "best_epoch": 25,
            "epochs": 30,
            "seconds": 75.0,
            "stopped": "patience",
            "train_rows": 1200,
            "validation_rows": 60,
            "config": {"lr": 1e-3, "ema": None},
        },
        latents=rng.normal(size=(60, 3)),
        settings={"seed": 17},
        versions={"torch": "2.13"},
        created="1 May 2025",
        note="These rows & no others.",
        rows=np.arange(100, 160),
        exactness=">=",
        two_sample=two_sample_score(rng.normal(size=(60, 2)), rng.normal(size=(60, 2))),
    )
    scores = baselines(rng.normal(size=(80, 2)), rng.normal(size=(60, 2)))
    scores.append(BaselineScore("mystery", math.nan, math.nan, np.zeros(0), "skipped: for a test"))
    return dataclasses.replace(inputs, baselines=scores)


@pytest.fixture(scope="module")
def page(full):
    return checked(full)


def test_every_part_is_there(page, full):
    words = page.words
    for phrase in (
        "table.csv",
        "Durkan and others 2019",
        "1 May 2025",
        "These rows & no others.",
        "Gaussian mixture",
        "kernel density",
        "skipped: for a test",
        "The model was trained on 1,200 rows, and 60 more decided when to stop",
        "Training took 30 epochs in 1.2 minutes and ended because the validation score stopped improving",
        "Below the diagonal",
        "Frequencies of labels",
        "Anderson–Darling",
        "Schott",
        "area under the ROC curve",
        "The 20 held-out rows",
        "hidden 8, 8",
        "seed 17",
        "torch 2.13",
    ):
        assert phrase in words, phrase
    assert page.tags.count("img") == 6
    assert page.tags.count("math") == 4
    worst = full.rows[np.argmin(full.log_prob)]
    assert f"row nats a b n kind {worst} {number(full.log_prob.min(), 2)}" in words


def test_score_is_the_mean_with_its_error_and_its_bound(page, full):
    mean, error = mean_and_error(full.log_prob)
    assert f"≥ {number(mean, 2)} ± {number(error, 2)}" in page.words
    assert "lower bound" in page.words


def test_the_page_is_reproducible():
    bare = make(lambda rng, rows: {"x": rng.normal(size=rows)}, {"x": "continuous"})
    assert build_report(bare) == build_report(bare)


def verdict_of(log_prob, other):
    score = BaselineScore("Gaussian", *mean_and_error(other), other)
    remarks = sections.verdict(sections.likelihood("nsf", log_prob, [score], "="), None, None)
    return " ".join(remark.text for remark in remarks)


def test_the_verdict_follows_the_paired_difference():
    rng = np.random.default_rng(2)
    common, noise = 10 * rng.normal(size=100), 0.1 * rng.normal(size=100)
    assert "The model beats the best baseline, Gaussian, by 1.0" in verdict_of(common + 1, common + noise)
    assert "use the baseline instead" in verdict_of(common - 1, common + noise)
    assert "the model and the best baseline" in verdict_of(common + noise - noise.mean(), common)
    lost = common.copy()
    lost[3] = -math.inf
    assert "The model gives some held-out rows probability zero" in verdict_of(lost, common)


def test_names_and_labels_are_escaped():
    def columns(rng, rows):
        return {
            NASTY: rng.normal(size=rows),
            "$x_{1": rng.normal(size=rows),
            "label\n$": rng.choice(["<b>bold</b>", "a & b", "$\\frac$"], rows).astype(object),
        }

    kinds = {NASTY: "continuous", "$x_{1": "continuous", "label\n$": "categorical"}
    inputs = make(columns, kinds, title=NASTY, system="<i>", settings={NASTY: NASTY}, spec={"x": ["<", "&"]})
    html = build_report(inputs)
    assert "<script" not in html
    assert "<b>bold" not in html
    page = checked(inputs)
    assert NASTY in page.words
    assert "<b>bold</b>" in page.words


def with_missing(rng, rows):
    x = rng.normal(size=rows)
    x[::3] = math.nan
    labels = rng.choice(np.array(["u", None], dtype=object), rows)
    return {"x": x, "y": np.where(np.isnan(x), 0.0, x) + rng.normal(size=rows), "gone": x * math.nan, "label": labels}


def wide(rng, rows):
    z = rng.normal(size=(rows, 5))
    return {f"a very long column name with number {i}" + "!" * 60: z[:, i % 5] ** (1 + i % 3) for i in range(40)}


def text_only(rng, rows):
    return {"a": rng.choice([f"label {i}" for i in range(40)], rows), "b": rng.choice([True, False], rows)}


CASES = {
    "one column": (lambda rng, rows: {"x": rng.normal(size=rows)}, {"x": "continuous"}),
    "no numbers": (text_only, {"a": "categorical", "b": "categorical"}),
    "constants": (
        lambda rng, rows: {"c": np.full(rows, 3.5), "t": np.full(rows, "x"), "i": np.full(rows, 2)},
        {"c": "constant", "t": "constant", "i": "integer"},
    ),
    "missing": (with_missing, {"x": "continuous", "y": "continuous", "gone": "continuous", "label": "categorical"}),
    "wide": (wide, dict.fromkeys(wide(np.random.default_rng(0), 2), "continuous")),
    "heavy tails": (
        lambda rng, rows: {"x": rng.standard_cauchy(rows) * 1e9, "y": np.exp(5 * rng.normal(size=rows)) * 1e-9},
        {"x": "continuous", "y": "continuous"},
    ),
    "codes": (lambda rng, rows: {"x": rng.choice([0.25, 1.0], rows)}, {"x": "categorical"}),
}


@pytest.mark.parametrize("case", CASES)
def test_unusual_tables(case):
    columns, kinds = CASES[case]
    page = checked(make(columns, kinds, n=50, latents=np.random.default_rng(3).normal(size=(50, 2))))
    for name in kinds:
        assert name in page.words
    if case in {"no numbers", "constants"}:
        assert "no pair plot" in page.words
    if case == "missing":
        assert "missing" in page.words
        assert "34% / 33%" in page.words
    if case == "wide":
        assert "The plot shows the 6 of 40 numeric columns" in page.words
    assert "No baselines were computed" in page.words
    assert "There is no record of the epochs" in page.words
    assert "No classifier was trained" in page.words


def test_few_rows_impossible_rows_and_broken_histories():
    log_prob = np.array([-math.inf, -1.0, -2.0])
    history = [{"epoch": 1, "train": math.nan, "validation": None}, {"epoch": 2, "train": -2.0, "validation": None}]
    inputs = make(
        lambda rng, rows: {"x": rng.normal(size=rows)},
        {"x": "continuous"},
        n=3,
        m=2,
        log_prob=log_prob,
        latents=np.zeros((3, 1)),
        training={"history": history, "best_epoch": 2, "epochs": 2, "train_rows": 5, "validation_rows": 0},
        exactness="~",
    )
    page = checked(inputs)
    assert "−∞" in page.words
    assert "no rows were kept to decide when to stop" in page.words
    assert "differ from the standard normal" in page.words


def test_one_row():
    checked(
        make(lambda rng, rows: {"x": rng.normal(size=rows)}, {"x": "continuous"}, n=1, m=1, latents=np.zeros((1, 1)))
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"log_prob": np.zeros(7)}, "expected 7 values in column 'x' of held_out, got 60"),
        ({"log_prob": np.full(60, math.nan)}, "no NaN"),
        ({"log_prob": np.zeros(0)}, "one log-likelihood for each held-out row"),
        ({"kinds": {"x": "continuous", "y": "continuous"}}, "expected a column 'y' in held_out"),
        ({"kinds": {}}, "at least one column"),
        ({"samples": {"x": np.zeros(0)}}, "at least one row in samples"),
        ({"exactness": "maybe"}, "expected exactness to be one of"),
        ({"rows": np.arange(3)}, "names of 60 held-out rows"),
        ({"baselines": [BaselineScore("g", 0.0, 0.0, np.zeros(3))]}, "on the same 60 rows"),
    ],
)
def test_what_does_not_fit_is_refused(changes, message):
    with pytest.raises(DataError, match=message):
        ReportInputs(**(values_of(lambda rng, rows: {"x": rng.normal(size=rows)}, {"x": "continuous"}) | changes))


def test_written_wholly_or_not_at_all(tmp_path, monkeypatch):
    from pushforward.report import page as module

    monkeypatch.setattr(module, "build_report", lambda inputs: "<p>å</p>")
    path = tmp_path / "report.html"
    write_report(None, path)
    assert path.read_text(encoding="utf-8") == "<p>å</p>"
    with pytest.raises(FileError, match="cannot be written"):
        write_report(None, tmp_path / "nowhere" / "report.html")
    monkeypatch.setattr(module, "build_report", lambda inputs: "\ud800")
    with pytest.raises(UnicodeEncodeError):
        write_report(None, path)
    assert path.read_text(encoding="utf-8") == "<p>å</p>"
    assert list(tmp_path.iterdir()) == [path]


def test_importing_needs_no_extra():
    code = (
        "import sys, pushforward.report, pushforward.evaluation\n"
        "print(sorted({'matplotlib', 'jinja2', 'latex2mathml', 'sklearn', 'scipy', 'PIL'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# Words


def test_numbers_as_text():
    assert number(-1234.5, 1) == "−1,234.5"
    assert number(-0.001, 2) == "0.00"
    assert number(2.0, 2, sign=True) == "+2.00"
    assert number(-math.inf, 2) == "−∞"
    assert number(math.nan, 2) == "–"
    assert number(-2.5e7, 2) == "−2.5e+07"
    from pushforward.evaluation import Estimate

    assert estimate(Estimate(-3.14159, 0.0213)) == "−3.142\u00a0±\u00a00.021"
    assert estimate(Estimate(312.4, 23.0)) == "312\u00a0±\u00a023"
    assert estimate(Estimate(1.5, 0.0), sign=True) == "+1.50\u00a0±\u00a00.00"
    assert estimate(Estimate(1.5, math.nan)) == "1.50"
    assert [p_value(p) for p in (0.5, 0.012, 0.0042, 1e-9)] == ["0.50", "0.01", "0.0042", "<\u00a00.0001"]
    assert [cell(v) for v in (1.0, -0.125, None, math.nan, True, "a\nb", 1e12)] == [
        "1",
        "−0.125",
        "–",
        "–",
        "True",
        "a b",
        "1e+12",
    ]
    assert [duration(s) for s in (3.21, 90, 7200)] == ["3.2 seconds", "1.5 minutes", "2.0 hours"]


def test_shorten_keeps_both_ends():
    assert shorten("short", 10) == "short"
    long = shorten("a name that is far too long to show_7", 20)
    assert len(long) == 20
    assert long.startswith("a name that")
    assert long.endswith("_7")


def test_rank_correlation_against_scipy():
    from scipy import stats

    rng = np.random.default_rng(4)
    x = np.round(rng.normal(size=80), 1)
    y = np.round(x + rng.normal(size=80), 1)
    y[:5] = math.nan
    assert spearman(x, y) == pytest.approx(stats.spearmanr(x[5:], y[5:]).statistic)
    assert math.isnan(spearman(x, np.ones(80)))


def test_dependent_columns_are_chosen_before_copies_and_independent_ones():
    rng = np.random.default_rng(5)
    z = rng.normal(size=(500, 9))
    z[:, 3] = z[:, 7] + 0.7 * rng.normal(size=500)
    z[:, 8] = 2 * z[:, 7]
    columns = [PairColumn(str(i), z[:, i], z[:, i], integer=False) for i in range(9)]
    assert {c.name for c in _most_dependent(columns, 2)} <= {"3", "7", "8"}
    chosen = [c.name for c in _most_dependent(columns, 6)]
    assert "3" in chosen
    assert len({"7", "8"} & set(chosen)) == 1
    assert len(set(chosen)) == 6
