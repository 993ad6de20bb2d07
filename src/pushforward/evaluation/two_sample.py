"""Can a classifier tell samples from data? The classifier two-sample score."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import DataError
from .baselines import labels_as_text

Array = np.ndarray[Any, np.dtype[Any]]

_MAX_CATEGORIES = 255


@dataclass(frozen=True)
class TwoSampleScore:
    """How well a classifier tells held-out rows from samples; accuracy and AUC of 0.5 mean that it cannot.

    Args:
        accuracy: on rows that it was not fitted to.
        accuracy_error: its standard error sqrt(a (1 - a) / n).
        auc: area under its ROC curve on the same rows.
        auc_error: its standard error (DeLong, DeLong, Clarke-Pearson 1988).
        p_value: Probability of an accuracy as high if the two distributions are equal, by a normal approximation.
        rows: n, the rows tested, half of them real.
        fitted_rows: the rows that it was fitted to, half of them real.
        classifier: Name of the classifier.
    """

    accuracy: float
    accuracy_error: float
    auc: float
    auc_error: float
    p_value: float
    rows: int
    fitted_rows: int
    classifier: str


def two_sample_score(
    real: Array, samples: Array, *, categorical: Sequence[int] = (), seed: int = 0, max_rows: int = 10_000
) -> TwoSampleScore:
    """Classifier two-sample test of Lopez-Paz and Oquab 2017, arXiv:1610.06545.

    As many samples as real rows are kept; a gradient-boosted forest learns to tell them apart on one half and is
    scored on the other. One split, not cross-validation: given the forest, its hits on the other half are then
    independent, and the standard errors mean what they say.

    Args:
        real: (N, D) rows that the model was not trained on, NaN where missing.
        samples: (M, D) draws of the model.
        categorical: indices of columns that hold codes 0, 1, ... of labels.
        seed: Seed of the split and the forest.
        max_rows: Largest number of rows of each kind.

    Returns:
        The score on held-out rows.

    Raises:
        DataError: the shapes do not fit, fewer than 8 rows of one kind, an infinite value, or no scikit-learn.
    """
    real, samples = np.asarray(real, dtype=np.float64), np.asarray(samples, dtype=np.float64)
    if real.ndim != 2 or samples.ndim != 2 or real.shape[1] != samples.shape[1] or real.shape[1] == 0:
        raise DataError(f"expected two arrays with the same columns, got shapes {real.shape} and {samples.shape}")
    if min(len(real), len(samples)) < 8:
        raise DataError(f"expected at least 8 rows of each kind, got {len(real)} and {len(samples)}")
    if np.isinf(real).any() or np.isinf(samples).any():
        raise DataError("expected finite values or NaN for missing ones, got an infinity; remove those rows first")
    try:
        from scipy.special import ndtr
        from scipy.stats import rankdata
        from sklearn.ensemble import HistGradientBoostingClassifier
    except ImportError:
        raise DataError("the two-sample score needs scikit-learn: pip install 'pushforward[sklearn]'") from None

    rng = np.random.default_rng(seed)
    size = min(len(real), len(samples), max_rows)
    kinds = [group[rng.permutation(len(group))[:size]] for group in (real, samples)]
    half = size // 2
    fit_x = np.concatenate([group[:half] for group in kinds])
    fit_y = np.repeat([1, 0], half)
    categorical = [i for i in categorical if _codes_fit(kinds[0][:, i], kinds[1][:, i])]
    forest = HistGradientBoostingClassifier(
        max_iter=100,
        min_samples_leaf=min(20, max(2, half // 5)),
        l2_regularization=1.0,
        categorical_features=categorical or None,
        early_stopping=False,
        random_state=seed % 2**32,  # scikit-learn takes no larger ones
    ).fit(fit_x, fit_y)
    scores = [forest.decision_function(group[half:]) for group in kinds]
    # A tie says nothing: half a hit.
    hits = np.concatenate([np.sign(scores[0]), -np.sign(scores[1])]) / 2 + 0.5
    accuracy = float(hits.mean())
    rest = size - half
    ranks = rankdata(np.concatenate(scores))
    above = (ranks[:rest] - rankdata(scores[0])) / rest
    below = 1 - (ranks[rest:] - rankdata(scores[1])) / rest
    auc_error = math.sqrt((above.var(ddof=1) + below.var(ddof=1)) / rest)
    return TwoSampleScore(
        accuracy=accuracy,
        accuracy_error=math.sqrt(accuracy * (1 - accuracy) / (2 * rest)),
        auc=float(above.mean()),
        auc_error=auc_error,
        p_value=float(ndtr(-(accuracy - 0.5) * 2 * math.sqrt(2 * rest))),
        rows=2 * rest,
        fitted_rows=2 * half,
        classifier="gradient-boosted trees, 100 rounds",
    )


def encode_pair(
    real: Mapping[str, Array], samples: Mapping[str, Array], kinds: Mapping[str, str]
) -> tuple[Array, Array, list[int]]:
    """Two tables as numbers for `two_sample_score`: labels as codes that both share, missing numbers as NaN.

    Args:
        real: name -> (N,) column.
        samples: name -> (M,) column, the same names.
        kinds: name -> "continuous", "integer", or anything else for labels.

    Returns:
        (N, D), (M, D) and the indices of the label columns.

    Raises:
        DataError: a column is missing in one of the tables.
    """
    columns: list[tuple[Array, Array]] = []
    categorical = []
    for name, kind in kinds.items():
        if name not in real or name not in samples:
            raise DataError(f"expected a column {name!r} in both tables; it is missing in one of them")
        if kind in {"continuous", "integer"}:
            columns.append((np.asarray(real[name]).astype(float), np.asarray(samples[name]).astype(float)))
            continue
        texts = np.concatenate([labels_as_text(real[name]), labels_as_text(samples[name])])
        codes = np.unique(texts, return_inverse=True)[1].astype(float)
        categorical.append(len(columns))
        columns.append((codes[: len(real[name])], codes[len(real[name]) :]))
    first = np.stack([pair[0] for pair in columns], axis=1) if columns else np.zeros((0, 0))
    second = np.stack([pair[1] for pair in columns], axis=1) if columns else np.zeros((0, 0))
    return first, second, categorical


def _codes_fit(first: Array, second: Array) -> bool:
    """Whether there are few enough labels to be treated as such; else their codes are taken as numbers."""
    return max(first.max(initial=0), second.max(initial=0)) < _MAX_CATEGORIES
