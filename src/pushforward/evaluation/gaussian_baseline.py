"""Gaussian with full covariance and shrunk correlations, for rows that may have missing values."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]

LOG_2PI = math.log(2 * math.pi)
_SHRINKAGES = (1e-9, 1e-6, 1e-4, 1e-3, 1e-2, 3e-2, 0.1, 0.3, 0.6, 1.0)
_CHOOSING_ROWS = 3000
_EM_ROWS = 5000


@dataclass(frozen=True)
class GaussianBaseline:
    """Fitted Gaussian.

    Args:
        mean: Mean (D,).
        covariance: Covariance (D, D), positive definite.
        shrinkage: Number in [0, 1]; the correlations were multiplied by 1 - shrinkage.
    """

    mean: Array
    covariance: Array
    shrinkage: float

    @property
    def note(self) -> str:
        """Text with the chosen shrinkage, and a warning if the density depends much on it."""
        if len(self.mean) == 1:
            return ""
        weakest = np.linalg.eigvalsh(self.covariance)[0]
        text = f"full covariance, correlations shrunk by {self.shrinkage:.0e}".replace("e-0", "e-")
        if weakest < 1e-5:
            text += "; some columns are almost linear in the others, so the density depends much on that shrinkage"
        return text

    def log_prob(self, values: Array) -> Array:
        """Return the log-density (N,) of the observed columns of rows (N, D); NaN marks a missing value."""
        out = np.empty(len(values))
        for observed, rows in patterns(values):
            centred = values[np.ix_(rows, observed)] - self.mean[observed]
            if centred.shape[1] == 0:
                out[rows] = 0.0
                continue
            factor = np.linalg.cholesky(self.covariance[np.ix_(observed, observed)])
            white = np.linalg.solve(factor, centred.T)
            log_det = np.log(np.diag(factor)).sum()
            out[rows] = -0.5 * (white**2).sum(0) - log_det - 0.5 * centred.shape[1] * LOG_2PI
        return out

    def filled(self, values: Array, rng: np.random.Generator) -> Array:
        """Return rows (N, D) whose missing values are drawn from the Gaussian, given the observed values of the row."""
        out = values.copy()
        for observed, rows in patterns(values):
            unseen = ~observed
            if not unseen.any():
                continue
            cross = self.covariance[np.ix_(unseen, observed)]
            slope = np.linalg.solve(self.covariance[np.ix_(observed, observed)], cross.T).T
            spread = np.linalg.cholesky(
                self.covariance[np.ix_(unseen, unseen)] - slope @ cross.T + 1e-9 * np.eye(int(unseen.sum()))
            )
            noise = rng.standard_normal((len(rows), int(unseen.sum()))) @ spread.T
            centred = values[np.ix_(rows, observed)] - self.mean[observed]
            out[np.ix_(rows, unseen)] = self.mean[unseen] + centred @ slope.T + noise
        return out


def fit_gaussian(x: Array, rng: np.random.Generator) -> GaussianBaseline:
    """Fit a Gaussian by maximum likelihood, and shrink its correlations towards 0 by an amount chosen by cross-validation."""
    complete = not np.isnan(x).any()
    x = x if complete else subsample(x, _EM_ROWS, rng)
    candidates = _SHRINKAGES if x.shape[1] > 1 else _SHRINKAGES[:1]
    totals = np.zeros(len(candidates))
    if len(candidates) > 1:
        rows = subsample(x, _CHOOSING_ROWS if complete else _CHOOSING_ROWS // 2, rng)
        for fit, check in folds(len(rows), 5 if complete else 2, rng):
            mean, covariance = _moments(rows[fit])
            for i, shrinkage in enumerate(candidates):
                held_out = _shrunk(mean, covariance, shrinkage).log_prob(rows[check])
                totals[i] += held_out.sum()
    mean, covariance = _moments(x)
    return _shrunk(mean, covariance, candidates[int(np.argmax(totals))])


def _shrunk(mean: Array, covariance: Array, shrinkage: float) -> GaussianBaseline:
    scale = np.sqrt(np.diag(covariance))
    kept = np.full_like(covariance, 1 - shrinkage)
    np.fill_diagonal(kept, 1.0)
    # The ridge keeps the covariance invertible if a column is constant in one fold or a perfect copy of another column.
    return GaussianBaseline(mean, covariance * kept + np.diag(1e-10 * scale**2 + 1e-12), shrinkage)


def _moments(x: Array) -> tuple[Array, Array]:
    """Return the mean and the covariance of a Gaussian by maximum likelihood, with missing values by expectation maximisation.

    With m missing and o observed columns of a row, and S the covariance, the expectation step replaces the missing part by its
    conditional mean mu_m + S_mo S_oo^-1 (x_o - mu_o). The squares of the filled values are too small on average, because they
    lack the conditional covariance S_mm - S_mo S_oo^-1 S_om; `extra` sums it over the rows. The maximisation step then takes
    the mean of the filled rows, and their covariance plus extra / N (Little and Rubin 2002, section 11.2).
    """
    missing = np.isnan(x)
    if not missing.any():
        return x.mean(0), np.atleast_2d(np.cov(x, rowvar=False, ddof=0))
    seen = np.maximum((~missing).sum(0), 1)
    filled = np.where(missing, 0.0, x)
    mean = filled.sum(0) / seen
    covariance = np.diag((np.where(missing, 0.0, x - mean) ** 2).sum(0) / seen + 1e-9)
    groups = patterns(x)
    for _ in range(50):
        extra = np.zeros_like(covariance)
        filled = x.copy()
        for observed, rows in groups:
            unseen = ~observed
            if not unseen.any():
                continue
            inner = covariance[np.ix_(observed, observed)] + 1e-9 * np.eye(int(observed.sum()))
            cross = covariance[np.ix_(unseen, observed)]
            slope = np.linalg.solve(inner, cross.T).T
            filled[np.ix_(rows, unseen)] = mean[unseen] + (x[np.ix_(rows, observed)] - mean[observed]) @ slope.T
            extra[np.ix_(unseen, unseen)] += len(rows) * (covariance[np.ix_(unseen, unseen)] - slope @ cross.T)
        mean = filled.mean(0)
        updated = (filled - mean).T @ (filled - mean) / len(x) + extra / len(x)
        moved = np.abs(updated - covariance).max()
        covariance = updated
        if moved < 1e-5:
            break
    return mean, covariance


def patterns(values: Array) -> list[tuple[Array, Array]]:
    """Return the different patterns of observed columns, boolean (D,), each with the numbers of its rows."""
    observed = ~np.isnan(values)
    if observed.all():
        return [(np.ones(values.shape[1], dtype=bool), np.arange(len(values)))]
    unique, inverse = np.unique(observed, axis=0, return_inverse=True)
    order = np.argsort(inverse, kind="stable")
    bounds = np.cumsum(np.bincount(inverse, minlength=len(unique)))[:-1]
    return list(zip(unique, np.split(order, bounds), strict=True))


def subsample(x: Array, cap: int, rng: np.random.Generator) -> Array:
    """Return at most `cap` rows, in random order."""
    return x[rng.permutation(len(x))[:cap]]


def folds(n: int, k: int, rng: np.random.Generator) -> list[tuple[Array, Array]]:
    """Return (rows to fit, rows to check) for each of k folds; there are at most as many folds as rows."""
    parts = np.array_split(rng.permutation(n), min(k, n))
    return [(np.concatenate(parts[:i] + parts[i + 1 :]), parts[i]) for i in range(len(parts))]
