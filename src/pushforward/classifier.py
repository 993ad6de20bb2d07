"""Estimator `FlowClassifier` for scikit-learn: classification with few labels, by a flow and one Gaussian for each class."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from .core import Flow
from .errors import DataError, SpecError
from .evaluation.classes import calibrate_classes, class_log_probs
from .functional.label_spreading import MOST_ROWS, spread_labels
from .systems.flowgmm import FlowGMM
from .training import TrainConfig, fit

try:
    from sklearn.base import BaseEstimator, ClassifierMixin
    from sklearn.preprocessing import StandardScaler
    from sklearn.utils import check_random_state
    from sklearn.utils.multiclass import check_classification_targets
    from sklearn.utils.validation import check_is_fitted, validate_data
except ImportError as error:
    raise ImportError("FlowClassifier needs scikit-learn: pip install 'pushforward[sklearn]'") from error

UNLABELLED = -1
"""Label of rows without a label, as in `sklearn.semi_supervised`."""
CALIBRATION = 0.25
"""Share of the labelled rows that calibrate the probabilities."""
FEWEST_FOR_CALIBRATION = 100
"""Smallest number of labelled rows from which some calibrate the probabilities."""
NOISE = 0.1
START, SURE = 0.7, 1.0
"""Share of the training that uses spread labels, and share of the rows, the surest ones, that get one."""


class FlowClassifier(ClassifierMixin, BaseEstimator):
    """Classifier that models p(x | class) with a flow in front of one Gaussian for each class (FlowGMM).

    Rows whose label is -1 have no label, as in `sklearn.semi_supervised`; they train the density of all classes together.
    Training runs in single precision. For pictures and other rows of many columns, reduce the columns first, as with `PCA`.

    Args:
        layers: Number of coupling layers.
        hidden: Widths of the hidden layers of each network.
        scalar: Map of the couplings, "affine" or "spline".
        distance: Distance of neighbouring class means in the latent space, in deviations.
        unlabelled_weight: Weight of all rows without a label together; that of all labelled rows together is one.
        standardise: Whether each column is divided by its own standard deviation; otherwise all columns by the largest one,
            which keeps the distances between rows.
        noise: Standard deviation of the noise of copies of the rows that are trained, too, in deviations of the columns; 0 for
            none.
        max_iter: Largest number of epochs; None to choose it from the number of rows.
        batch_size: Number of rows in a training step; None to choose it from the number of rows.
        lr: Learning rate.
        weight_decay: Weight decay.
        calibrate: Whether a quarter of the labelled rows, if there are 100 or more, widens the variances of the classes so that
            the probabilities are calibrated; the model is trained without them.
        random_state: Seed or generator for the weights, the split and the order of rows.
        verbose: Whether to show progress on standard error: 0 or 1.

    Attributes:
        flow_: Trained flow of the standardised columns, in double precision.
        classes_: Labels of the classes, without -1.
        scaler_: The `StandardScaler` between raw and scaled columns.
        widening_: Factor of the variances from the calibration; 1 without one.
        n_iter_: Number of training epochs.
        n_features_in_: Number of columns.
        feature_names_in_: Names of the columns, if all names of X are strings.

    Examples:
        >>> model = FlowClassifier(random_state=0).fit(X, y)  # y = -1: no label  # doctest: +SKIP
        >>> model.predict_proba(X_test), model.score(X_test, y_test)  # doctest: +SKIP
    """

    def __init__(
        self,
        *,
        layers: int = 6,
        hidden: tuple[int, ...] = (128,),
        scalar: str = "affine",
        distance: float = 7.0,
        unlabelled_weight: float = 1.0,
        standardise: bool = True,
        noise: float = NOISE,
        max_iter: int | None = None,
        batch_size: int | None = None,
        lr: float = 1e-3,
        weight_decay: float = 1e-2,
        calibrate: bool = True,
        random_state: Any = None,
        verbose: int = 0,
    ) -> None:
        self.layers = layers
        self.hidden = hidden
        self.scalar = scalar
        self.distance = distance
        self.unlabelled_weight = unlabelled_weight
        self.standardise = standardise
        self.noise = noise
        self.max_iter = max_iter
        self.batch_size = batch_size
        self.lr = lr
        self.weight_decay = weight_decay
        self.calibrate = calibrate
        self.random_state = random_state
        self.verbose = verbose

    def fit(self, X: Any, y: Any) -> FlowClassifier:
        """Fit the densities of the classes.

        Args:
            X: Array (rows, columns) of finite numbers.
            y: Labels (rows,); -1 for a row without a label.

        Returns:
            The estimator itself.

        Raises:
            ValueError: X or y is no such array, no row has a label, or an argument is out of range.
            KeyboardInterrupt: The user pressed Ctrl-C; the best weights so far are kept, and the estimator is fitted.
        """
        if not self.unlabelled_weight >= 0:
            raise SpecError(f"expected unlabelled_weight >= 0, got {self.unlabelled_weight!r}")
        X, y = validate_data(self, X, y, dtype=np.float64, ensure_min_samples=2)
        check_classification_targets(y)
        given = y != UNLABELLED if np.asarray(y).dtype.kind in "iuf" else np.ones(len(y), dtype=bool)
        if not given.any():
            raise DataError("expected rows with labels, got -1 for all of them")
        self.classes_, codes = np.unique(y[given], return_inverse=True)
        numbers = np.full(len(y), len(self.classes_))
        numbers[given] = codes
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        self.scaler_ = StandardScaler().fit(X)
        if not self.standardise:
            self.scaler_.scale_ = np.full_like(self.scaler_.scale_, self.scaler_.scale_.max())
        rows, labels = torch.tensor(self.scaler_.transform(X)).float(), torch.from_numpy(numbers)
        kept, aside = self._split(labels, seed)
        flow = self._build(rows, labels, seed)
        rows_kept, known = rows[kept], labels[kept]
        spread = self._spread(rows_kept, known, seed)
        epochs, result = 0, None
        for part, given_labels in ((START, spread), (1 - START, known)):
            if given_labels is None or part == 0:
                continue
            result = fit(
                flow,
                rows_kept,
                context=given_labels,
                weights=self._weights(given_labels),
                validation=None,
                progress=bool(self.verbose),
                config=self._training(seed, len(kept), 1.0 if spread is None else part),
            )
            epochs += result.epochs
        assert result is not None  # noqa: S101
        self.flow_, self.n_iter_, self.widening_ = flow.double().eval(), epochs, 1.0
        if len(aside):
            self.widening_ = calibrate_classes(flow, rows[aside].double(), labels[aside])
        if result.stopped == "interrupted":
            raise KeyboardInterrupt(result.message)
        return self

    def predict_proba(self, X: Any) -> np.ndarray:
        """Return the probabilities of the classes, (rows, classes), in the order of `classes_`."""
        return np.exp(self.predict_log_proba(X))

    def predict_log_proba(self, X: Any) -> np.ndarray:
        """Return the logarithms of the probabilities of the classes, (rows, classes)."""
        check_is_fitted(self)
        found: np.ndarray = class_log_probs(self.flow_, self._standard(X)).double().numpy()
        return found

    def predict(self, X: Any) -> np.ndarray:
        """Return the most likely class of each row, (rows,)."""
        best = self.predict_log_proba(X).argmax(1)
        labels: np.ndarray = self.classes_[best]
        return labels

    def score_samples(self, X: Any) -> np.ndarray:
        """Return the log-density (rows,) of each row over all classes, in nats and in the units of X."""
        check_is_fitted(self)
        rows = self._standard(X)
        unknown = torch.full((len(rows),), len(self.classes_))
        with torch.no_grad():
            logp: np.ndarray = self.flow_.log_prob(rows, unknown).double().numpy()
        return logp - np.log(self.scaler_.scale_).sum()

    def sample(self, label: Any, n_samples: int = 1, random_state: Any = None) -> np.ndarray:
        """Return samples (n_samples, columns) of one class, in the units of X.

        Raises:
            DataError: The label is no class.
        """
        check_is_fitted(self)
        at = np.flatnonzero(self.classes_ == label)
        if len(at) == 0:
            raise DataError(f"expected one of the classes {', '.join(map(str, self.classes_))}, got {label!r}")
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(check_random_state(random_state).randint(2**31 - 1)))
            drawn = self.flow_.sample((), torch.full((int(n_samples),), int(at[0])))
        rows: np.ndarray = self.scaler_.inverse_transform(drawn.double().numpy())
        return rows

    def _standard(self, X: Any) -> Tensor:
        X = validate_data(self, X, dtype=np.float64, reset=False)
        return torch.tensor(self.scaler_.transform(X))

    def _split(self, labels: Tensor, seed: int) -> tuple[Tensor, Tensor]:
        """Return the rows to train with, and the labelled rows that are kept aside for the calibration."""
        known = (labels < len(self.classes_)).nonzero()[:, 0]
        nothing = known[:0]
        if not self.calibrate or len(known) < FEWEST_FOR_CALIBRATION:
            return torch.arange(len(labels)), nothing
        order = known[torch.randperm(len(known), generator=torch.Generator().manual_seed(seed))]
        aside = order[: int(CALIBRATION * len(known))]
        # The last labelled row of a class stays in training.
        left = torch.bincount(labels[known], minlength=len(self.classes_)) - torch.bincount(
            labels[aside], minlength=len(self.classes_)
        )
        aside = aside[left[labels[aside]] > 0]
        mask = torch.ones(len(labels), dtype=torch.bool)
        mask[aside] = False
        return mask.nonzero()[:, 0], aside

    def _spread(self, rows: Tensor, labels: Tensor, seed: int) -> Tensor | None:
        """Return labels that have spread from labelled rows to near ones; None if all rows are labelled, or of one class."""
        classes = len(self.classes_)
        unknown = labels == classes
        if classes < 2 or not bool(unknown.any()):
            return None
        order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(seed))
        # The graph has all labelled rows, and as many others as it can hold.
        chosen = torch.cat([order[~unknown[order]], order[unknown[order]]])[:MOST_ROWS]
        probabilities = spread_labels(rows[chosen], labels[chosen], classes)
        best = probabilities.topk(2, 1).values
        margin = best[:, 0] - best[:, 1]
        sure = margin >= margin.quantile(1 - SURE)
        found = labels.clone()
        found[chosen] = torch.where(sure, probabilities.argmax(1), classes)
        found[~unknown] = labels[~unknown]
        return found

    def _weights(self, labels: Tensor) -> Tensor | None:
        """Return weights of the rows: one for all labelled rows together, `unlabelled_weight` for the others together."""
        unknown = labels == len(self.classes_)
        if not bool(unknown.any()):
            return None
        share = float(self.unlabelled_weight) / int(unknown.sum())
        return torch.where(unknown, share, 1.0 / max(1, int((~unknown).sum())))

    def _build(self, rows: Tensor, labels: Tensor, seed: int) -> Flow:
        with torch.random.fork_rng(devices=[]):
            torch.random.default_generator.manual_seed(seed)
            return FlowGMM(
                features=rows.shape[1],
                classes=len(self.classes_),
                layers=self.layers,
                hidden=self.hidden,
                scalar=self.scalar,  # type: ignore[arg-type]
                distance=self.distance,
                noise=self.noise,
            ).build()

    def _training(self, seed: int, rows: int, part: float) -> TrainConfig:
        # Small sets need many passes; about 3000 steps are enough for most.
        batch = self.batch_size or min(256, max(32, rows // 8))
        steps = -(-rows // batch)
        return TrainConfig(
            epochs=max(1, round(part * (self.max_iter or max(30, min(600, 3000 // steps))))),
            batch_size=batch,
            lr=self.lr,
            weight_decay=self.weight_decay,
            schedule="cosine",
            seed=seed,
        )
