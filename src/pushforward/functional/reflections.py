"""Householder reflections: products of them are orthogonal matrices, and every orthogonal matrix is such a product."""

from __future__ import annotations

import torch
from torch import Tensor


def reflected(free: Tensor) -> Tensor:
    """Return the product of the reflections I - 2 v v^T / |v|^2, in the order of the vectors v, none of which is zero.

    Args:
        free: Vectors v, (..., H, D).

    Returns:
        Orthogonal matrices, (..., D, D), with determinant (-1)^H.
    """
    unit = torch.nn.functional.normalize(free, dim=-1)
    size = free.shape[-1]
    q = torch.eye(size, dtype=free.dtype, device=free.device).expand(*free.shape[:-2], size, size)
    for v in unit.unbind(-2):
        q = q - 2 * torch.matmul(q, v.unsqueeze(-1)) * v.unsqueeze(-2)
    return q
