"""Classifier two-sample score: the accuracy of a classifier that tells samples from data."""

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
    """Score of a classifier that tells held-out rows from samples; accuracy and AUC of 0.5 mean that it only guesses.

    Args:
        accuracy: Accuracy a on rows that the classifier was not fitted to.
        accuracy_error: Standard error of the accuracy, sqrt(a (1 - a) / n).
        auc: Area under the ROC curve on the same rows.
        auc_error: Standard error of the area (DeLong, DeLong, Clarke-Pearson 1988).
        p_value: Probability of an accuracy at least as high if the two distributions are equal, by a normal approximation.
        rows: Number n of rows that were tested; half of them are real.
        fitted_rows: Number of rows that the classifier was fitted to; half of them are real.
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
    """Run the classifier two-sample test of Lopez-Paz and Oquab 2017, arXiv:1610.06545.

    Equal numbers of real rows and samples are used. Gradient-boosted trees learn to tell them apart on one half of the rows and
    are scored on the other half. There is one split and no cross-validation: given the fitted classifier, its answers on the
    other half are independent, so that the formulas for the standard errors are valid.

    Args:
        real: Rows (N, D) that the model was not trained on; NaN marks a missing value.
        samples: Samples (M, D) of the model.
        categorical: Indices of columns with codes 0, 1, ... of labels.
        seed: Seed of the split and of the classifier.
        max_rows: Largest number of rows of each kind.

    Returns:
        The score on the rows that the classifier was not fitted to.

    Raises:
        DataError: The shapes do not fit, one kind has fewer than 8 rows, a value is infinite, or scikit-learn is not installed.
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
        random_state=seed % 2**32,  # scikit-learn takes only seeds below 2^32
    ).fit(fit_x, fit_y)
    scores = [forest.decision_function(group[half:]) for group in kinds]
    # A decision value of exactly zero prefers neither kind and counts as half a correct answer.
    hits = np.concatenate([np.sign(scores[0]), -np.sign(scores[1])]) / 2 + 0.5
    accuracy = float(hits.mean())
    rest = size - half
    # The AUC is the share of pairs (real row, sample) in which the real row has the higher score. The rank of a row among all
    # rows minus its rank among its own kind is the number of rows of the other kind below it, where ties count half. `above` is
    # thus, for each real row, the share of samples below it, and `below`, for each sample, the share of real rows above it.
    # The mean of either is the AUC. Its variance is var(above) / m + var(below) / n (DeLong et al. 1988); here m = n = rest.
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
    """Return two tables as numbers for `two_sample_score`, with one code for each label and NaN for missing numbers.

    Args:
        real: Columns (N,) of the first table, by name.
        samples: Columns (M,) of the second table, with the same names.
        kinds: Kind of each column, by name: "continuous", "integer", or any other text for labels.

    Returns:
        Arrays (N, D) and (M, D), and the indices of the columns of labels.

    Raises:
        DataError: A column is missing in one of the tables.
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
    """Return whether scikit-learn can treat the codes as labels, which it allows up to 255; else they are used as numbers."""
    return max(first.max(initial=0), second.max(initial=0)) < _MAX_CATEGORIES
