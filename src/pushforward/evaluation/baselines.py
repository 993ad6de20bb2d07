"""Simple densities to compare a flow with, in held-out nats per row: a Gaussian, a mixture, a kernel density."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch

from ..errors import DataError
from ..functional.mixture_em import COMPONENTS, MixtureChoice, best_settings
from .gaussian_baseline import LOG_2PI, GaussianBaseline, fit_gaussian, folds, subsample
from .mixture_baseline import RIDGES as MIXTURE_RIDGES
from .mixture_baseline import mixture_log_prob

Array = np.ndarray[Any, np.dtype[Any]]

_BANDWIDTHS = tuple(np.geomspace(0.01, 2.0, 25))
_CHOOSING_ROWS = 3000
_MIXTURE_ROWS = 10_000
_KERNELS = 5000
_KERNEL_QUERIES = 500


class Estimate(NamedTuple):
    """Mean and its standard error."""

    mean: float
    standard_error: float


@dataclass(frozen=True)
class NumericView:
    """Numeric columns of a table, and the log-probability of its discrete columns.

    Args:
        values: Array (N, D), float64, in raw units; NaN marks a missing value, and integer columns are already dequantised.
        log_prob_discrete: Log-probability (N,) of the labels and of the pattern of missing values, in nats; it is added to the
            log-density of the baselines that treat labels as independent. None if no column is discrete or has missing values.
        codes: One-hot codes of these labels, side by side, (N, L), for the mixture; None without them.
        frequencies: Smoothed frequency of each label in the training rows, (L,); None without codes.
    """

    values: Array
    log_prob_discrete: Array | None = None
    codes: Array | None = None
    frequencies: Array | None = None


@dataclass(frozen=True)
class BaselineScore:
    """Held-out log-likelihood of one baseline, in nats per row and raw units.

    Args:
        name: Name of the baseline.
        mean: Mean over the held-out rows; NaN if the baseline was skipped.
        standard_error: Standard error of that mean.
        per_row: Log-likelihood of each held-out row, (N,); empty if the baseline was skipped.
        note: Settings that were chosen for the baseline, or the reason why it was skipped.
    """

    name: str
    mean: float
    standard_error: float
    per_row: Array
    note: str = ""

    @property
    def skipped(self) -> bool:
        """Whether the baseline could not be computed; `note` has the reason."""
        return len(self.per_row) == 0


def mean_and_error(values: Array) -> Estimate:
    """Return the mean and its standard error sd / sqrt(N), where sd divides by N - 1.

    The error is NaN for fewer than two values, and if a value is not finite.
    """
    values = np.asarray(values, dtype=np.float64)
    if values.size == 0:
        return Estimate(math.nan, math.nan)
    if values.size == 1 or not np.isfinite(values).all():
        with np.errstate(invalid="ignore"):
            return Estimate(float(values.mean()), math.nan)
    return Estimate(float(values.mean()), float(values.std(ddof=1) / math.sqrt(values.size)))


def paired_difference(first: Array, second: Array) -> Estimate:
    """Return the mean of first - second over the same rows, and its standard error.

    A row that is unlikely under one model is usually unlikely under the others too. This common part of the spread cancels in
    the difference. The difference can therefore tell which model is better even where the separate standard errors overlap.

    Raises:
        DataError: The two arrays do not have one value for each row.
    """
    first, second = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    if first.shape != second.shape or first.ndim != 1:
        raise DataError(f"expected two scores for each row, got shapes {first.shape} and {second.shape}")
    with np.errstate(invalid="ignore"):
        return mean_and_error(first - second)


def table_views(
    train: Mapping[str, Array], test: Mapping[str, Array], kinds: Mapping[str, str], *, seed: int = 0
) -> tuple[NumericView, NumericView]:
    """Return a training and a held-out table as numbers that the baselines can score.

    - Continuous columns stay unchanged.
    - Integer columns get uniform noise on [0, 1) (dequantisation). The log-density of the noisy value is, on average over the
      noise, a lower bound on the log-probability of the integer (Theis, van den Oord, Bethge 2016, arXiv:1511.01844).
    - Every other column holds labels. A label has the smoothed frequency (count + 1) / (N + K) of the training rows, where K
      is the number of different labels in both tables, and is independent of all other columns. A missing label counts as a
      label.
    - A numeric column with missing values also adds the smoothed probability of being missing or not, as an independent label.
    - A numeric column with a single value in the training rows has probability one, so it adds nothing.

    Args:
        train: Columns (N,) of the training table, by name.
        test: Columns of the held-out table, with the same names.
        kinds: Kind of each column, by name: "continuous", "integer", or any other text for labels.
        seed: Seed of the noise.

    Returns:
        The views of `train` and `test`.

    Raises:
        DataError: A column is missing in one of the tables.
    """
    for name in kinds:
        if name not in train or name not in test:
            raise DataError(f"expected a column {name!r} in both tables; it is missing in one of them")
    rng = np.random.default_rng(seed)
    tables = (train, test)
    rows = [len(next(iter(table.values()))) if table else 0 for table in tables]
    labels: list[_Labels] = []
    numeric: list[list[Array]] = [[], []]
    for name, kind in kinds.items():
        if kind in {"continuous", "integer"}:
            columns = [np.asarray(table[name]).astype(np.float64) for table in tables]
            missing = [np.isnan(column) for column in columns]
            if missing[0].any() or missing[1].any():
                labels.append(_labels(missing[0].astype(str), missing[1].astype(str)))
            if kind == "integer" and not _one_value(columns[0]):
                columns = [column + rng.random(len(column)) for column in columns]
            for part, column in zip(numeric, columns, strict=True):
                part.append(column)
        else:
            labels.append(_labels(labels_as_text(train[name]), labels_as_text(test[name])))
    views = []
    for which, (part, n) in enumerate(zip(numeric, rows, strict=True)):
        values = np.stack(part, axis=1) if part else np.zeros((n, 0))
        if not labels:
            views.append(NumericView(values))
            continue
        cost = np.sum([label.log_prob(which) for label in labels], axis=0)
        codes = np.concatenate([label.one_hot(which) for label in labels], axis=1)
        views.append(NumericView(values, cost, codes, np.concatenate([label.frequencies for label in labels])))
    return views[0], views[1]


def baselines(train: NumericView | Array, test: NumericView | Array, *, seed: int = 0) -> list[BaselineScore]:
    """Return the held-out log-likelihoods of a Gaussian, a mixture and a kernel density, in nats per row.

    All settings (the shrinkage of the Gaussian, the number of components of the mixture, the width and the shape of the kernel)
    are chosen on the training rows alone, by cross-validation. Columns that are constant in the training rows are dropped; a
    held-out row with another value there has log-likelihood -inf.

    Labels are independent of everything else for the Gaussian and the kernel density. In the mixture every component has its
    own frequencies of the labels. If values are missing, the Gaussian is fitted by expectation maximisation, and it fills the
    training rows of the other densities. Every density scores the observed columns of a row by its marginal density.

    Args:
        train: Training rows, (N, D) or a `NumericView`.
        test: Held-out rows, (M, D) or a `NumericView`.
        seed: Seed of the folds, of the subsamples and of the starting values.

    Returns:
        One score for each baseline; the `note` of a skipped one has the reason.

    Raises:
        DataError: The shapes do not fit, there are fewer than two rows to fit, or a value is infinite.
    """
    train, test = _as_view(train, "train"), _as_view(test, "test")
    if train.values.shape[1] != test.values.shape[1]:
        raise DataError(
            f"expected train and test with the same columns, got {train.values.shape[1]} and {test.values.shape[1]}"
        )
    if len(train.values) < 2 or len(test.values) < 1:
        raise DataError(
            f"expected at least 2 training rows and 1 held-out row, got {len(train.values)} and {len(test.values)}"
        )
    labelled = test.log_prob_discrete is not None
    prefix = "independent labels + " if labelled else ""
    x, y, units = _standardise(train.values, test.values)
    base = units if test.log_prob_discrete is None else units + test.log_prob_discrete
    rng = np.random.default_rng(seed)
    with torch.no_grad(), np.errstate(under="ignore"):
        if x.shape[1] == 0:
            scores = [
                _score("independent labels" if labelled else "constant columns", base, "no numeric column varies")
            ]
            filled = x
        else:
            gaussian = fit_gaussian(x, rng)
            filled = gaussian.filled(x, rng)
            scores = [_score(f"{prefix}Gaussian", base + gaussian.log_prob(y), gaussian.note)]
        if labelled and train.codes is not None and test.codes is not None and train.frequencies is not None:
            log_prob, note = mixture_log_prob(filled, y, train.codes, test.codes, train.frequencies, rng)
            scores.append(_score("mixture with labels" if x.shape[1] else "mixture of labels", units + log_prob, note))
        elif np.isnan(y).any():
            none = (np.zeros((len(x), 0)), np.zeros((len(y), 0)), np.zeros(0))
            log_prob, note = mixture_log_prob(filled, y, *none, rng)
            scores.append(_score(f"{prefix}Gaussian mixture", base + log_prob, note))
        elif x.shape[1]:
            log_prob, note = _mixture(filled, y, rng)
            scores.append(_score(f"{prefix}Gaussian mixture", base + log_prob, note))
        if x.shape[1]:
            log_prob, note = _kernel_density(filled, y, gaussian, rng)
            scores.append(_score(f"{prefix}kernel density", base + log_prob, note))
    return scores


def _mixture(x: Array, y: Array, rng: np.random.Generator) -> tuple[Array, str]:
    """Fit a Gaussian mixture with full covariances by scikit-learn; return the log-density of y (M,), and a note.

    The number of components and the ridge on the covariances are chosen by held-out likelihood on the training rows.
    """
    try:
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.mixture import GaussianMixture
    except ImportError:
        raise DataError("the mixture baseline needs scikit-learn: pip install 'pushforward[sklearn]'") from None

    def fitted(rows: Array, components: int, ridge: float, seed: int) -> GaussianMixture:
        with warnings.catch_warnings():
            # A mixture whose fit has not converged is still a normalised density, so its score is valid.
            warnings.simplefilter("ignore", ConvergenceWarning)
            return GaussianMixture(components, reg_covar=ridge, max_iter=100, random_state=seed).fit(rows)

    seed = int(rng.integers(2**31))
    rows = subsample(x, _CHOOSING_ROWS, rng)
    splits = folds(len(rows), 5, rng)
    splits = splits if len(rows) <= 1000 else splits[:1]

    def score(components: int, ridge: float) -> float:
        return sum(float(fitted(rows[fit], components, ridge, seed).score(rows[check])) for fit, check in splits)

    possible = [number for number in COMPONENTS if number <= max(1, len(splits[0][0]) // 2)]
    chosen = best_settings(score, possible, MIXTURE_RIDGES, MixtureChoice(1, MIXTURE_RIDGES[0], -math.inf))
    model = fitted(subsample(x, _MIXTURE_ROWS, rng), chosen.components, chosen.ridge, seed)
    plural = "s" if chosen.components > 1 else ""
    return model.score_samples(
        y
    ), f"{chosen.components} component{plural}, full covariances, chosen on the training rows"


def _kernel_density(x: Array, y: Array, gaussian: GaussianBaseline, rng: np.random.Generator) -> tuple[Array, str]:
    """Fit a kernel density with Gaussian kernels; return the log-density of y (M,), and a note.

    The shape of the kernels is either the variances of the columns or the covariance of the data. Shape and width are chosen by
    the leave-one-out likelihood: each point is scored by the kernels of the other points. Exact copies of the point are left
    out as well, because a copy at distance zero would favour kernels of width zero. If y has missing values (NaN), the kernels
    have the variances of the columns, and the missing columns are left out.
    """
    dimensions = x.shape[1]
    centres = subsample(x, _KERNELS, rng)
    factor = np.linalg.cholesky(gaussian.covariance)
    shapes: dict[str, Callable[[Array], Array]] = {"the columns' variances": lambda v: v}
    missing = np.isnan(y)
    if dimensions > 1 and not missing.any():
        shapes["the data's covariance"] = lambda v: np.linalg.solve(factor, v.T).T
    best: tuple[float, str, float] = (-math.inf, "the columns' variances", 1.0)
    for name, shape in shapes.items():
        log_det = 0.0 if name == "the columns' variances" else float(np.log(np.diag(factor)).sum())
        points = torch.from_numpy(shape(centres))
        squared = _squared_distances(points[:_KERNEL_QUERIES], points)
        copies = squared < 1e-20
        left = (~copies).sum(1)
        if not bool((left > 0).all()):
            continue
        for width in _BANDWIDTHS:
            terms = (-squared / (2 * width**2)).masked_fill(copies, -math.inf)
            log_prob = torch.logsumexp(terms, 1) - left.log() - dimensions * math.log(width) - log_det
            if float(log_prob.mean()) > best[0]:
                best = float(log_prob.mean()), name, float(width)
    _, name, width = best
    log_det = 0.0 if name == "the columns' variances" else float(np.log(np.diag(factor)).sum())
    points, queries = torch.from_numpy(shapes[name](centres)), torch.from_numpy(shapes[name](np.nan_to_num(y)))
    known = torch.from_numpy(~missing).double()
    parts = [
        torch.logsumexp(-_squared_distances(part, points, seen) / (2 * width**2), 1)
        for part, seen in zip(torch.split(queries, 1000), torch.split(known, 1000), strict=True)
    ]
    constant = math.log(len(centres)) + (~missing).sum(1) * (math.log(width) + 0.5 * LOG_2PI) + log_det
    capped = f" on {len(centres)} of {len(x)} rows" if len(centres) < len(x) else ""
    note = f"width {width:.2g} times {name}{capped}, by leave-one-out on the training rows"
    return torch.cat(parts).numpy() - constant, note


def _squared_distances(a: torch.Tensor, b: torch.Tensor, seen: torch.Tensor | None = None) -> torch.Tensor:
    """Return the squared distances of the rows of a and b, over the columns that are seen in the row of a."""
    if seen is None or bool(seen.all()):
        return torch.cdist(a, b, compute_mode="donot_use_mm_for_euclid_dist") ** 2
    return (seen * a.square()).sum(1)[:, None] - 2 * (seen * a) @ b.mT + seen @ b.square().mT


def _standardise(train: Array, test: Array) -> tuple[Array, Array, Array]:
    """Return both tables without constant columns, in standard deviations of the training rows, and a correction (M,) in nats.

    With y = (x - centre) / scale, log p(x) = log p(y) - sum_i log scale_i over the observed columns i. The correction is -inf
    for a held-out row that differs from the value of a constant column.
    """
    kept, base = [], np.zeros(len(test))
    for i in range(train.shape[1]):
        if not _one_value(train[:, i]):
            kept.append(i)
            continue
        known = train[~np.isnan(train[:, i]), i]
        same = np.isnan(test[:, i]) | (test[:, i] == known[0] if len(known) else False)
        base[~same] = -math.inf
    train, test = train[:, kept], test[:, kept]
    if not kept:
        return train, test, base
    centre, scale = np.nanmean(train, 0), np.nanstd(train, 0)
    base -= np.where(np.isnan(test), 0.0, np.log(scale)).sum(1)
    return (train - centre) / scale, (test - centre) / scale, base


def _one_value(column: Array) -> bool:
    known = column[~np.isnan(column)]
    return len(known) == 0 or bool(known.min() == known.max())


def _score(name: str, per_row: Array, note: str) -> BaselineScore:
    return BaselineScore(name, *mean_and_error(per_row), per_row, note)


def _as_view(values: NumericView | Array, name: str) -> NumericView:
    view = values if isinstance(values, NumericView) else NumericView(np.asarray(values))
    array = np.asarray(view.values, dtype=np.float64)
    if array.ndim != 2:
        raise DataError(f"expected {name} to be an array (rows, columns), got shape {array.shape}")
    if np.isinf(array).any():
        raise DataError(f"expected finite values in {name}, got an infinity; remove those rows first")
    discrete = view.log_prob_discrete
    if discrete is not None and discrete.shape != (len(array),):
        raise DataError(f"expected log_prob_discrete of {name} for {len(array)} rows, got shape {discrete.shape}")
    return NumericView(array, discrete, view.codes, view.frequencies)


def labels_as_text(column: Array) -> Array:
    """Return labels as strings; integers and floats of one value give the same string, and missing labels the empty one."""
    column = np.asarray(column)
    if column.dtype.kind in "iuf":
        column = column.astype(np.float64)
        return np.where(np.isnan(column), "", column.astype(str))
    return np.array(["" if value is None or value != value else str(value) for value in column], dtype=np.str_)


class _Labels(NamedTuple):
    """Labels of one column as whole numbers, in both tables, and their smoothed frequencies in the training table."""

    codes: tuple[Array, Array]
    frequencies: Array

    def log_prob(self, which: int) -> Array:
        """Return the logarithm of the frequency of each row's label."""
        found: Array = np.log(self.frequencies)[self.codes[which]]
        return found

    def one_hot(self, which: int) -> Array:
        """Return one-hot codes (N, K)."""
        return np.eye(len(self.frequencies))[self.codes[which]]


def _labels(train: Array, test: Array) -> _Labels:
    cells, codes = np.unique(np.concatenate([train, test]), return_inverse=True)
    counts = np.bincount(codes[: len(train)], minlength=len(cells))
    return _Labels((codes[: len(train)], codes[len(train) :]), (counts + 1) / (len(train) + len(cells)))
