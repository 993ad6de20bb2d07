"""Weights of rows: checked, and scaled to mean one."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..errors import DataError
from .data import as_tensor


def as_row_weights(weights: Any, rows: int) -> Tensor:
    """Check weights of rows.

    Args:
        weights: (N,) finite numbers >= 0, not all of them zero.
        rows: Number of rows, N.

    Returns:
        (N,) in double precision on the CPU, the largest one 1.

    Raises:
        DataError: They are something else; the first such weight is named by its row.
    """
    values = as_tensor(weights, "the weights").to("cpu", torch.float64)
    if tuple(values.shape) != (rows,):
        raise DataError(f"expected one weight for each of {rows} rows, got weights of shape {tuple(values.shape)}")
    bad = ~(values.isfinite() & (values >= 0))
    if bool(bad.any()):
        row = int(bad.nonzero()[0])
        raise DataError(f"expected finite weights >= 0, got {values[row].item()} in row {row} of the weights")
    if not bool((values > 0).any()):
        raise DataError("expected at least one weight above zero, got weights that are all zero")
    return values / values.max()


def with_mean_one(weights: Tensor, index: Tensor, like: Tensor) -> Tensor:
    """Scale weights so that those of some rows have mean one.

    The loss of a batch of B rows with the scaled weights v is 1/B sum_b v_b l_b. Its mean over batches drawn at random is

        sum_i w_i l_i / sum_i w_i,

    the weighted mean loss; with v_i = w_i / mean(w) no batch has to be normalised by its own weights, which would be biased.

    Args:
        weights: (N,) weights.
        index: Numbers of the rows whose weights get mean one.
        like: A tensor that gives device and, where it is a floating-point one, type of the result.
    """
    dtype = like.dtype if like.is_floating_point() else torch.get_default_dtype()
    return (weights / weights[index.cpu()].mean()).to(like.device, dtype)
