"""Estimator `FlowDensity` for scikit-learn: density estimator, transformer and anomaly detector. It needs scikit-learn."""

from __future__ import annotations

import copy
import numbers
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .core import Distribution, Flow
from .distributions import Orderless
from .errors import DataError, SpecError
from .frame_density import FrameDensity, is_labelled_frame
from .systems.spec import build
from .tables import Schema
from .tables.auto import QUICK_SECONDS, choose_flow
from .training import TrainConfig, fit
from .training.row_weights import as_row_weights

try:
    from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, DensityMixin, TransformerMixin
    from sklearn.preprocessing import StandardScaler
    from sklearn.utils import check_array, check_random_state
    from sklearn.utils.validation import check_is_fitted, validate_data
except ImportError as error:
    raise ImportError("FlowDensity needs scikit-learn: pip install 'pushforward[sklearn]'") from error

_CHUNK = 8192
"""Number of rows that are evaluated together."""


class FlowDensity(DensityMixin, ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """Normalizing flow as a scikit-learn estimator of the density of rows.

    The columns are standardised internally; log-densities are those of the raw columns, in nats per row. A column that is
    constant in training is not modelled: its value adds nothing to the log-density, and a row with another value has
    log-density -inf. Training runs in single precision, and everything after it in double precision.

    X may also be a data frame of pandas or polars with columns of text, categories or dates, and with missing values. Then
    every column is modelled by its kind, as `pushforward.Table` does, and samples are data frames.

    Args:
        system: Name of a system, such as "nsf", "maf" or "realnvp"; or "auto" for a spline flow whose base and size suit the
            rows, or a model of labels for a data frame of labels only.
        layers: Number of layers of the system; None for its default.
        hidden: Width of the hidden layers, or a tuple of widths, depending on the system; None for its default.
        options: Further arguments of the system, by name.
        max_iter: Largest number of epochs; None to choose it from the number of rows.
        batch_size: Number of rows in a training step; None to choose it from the number of rows.
        lr: Learning rate.
        validation_fraction: Share of the rows that is held out for early stopping; 0 for none.
        patience: Number of epochs without improvement after which training stops; None to choose it from the number of rows.
        quick: Whether training ends after 15 seconds, and "auto" makes a coarse choice.
        contamination: Share of the training rows, or of their weight, that `predict` calls outliers, in [0, 1).
        random_state: Seed or generator for the weights, the split and the order of rows.
        verbose: Whether to show progress on standard error: 0 or 1.

    Attributes:
        flow_: Trained distribution of the standardised columns, in double precision; for a data frame with other columns than
            numbers, of its encoded rows.
        schema_: Schema of such a data frame; None for arrays.
        scaler_: The `StandardScaler` between raw and standardised columns.
        varying_: Mask of the modelled columns, which have different values in training.
        constants_: Values of the other columns.
        threshold_: Log-density below which a row is an outlier, in nats.
        n_iter_: Number of training epochs.
        history_: List with one dict for each epoch, see `pushforward.training.FitResult`.
        n_features_in_: Number of columns.
        feature_names_in_: Names of the columns, if all names of X are strings.

    Examples:
        >>> model = FlowDensity(system="maf", random_state=0).fit(X)  # doctest: +SKIP
        >>> model.score(X_test), model.sample(10), model.predict(X_test)  # doctest: +SKIP
    """

    def __init__(
        self,
        system: str = "nsf",
        *,
        layers: int | None = None,
        hidden: int | tuple[int, ...] | None = None,
        options: dict[str, Any] | None = None,
        max_iter: int | None = None,
        batch_size: int | None = None,
        lr: float = 1e-3,
        validation_fraction: float = 0.1,
        patience: int | None = None,
        quick: bool = False,
        contamination: float = 0.01,
        random_state: Any = None,
        verbose: int = 0,
    ) -> None:
        self.system = system
        self.layers = layers
        self.hidden = hidden
        self.options = options
        self.max_iter = max_iter
        self.batch_size = batch_size
        self.lr = lr
        self.validation_fraction = validation_fraction
        self.patience = patience
        self.quick = quick
        self.contamination = contamination
        self.random_state = random_state
        self.verbose = verbose

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> FlowDensity:
        """Fit the density of the rows of X.

        Args:
            X: Array (rows, columns) of finite numbers, with at least three rows, or two without validation; or a data frame.
            y: Ignored.
            sample_weight: Finite weights (rows,) >= 0, or None for equal weights. They are used in the loss, the validation
                score, the standardisation and the quantile of `threshold_`; rows of weight 0 are left out.

        Returns:
            The estimator itself.

        Raises:
            ValueError: X is no such array, all its columns are constant, or an argument is unknown or out of range; `SpecError`
                and `DataError` are ValueErrors.
            KeyboardInterrupt: The user pressed Ctrl-C; the best weights so far are kept, and the estimator is fitted.
        """
        self._check_arguments()
        self._frame: FrameDensity | None = None
        self.schema_: Schema | None = None
        if is_labelled_frame(X):
            return self._fit_frame(X, sample_weight)
        X = validate_data(self, X, dtype=np.float64, ensure_min_samples=3 if self.validation_fraction else 2)
        weights = None if sample_weight is None else as_row_weights(sample_weight, len(X)).numpy()
        if weights is not None:
            X, weights = X[weights > 0], weights[weights > 0]
        varying = X.min(0) < X.max(0)
        if not varying.any():
            raise DataError("expected a column with different values, got columns that are all constant")
        with np.errstate(over="ignore", invalid="ignore"):
            scaler = StandardScaler().fit(X[:, varying], sample_weight=weights)
        if not (np.isfinite(scaler.mean_).all() and np.isfinite(scaler.scale_).all()):
            raise DataError("expected columns whose variance fits double precision, got larger values; rescale them")
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        flow = self._build(scaler.transform(X[:, varying]), seed)
        if flow.spec is not None and flow.spec.on_surface:
            # Scaling each column by its own deviation would change the volume of the surface.
            scaler.mean_, scaler.scale_ = np.zeros_like(scaler.mean_), np.ones_like(scaler.scale_)
        result = fit(
            flow,
            scaler.transform(X[:, varying]),
            weights=weights,
            validation=_plain(self.validation_fraction) or None,
            progress=bool(self.verbose),
            config=self._training(seed),
        )
        self.scaler_ = scaler
        self.varying_ = varying
        self.constants_ = X[0, ~varying]
        self.flow_ = flow.double().eval()
        self.n_iter_ = result.epochs
        self.history_ = result.history
        self._n_features_out = flow.base.space.size if isinstance(flow, Flow) else 0
        self.threshold_ = _quantile(self._log_density(X), self.contamination, weights)
        if result.stopped == "interrupted":
            raise KeyboardInterrupt(result.message)
        return self

    def _fit_frame(self, X: Any, sample_weight: Any) -> FlowDensity:
        """Fit the rows of a data frame with labels, dates or gaps."""
        weights = None if sample_weight is None else as_row_weights(sample_weight, len(X)).numpy()
        own = {"layers": self.layers, "hidden": self.hidden}
        arguments = {**(self.options or {}), **{k: _plain(v) for k, v in own.items() if v is not None}}
        self._frame = FrameDensity(
            X,
            system=self.system,
            arguments=arguments,
            config=self._training(int(check_random_state(self.random_state).randint(2**31 - 1))),
            validation=_plain(self.validation_fraction) or None,
            weights=weights,
            quick=self.quick,
            progress=bool(self.verbose),
        )
        self.schema_, self.flow_ = self._frame.schema, self._frame.model
        self.n_features_in_, self.feature_names_in_ = (
            len(X.columns),
            np.asarray(list(map(str, X.columns)), dtype=object),
        )
        self.n_iter_, self.history_ = self._frame.result.epochs, self._frame.result.history
        self._n_features_out = len(self.flow_.number_at)
        self.threshold_ = _quantile(self.score_samples(X), self.contamination, weights)
        if self._frame.result.stopped == "interrupted":
            raise KeyboardInterrupt(self._frame.result.message)
        return self

    def _training(self, seed: int) -> TrainConfig:
        return TrainConfig(
            epochs=_plain(self.max_iter),
            batch_size=_plain(self.batch_size),
            patience=_plain(self.patience),
            lr=_plain(self.lr),
            seed=seed,
            max_seconds=QUICK_SECONDS if self.quick else None,
        )

    def score_samples(self, X: Any) -> np.ndarray:
        """Return the log-density (rows,) of each row, in nats and in the units of X."""
        check_is_fitted(self)
        if self._frame is not None:
            return self._frame.log_density(X)
        return self._log_density(self._checked(X))

    def score(self, X: Any, y: Any = None, sample_weight: Any = None) -> float:
        """Return the mean log-density of the rows in nats, like `GaussianMixture.score`; `KernelDensity.score` is a sum.

        Args:
            X: Array (rows, columns).
            y: Ignored.
            sample_weight: Weights (rows,) of the mean, or None for equal weights.
        """
        scores = self.score_samples(X)
        if sample_weight is None:
            return float(scores.mean())
        weights = as_row_weights(sample_weight, len(scores)).numpy()
        return float(np.average(scores[weights > 0], weights=weights[weights > 0]))

    def decision_function(self, X: Any) -> np.ndarray:
        """Return the log-density minus `threshold_`, (rows,), which is negative for outliers."""
        return self.score_samples(X) - self.threshold_

    def predict(self, X: Any) -> np.ndarray:
        """Return 1 for inliers and -1 for outliers, (rows,); outliers have a log-density below `threshold_`."""
        return np.where(self.decision_function(X) >= 0, 1, -1)

    def fit_predict(self, X: Any, y: Any = None, sample_weight: Any = None) -> np.ndarray:
        """Fit the rows of X and return 1 for inliers and -1 for outliers among them: (rows,).

        Args:
            X: Rows, (rows, columns).
            y: Ignored.
            sample_weight: Weights of the rows, (rows,), or None for equal weights.
        """
        return self.fit(X, y, sample_weight).predict(X)

    def sample(self, n_samples: int = 1, random_state: Any = None, *, given: Mapping[Any, Any] | None = None) -> Any:
        """Draw samples from the fitted density, in the units of X.

        Args:
            n_samples: Number of samples, at least 1.
            random_state: Seed or generator of the samples.
            given: Values of some columns, by index or name, on which the samples are conditioned; for system="any-order". For
                a data frame with labels also ranges and sets of labels, and by rejection for every system.

        Returns:
            Samples (n_samples, columns), or a data frame like the one of the fit.

        Raises:
            SpecError: `n_samples` is not a whole number of at least 1, a given column is unknown, or the system has no
                conditionals.
        """
        check_is_fitted(self)
        if not isinstance(n_samples, numbers.Integral) or isinstance(n_samples, bool) or n_samples < 1:
            raise SpecError(f"expected n_samples to be a whole number >= 1, got {n_samples!r}")
        seed = int(check_random_state(random_state).randint(2**31 - 1))
        if self._frame is not None:
            return self._frame.draw(int(n_samples), seed, given)
        draw = self._exact().sample if given is None else self._conditional(given)
        with torch.random.fork_rng(devices=[]):
            torch.random.default_generator.manual_seed(seed)
            draws = [draw(min(_CHUNK, n_samples - start)) for start in range(0, n_samples, _CHUNK)]
        return self._raw(torch.cat(draws).numpy())

    def _conditional(self, given: Mapping[int | str, float]) -> Callable[[int], Tensor]:
        """Return a function that draws standardised rows with the given values."""
        flow = self._exact()
        if not isinstance(flow, Orderless):
            raise SpecError(
                f"expected system='any-order' for samples given some columns, got {self.system!r}, which has no conditionals"
            )
        row, fixed = self._raw(np.zeros((1, int(self.varying_.sum()))))[0], np.zeros(self.n_features_in_, dtype=bool)
        names = list(getattr(self, "feature_names_in_", ()))
        for key, value in given.items():
            index = names.index(key) if key in names else key
            if not isinstance(index, numbers.Integral) or not 0 <= index < self.n_features_in_:
                raise SpecError(f"expected given columns 0 to {self.n_features_in_ - 1} or their names, got {key!r}")
            if not np.isfinite(value) or not (self.varying_[index] or value == row[index]):
                raise SpecError(f"expected a value that column {key!r} can have, got {value!r}")
            row[index], fixed[index] = value, True
        if fixed[self.varying_].all():
            raise SpecError("expected a column to draw, got the values of all of them")
        start, known = torch.from_numpy(self._standard(row[None])), torch.from_numpy(fixed[self.varying_])
        return lambda n: flow.complete(start.repeat(n, 1), known.expand(n, -1))

    def transform(self, X: Any) -> np.ndarray:
        """Return the latent codes (rows, codes) of the rows.

        The codes of rows that follow the fitted density follow the base distribution of the system. Constant columns have no
        influence on the codes.

        Raises:
            SpecError: The system has no latent code.
        """
        check_is_fitted(self)
        if self._frame is not None:
            return self._frame.codes(X)
        X = self._checked(X)
        return _in_chunks(self._invertible().encode, self._standard(X))

    def inverse_transform(self, X: Any) -> np.ndarray:
        """Return the rows (rows, columns) of latent codes in raw units; this is the inverse of `transform`.

        Raises:
            ValueError: X is not an array of codes.
            SpecError: The system has no latent code.
        """
        check_is_fitted(self)
        if self._frame is not None:
            raise SpecError(
                "expected a fit to an array of numbers, got codes of a data frame, which do not have its labels"
            )
        codes = check_array(X, dtype=np.float64)
        flow = self._invertible()
        if codes.shape[1] != self._n_features_out:
            raise DataError(f"expected codes of {self._n_features_out} columns, got {codes.shape[1]}")
        return self._raw(_in_chunks(flow.decode, codes))

    def _checked(self, X: Any) -> np.ndarray:
        check_is_fitted(self)
        return validate_data(self, X, dtype=np.float64, reset=False)

    def _log_density(self, X: np.ndarray) -> np.ndarray:
        logp = _in_chunks(self._exact().log_prob, self._standard(X)) - np.log(self.scaler_.scale_).sum()
        return np.where((X[:, ~self.varying_] == self.constants_).all(1), logp, -np.inf)

    def _standard(self, X: np.ndarray) -> np.ndarray:
        return self.scaler_.transform(X[:, self.varying_])

    def _raw(self, rows: np.ndarray) -> np.ndarray:
        X = np.empty((len(rows), self.n_features_in_))
        X[:, self.varying_] = self.scaler_.inverse_transform(rows)
        X[:, ~self.varying_] = self.constants_
        return X

    def _invertible(self) -> Flow:
        if not isinstance(self.flow_, Flow):
            raise SpecError(f"expected a system with a latent code, got {self.system!r}, which has none")
        return self._exact()  # type: ignore[return-value]

    def _exact(self) -> Distribution:
        """Return a copy of the flow in float64, because rows far out in heavy tails lose up to three digits in float32."""
        return copy.deepcopy(self.flow_).double()

    def _build(self, rows: np.ndarray, seed: int) -> Distribution:
        fields, system, features = dict(self.options or {}), self.system, rows.shape[1]
        if system == "auto":
            system, fields = (
                "nsf",
                {**choose_flow(torch.from_numpy(rows), len(rows), seed, quick=self.quick)[0], **fields},
            )
            if self.layers is not None:
                fields.pop("layers", None)
        own = {"features": features, "layers": self.layers, "hidden": self.hidden}
        for name, value in own.items():
            if value is None:
                continue
            if name in fields:
                raise SpecError(f"expected {name!r} outside `options`, got it there; FlowDensity sets it itself")
            fields[name] = _plain(value)
        with torch.random.fork_rng(devices=[]):
            torch.random.default_generator.manual_seed(seed)
            model = build(system, **fields)
        if model.space.discrete or model.space.shape != (features,):
            raise SpecError(f"expected a system for rows of continuous columns, got {self.system!r} on {model.space}")
        return model

    def _check_arguments(self) -> None:
        """Check the arguments that training and the systems do not check themselves."""
        for name in ("validation_fraction", "contamination"):
            value = _plain(getattr(self, name))
            if not isinstance(value, (int, float)) or isinstance(value, bool) or not 0 <= value < 1:
                raise SpecError(f"expected {name} to be a number in [0, 1), got {value!r}")


def _plain(value: Any) -> Any:
    """Return a NumPy number, which can come from a parameter grid, as a Python number; other values are unchanged."""
    return value.item() if isinstance(value, np.generic) else value


def _quantile(values: np.ndarray, share: float, weights: np.ndarray | None) -> float:
    """Return a quantile; with weights the smallest value at which the cumulative weight exceeds this share."""
    if weights is None:
        return float(np.quantile(values, share))
    order = np.argsort(values)
    below = np.cumsum(weights[order])
    return float(values[order][min(np.searchsorted(below, share * below[-1], side="right"), len(values) - 1)])


def _in_chunks(function: Callable[[Tensor], Tensor], rows: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        parts = [function(torch.tensor(rows[start : start + _CHUNK])) for start in range(0, len(rows), _CHUNK)]
    return torch.cat(parts).numpy()
