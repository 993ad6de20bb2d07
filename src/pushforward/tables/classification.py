"""Classes of the rows of a table: the probabilities of the labels of one column given all others, by Bayes' rule."""

from __future__ import annotations

import numpy as np
import torch

from ..core import Distribution, Exactness
from ..errors import DataError, listed
from ..training.random_state import isolated
from .class_table import ClassTable
from .schema import Schema
from .table_model import TableModel

CHUNK = 4096
DRAWS = 16
"""Number of draws that are averaged where the log-likelihood is random."""


def column_of_classes(model: TableModel, name: str | None) -> int:
    """Return the number of the column to classify: the named one, or that of the model.

    Raises:
        DataError: The column does not exist or holds no labels, or none is named and the model has none of its own.
    """
    schema: Schema = model.schema
    labels = [column.name for column in schema.columns if column.kind == "categorical"]
    if name is None:
        if isinstance(model, ClassTable):
            return model.class_at
        raise DataError(
            f"expected --column, the column of labels to predict: {listed(labels) if labels else 'there is none'}"
        )
    if name not in labels:
        raise DataError(f"expected one of the columns of labels {listed(labels)}, got {name!r}")
    return schema.names.index(name)


def class_probabilities(model: TableModel, rows: np.ndarray, at: int, seed: int = 0) -> np.ndarray:
    """Return p(label | all other columns) of each row, (N, K), for the labels of a column in the order of its categories.

    The probabilities are p(row with the label) divided by their sum over all labels. Where the log-likelihood is a random
    bound, the mean of 16 draws of it is used.

    Args:
        model: Model, in evaluation mode.
        rows: Encoded rows (N, C); the entries of the column itself are not used.
        at: Number of the column.
        seed: Seed of the draws.
    """
    x = torch.from_numpy(np.asarray(rows, dtype=np.float64)).to(model.device)
    if isinstance(model, ClassTable) and at == model.class_at:
        with isolated(model.device, seed):
            parts = [model.class_log_probs(part) for part in x.split(CHUNK)]
        return np.exp(torch.cat(parts).double().cpu().numpy())
    classes = len(model.schema.columns[at].categories)
    with isolated(model.device, seed), torch.no_grad():
        scores = torch.stack([_scores(model, x, at, label) for label in range(classes)], 1)
    found: np.ndarray = scores.softmax(1).cpu().numpy()
    return found


def _scores(model: Distribution, x: torch.Tensor, at: int, label: int) -> torch.Tensor:
    """Return the log-likelihoods (N,) of rows with one label in a column."""
    x = x.clone()
    x[:, at] = label
    repeats = DRAWS if Exactness.NOISY in model.exactness else 1
    parts = []
    for part in x.split(CHUNK):
        draws = torch.stack([model._log_prob(part, None) for _ in range(repeats)])
        parts.append(draws.double().logsumexp(0))
    return torch.cat(parts)
