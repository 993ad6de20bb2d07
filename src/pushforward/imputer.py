"""Imputer `FlowImputer` for scikit-learn: missing numbers from an any-order model of the columns. It needs scikit-learn."""

from __future__ import annotations

import numbers
from typing import Any

import numpy as np
import torch

from .errors import DataError, SpecError
from .systems.any_order import AnyOrder
from .tables import AnyOrderTable, Column, Schema
from .tables.imputation import drawn_gaps, point_gaps
from .training import fit
from .training.random_state import isolated

try:
    from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin
    from sklearn.utils import check_random_state
    from sklearn.utils.validation import check_is_fitted, validate_data
except ImportError as error:
    raise ImportError("FlowImputer needs scikit-learn: pip install 'pushforward[sklearn]'") from error


class FlowImputer(OneToOneFeatureMixin, TransformerMixin, BaseEstimator):
    """Imputer of missing numbers by their distribution given the numbers that are there.

    An any-order model (Uria, Murray, Larochelle 2014, arXiv:1310.1757) is fitted to rows with gaps: a missing number is never
    asked for. A column without any number in training is filled with zeros, and a constant one with its value.

    Args:
        draw: Whether gaps are filled with draws, which keep the spread of the data, and not with means.
        hidden: Widths of the hidden layers; an odd number of equal widths.
        components: Number of Gaussians in the mixture of a number.
        dropout: Probability of dropping a hidden unit in training.
        max_iter: Largest number of epochs; None to choose it from the number of rows.
        batch_size: Number of rows in a training step; None to choose it from the number of rows.
        lr: Learning rate.
        validation_fraction: Share of the rows that is held out for early stopping; 0 for none.
        patience: Number of epochs without improvement after which training stops; None to choose it from the number of rows.
        random_state: Seed or generator for the weights, the split, the order of rows, and draws.
        verbose: Whether to show progress on standard error: 0 or 1.

    Attributes:
        model_: Model of the columns that vary.
        varying_: Mask of these columns.
        fill_: Values for the gaps of the other columns.
        n_iter_: Number of training epochs.
        n_features_in_: Number of columns.
        feature_names_in_: Names of the columns, if all names of X are strings.

    Examples:
        >>> full = FlowImputer(random_state=0).fit_transform(X)  # doctest: +SKIP
    """

    def __init__(
        self,
        *,
        draw: bool = False,
        hidden: tuple[int, ...] = (128, 128, 128),
        components: int = 10,
        dropout: float = 0.1,
        max_iter: int | None = None,
        batch_size: int | None = None,
        lr: float = 1e-3,
        validation_fraction: float = 0.1,
        patience: int | None = None,
        random_state: Any = None,
        verbose: int = 0,
    ) -> None:
        self.draw = draw
        self.hidden = hidden
        self.components = components
        self.dropout = dropout
        self.max_iter = max_iter
        self.batch_size = batch_size
        self.lr = lr
        self.validation_fraction = validation_fraction
        self.patience = patience
        self.random_state = random_state
        self.verbose = verbose

    def fit(self, X: Any, y: Any = None) -> FlowImputer:
        """Fit the model to rows, of which numbers may be missing (NaN).

        Args:
            X: Array (rows, columns), with at least three rows, or two without validation.
            y: Ignored.

        Returns:
            The imputer itself.

        Raises:
            ValueError: X is no such array, or an argument is unknown or out of range.
        """
        share = self.validation_fraction
        if not isinstance(share, numbers.Real) or isinstance(share, bool) or not 0 <= share < 1:
            raise SpecError(f"expected validation_fraction to be a number in [0, 1), got {share!r}")
        X = self._checked(X, reset=True)
        present = [x[np.isfinite(x)] for x in X.T]
        low = np.array([float(x.min()) if len(x) else 0.0 for x in present])
        high = np.array([float(x.max()) if len(x) else 0.0 for x in present])
        self.varying_: np.ndarray = low < high
        self.fill_: np.ndarray = low
        self.model_: AnyOrderTable | None = None
        self.n_iter_ = 0
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        self._seed: int = seed
        if not self.varying_.any():
            return self
        columns = tuple(_column(i, present[i]) for i in np.flatnonzero(self.varying_).tolist())
        spec = AnyOrder(
            features=len(columns), hidden=self.hidden, components=self.components, dropout=self.dropout, orders=2
        )
        with isolated(torch.device("cpu"), seed):
            model = AnyOrderTable(Schema(columns), spec)
        rows = X[:, self.varying_]
        result = fit(
            model,
            rows[np.isfinite(rows).any(1)],
            validation=share or None,
            progress=bool(self.verbose),
            epochs=self.max_iter,
            batch_size=self.batch_size,
            patience=self.patience,
            lr=self.lr,
            seed=seed,
        )
        self.model_ = model.double().eval()
        self.n_iter_ = result.epochs
        if result.stopped == "interrupted":
            raise KeyboardInterrupt(result.message)
        return self

    def transform(self, X: Any) -> np.ndarray:
        """Return the rows (rows, columns) with every gap filled; numbers that are there do not change."""
        check_is_fitted(self)
        X = self._checked(X, reset=False)
        gaps = np.isnan(X)
        result = np.where(gaps & ~self.varying_, self.fill_, X)
        if self.model_ is not None and gaps[:, self.varying_].any():
            rows = X[:, self.varying_]
            with isolated(torch.device("cpu"), self._seed):
                found = drawn_gaps(self.model_, rows) if self.draw else point_gaps(self.model_, rows)
            result[:, self.varying_] = np.where(np.isnan(rows), found, rows)
        return np.asarray(result)

    def _checked(self, X: Any, *, reset: bool) -> np.ndarray:
        least = 1 if not reset else 3 if self.validation_fraction else 2
        X = validate_data(
            self, X, dtype=np.float64, reset=reset, ensure_min_samples=least, ensure_all_finite="allow-nan"
        )
        return np.asarray(X)

    def __sklearn_tags__(self) -> Any:
        """Return the tags of the estimator: NaN is allowed."""
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags


def _column(i: int, present: np.ndarray) -> Column:
    """Return the column of numbers that are standardised by those that are there."""
    with np.errstate(over="ignore", invalid="ignore"):
        loc, scale = float(present.mean()), float(present.std())
    if not (np.isfinite(loc) and np.isfinite(scale) and scale > 0):
        raise DataError("expected columns whose variance fits double precision, got larger values; rescale them")
    seen = (float(present.min()), float(present.max()))
    return Column(name=f"x{i}", kind="continuous", loc=loc, scale=scale, seen=seen)
