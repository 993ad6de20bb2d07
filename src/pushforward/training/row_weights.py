"""Weights of rows: checks, and scaling to mean one."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..errors import DataError
from .data import as_tensor


def as_row_weights(weights: Any, rows: int) -> Tensor:
    """Check the weights of rows.

    Args:
        weights: Weights, (N,), finite and >= 0, not all of them zero.
        rows: Number of rows, N.

    Returns:
        Weights divided by the largest one, (N,), in double precision on the CPU.

    Raises:
        DataError: The weights are something else; the message names the row of the first such weight.
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

    the weighted mean loss. Dividing by the mean weight of the batch itself would make the mean biased, so v_i = w_i /
    mean(w) uses the mean weight of all the rows.

    Args:
        weights: Weights, (N,).
        index: Numbers of the rows whose weights get mean one.
        like: Tensor with the device and, if it is a floating-point one, the type of the result.
    """
    dtype = like.dtype if like.is_floating_point() else torch.get_default_dtype()
    return (weights / weights[index.cpu()].mean()).to(like.device, dtype)
