"""Numbers and sentences of each section of the report, without HTML."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import DataError
from ..evaluation import (
    BaselineScore,
    Estimate,
    LatentNormality,
    TwoSampleScore,
    latent_normality,
    mean_and_error,
    paired_difference,
)
from . import plots
from .plots import Picture
from .words import between, duration, estimate, number, p_value, plain

Array = np.ndarray[Any, np.dtype[Any]]

EXACTNESS = {
    "=": ("=", "The log-likelihood is exact."),
    ">=": ("≥", "The log-likelihood is at least the number reported, which is a lower bound."),
    "<=": ("≤", "The log-likelihood is at most the number reported, which is an upper bound."),
    "~": ("≈", "The log-likelihood is estimated: the number reported varies from one evaluation to the next."),
}
QQ_DIMENSIONS = 12


@dataclass(frozen=True)
class Likelihood:
    """Held-out score of the model beside the baselines.

    Args:
        score: Mean log-likelihood of the model and its standard error, nats per row.
        table: Rows of the table of scores.
        skipped: Baselines that were not computed.
        picture: Plot of the scores.
        best: Name of the best baseline; None without any.
        gain: Mean difference, row by row, of the model to the best baseline.
        symbol: Relation of log p(x) to the numbers: "=", ">=", "<=" or "~".
    """

    score: Estimate
    table: list[dict[str, Any]]
    skipped: list[BaselineScore]
    picture: Picture
    best: str | None
    gain: Estimate | None
    symbol: str


def likelihood(system: str, log_prob: Array, scores: Sequence[BaselineScore], exactness: str) -> Likelihood:
    """Return held-out log-likelihoods with standard errors, and the difference of the model to each baseline, row by row."""
    own = mean_and_error(log_prob)
    done = [score for score in scores if not score.skipped]
    table = [{"name": system, "score": estimate(own), "gain": "", "note": "this model", "own": True}]
    for score in done:
        gain = paired_difference(log_prob, score.per_row)
        row = {"name": score.name, "score": estimate(Estimate(score.mean, score.standard_error)), "own": False}
        table.append({**row, "gain": estimate(gain, sign=True), "note": score.note})
    best = max(done, key=lambda score: score.mean, default=None)
    picture = plots.score_plot(
        [system, *(score.name for score in done)],
        np.array([own.mean, *(score.mean for score in done)]),
        np.array([own.standard_error, *(score.standard_error for score in done)]),
    )
    return Likelihood(
        score=own,
        table=table,
        skipped=[score for score in scores if score.skipped],
        picture=picture,
        best=best.name if best else None,
        gain=paired_difference(log_prob, best.per_row) if best else None,
        symbol=exactness,
    )


@dataclass(frozen=True)
class Remark:
    """Sentence of the verdict; `tone` is "good", "mixed" or "bad"."""

    tone: str
    text: str


def verdict(scored: Likelihood, classifier: TwoSampleScore | None, latent_view: Latent | None) -> list[Remark]:
    """Return the conclusions of the page: about the baselines, about the samples, and about the latent codes."""
    remarks = []
    if scored.best is not None and scored.gain is not None:
        remarks.append(_against(scored.best, scored.gain))
    if classifier is not None:
        remarks.append(_apart(classifier))
    if latent_view is not None:
        remarks.append(Remark(latent_view.tone, latent_view.verdict))
    return remarks


def _against(best: str, gain: Estimate) -> Remark:
    if math.isnan(gain.standard_error):
        if gain.mean == math.inf:
            return Remark(
                "good", f"Every baseline, even {best}, gives some held-out rows probability zero; the model does not."
            )
        if gain.mean == -math.inf:
            return Remark("bad", "The model gives some held-out rows probability zero, and the best baseline does not.")
        return Remark(
            "mixed",
            "The model cannot be compared with the best baseline, "
            f"{best}: there are too few rows, or both give some rows probability zero.",
        )
    size = f"{between(number(abs(gain.mean), 2), number(gain.standard_error, 2))} nats per row"
    if gain.mean > 2 * gain.standard_error:
        return Remark("good", f"The model beats the best baseline, {best}, by {size} on held-out rows.")
    if gain.mean < -2 * gain.standard_error:
        return Remark(
            "bad", f"The best baseline, {best}, beats the model by {size} on held-out rows: use the baseline instead."
        )
    side = "above" if gain.mean >= 0 else "below"
    return Remark(
        "mixed", f"On held-out rows the model and the best baseline, {best}, are about equal: {size} {side} it."
    )


def _apart(score: TwoSampleScore) -> Remark:
    figure = f"accuracy {between(number(score.accuracy, 2), number(score.accuracy_error, 2))}, where 0.5 is guessing"
    if score.p_value >= 0.05:
        return Remark("good", f"A classifier cannot tell samples of the model from held-out rows ({figure}).")
    much = "" if score.accuracy >= 0.6 else ", though only a little better than chance"
    return Remark("bad", f"A classifier can tell samples of the model from held-out rows{much} ({figure}).")


def key_figures(scored: Likelihood, classifier: TwoSampleScore | None, rows: int) -> list[dict[str, str]]:
    """Return the few numbers at the top of the page, each with its standard error and a label."""
    relation = EXACTNESS[scored.symbol][0]
    found = [
        {
            "value": ("" if relation == "=" else f"{relation} ") + number(scored.score.mean, 2),
            "error": number(scored.score.standard_error, 2),
            "label": f"nats per row, mean over {rows:,} held-out rows",
        }
    ]
    if scored.gain is not None:
        gain = {"value": number(scored.gain.mean, 2, sign=True), "error": number(scored.gain.standard_error, 2)}
        found.append({**gain, "label": f"nats per row gained over the best baseline, {scored.best}"})
    if classifier is not None:
        hits = {"value": number(classifier.accuracy, 2), "error": number(classifier.accuracy_error, 2)}
        found.append({**hits, "label": "accuracy of a classifier that tells samples from data; 0.5 is guessing"})
    return found


@dataclass(frozen=True)
class TrainingRecord:
    """Training curve, with its caption and the sentence below it."""

    picture: Picture | None
    caption: str
    sentence: str


def training_record(record: Mapping[str, Any], noun: str = "row") -> TrainingRecord:
    """Return the training curve from the `history` of a record, and sentences about the length and the end of training.

    Args:
        record: Record of the training.
        noun: Name of one event, such as "row" or "picture".
    """
    likelihood = record.get("likelihood", True)
    picture = plots.training_plot(
        record.get("history") or [], record.get("best_epoch"), f"nats per {noun}" if likelihood else "minus the loss"
    )
    caption = "Mean log-likelihood by epoch" if likelihood else "Minus the loss, which is not a likelihood, by epoch"
    ends = {
        "converged": "all epochs were done",
        "patience": "the validation score stopped improving",
        "limit": "the limit of steps or time was reached",
        "callback": "a callback stopped it",
        "interrupted": "it was interrupted",
        "nonfinite": "the loss was no longer finite",
    }
    parts = []
    if record.get("train_rows"):
        held = record.get("validation_rows") or 0
        chosen = (
            f", and {held:,} more decided when to stop" if held else f"; no {noun}s were kept to decide when to stop"
        )
        parts.append(f"The model was trained on {record['train_rows']:,} {noun}s{chosen}.")
    if record.get("epochs") is not None:
        seconds = record.get("seconds")
        took = f" in {duration(seconds)}" if seconds is not None else ""
        ended = ends.get(str(record.get("stopped")), "")
        parts.append(
            f"Training took {record['epochs']:,} epochs{took}" + (f" and ended because {ended}." if ended else ".")
        )
    return TrainingRecord(picture, caption, " ".join(parts))


@dataclass(frozen=True)
class Latent:
    """Tests of the latent codes in words, and their picture.

    Args:
        result: Results of the tests.
        picture: QQ plots.
        shown: Number of dimensions in the plots.
        rejected: Number of dimensions whose test rejects at the 5 % level.
        tests: Rows of the table of tests.
        tone: "good", "mixed" or "bad".
        verdict: Conclusion, as a sentence.
    """

    result: LatentNormality
    picture: Picture
    shown: int
    rejected: int
    tests: list[dict[str, str]]
    tone: str
    verdict: str


def latent(latents: Array | None) -> Latent | None:
    """Test that latent codes are standard normal, and plot the dimensions that are farthest from it.

    The result is None if there are no codes, or fewer than two rows.
    """
    if latents is None or np.asarray(latents).ndim != 2 or np.asarray(latents).shape[1] == 0 or len(latents) < 2:
        return None
    result = latent_normality(latents)
    worst = np.sort(np.argsort(-result.ks, kind="stable")[:QQ_DIMENSIONS])
    rejected = int((result.adjusted < 0.05).sum())
    d = result.dimensions
    tests = [
        {
            "name": "each dimension: Anderson–Darling, corrected by Holm",
            "size": f"largest KS distance {number(float(result.ks.max()), 3)}",
            "p": p_value(float(result.adjusted.min())),
            "reads": f"dimensions that differ from normal, at 5\u00a0%: {rejected} of {d}",
        },
        {
            "name": "all together: squared radius against χ², Anderson–Darling",
            "size": f"mean squared radius {number(result.mean_squared_radius, 2)} per dimension (1 expected)",
            "p": p_value(result.radius.p_value),
            "reads": _radius_reads(result),
        },
    ]
    if result.correlation is not None:
        tests.append(
            {
                "name": "all together: correlations are zero, Schott",
                "size": f"largest |r| {number(result.largest_correlation, 2)}",
                "p": p_value(result.correlation.p_value),
                "reads": "no correlation found" if result.correlation.p_value >= 0.05 else "dimensions are correlated",
            }
        )
    smallest = min(float(result.adjusted.min()), result.joint_p_value)
    if smallest >= 0.05:
        tone = "good"
        text = (
            f"The latent codes of {result.rows:,} held-out rows are compatible with the standard normal distribution."
        )
    else:
        parts = [f"{rejected} of {d} dimensions"] if rejected else []
        parts += ["the joint test"] if result.joint_p_value < 0.05 else []
        small = float(result.ks.max()) < 0.1 and abs(result.mean_squared_radius - 1) < 0.1
        tone = "mixed" if small else "bad"
        text = f"The latent codes differ from the standard normal distribution ({' and '.join(parts)} at 5\u00a0%)"
        text += ", but not by much." if small else "."
    return Latent(result, plots.qq_plot(result, list(worst)), len(worst), rejected, tests, tone, text)


def _radius_reads(result: LatentNormality) -> str:
    if result.radius.p_value >= 0.05:
        return "the spread is right"
    if result.mean_squared_radius > 1.05:
        return "the codes spread too widely: the model underestimates the spread of the data"
    if result.mean_squared_radius < 0.95:
        return "the codes spread too little: the model overestimates the spread of the data"
    return "the spread is right on average, but not its distribution"


def two_sample(score: TwoSampleScore | None) -> dict[str, str] | None:
    """Return the score of the classifier as texts; None without a score."""
    if score is None:
        return None
    return {
        "accuracy": between(number(score.accuracy, 3), number(score.accuracy_error, 3)),
        "auc": between(number(score.auc, 3), number(score.auc_error, 3)),
        "p": p_value(score.p_value) if score.p_value < 1e-4 else f"=\u00a0{p_value(score.p_value)}",
        "rows": f"{score.rows:,}",
        "fitted": f"{score.fitted_rows:,}",
        "classifier": score.classifier,
    }


def how_made(
    spec: Mapping[str, Any], training: Mapping[str, Any], settings: Mapping[str, Any], versions: Mapping[str, str]
) -> list[tuple[str, list[tuple[str, str]]]]:
    """Return lists of names and values with titles: system, training, other settings, versions; empty lists are left out."""
    record = {k: v for k, v in training.items() if k not in {"history", "config"} and not isinstance(v, Mapping)}
    config = training.get("config") or {}
    parts = [
        ("System", spec),
        ("Training record", record),
        ("Training settings", config),
        ("Data and options", settings),
        ("Versions", versions),
    ]
    return [(title, [(str(k), plain(v)) for k, v in values.items()]) for title, values in parts if values]


def formulas() -> dict[str, str]:
    """Return the formulas of the page on a table as MathML."""
    sources = {
        "flow": r"\log\, p(x) = \log\, p_Z(f(x)) + \log\left|\,\det \frac{\partial f(x)}{\partial x}\right|",
        "mean": r"\bar\ell = \frac{1}{N}\sum_{i=1}^{N} \log\, p(x_i)",
        "radius": r"{\|z\|}^2 \sim \chi^2_D",
        "normal": r"z \sim \mathcal{N}(0, I)",
    }
    return {name: formula(source) for name, source in sources.items()}


def formula(source: str) -> str:
    """Return a formula of LaTeX as MathML.

    Raises:
        DataError: latex2mathml is not installed.
    """
    try:
        from latex2mathml.converter import convert
    except ImportError:
        raise DataError("the report needs latex2mathml: pip install 'pushforward[plot]'") from None
    # HTML does not need the namespace of MathML. Without it the page contains no web address.
    return convert(source).replace(' xmlns="http://www.w3.org/1998/Math/MathML"', "")
