"""Clusters of rows by k-means (Lloyd 1982)."""

from __future__ import annotations

import torch
from torch import Tensor

STEPS = 20
"""Number of iterations."""


def k_means(x: Tensor, count: int) -> Tensor:
    """Return the number of the cluster of each row, from k-means with centres that start far apart: (N, D) -> (N,)."""
    x = x.detach().double()
    # Start: each further centre is the row farthest from those before it, within the middle of the distances (no outliers).
    centres = x.mean(0, keepdim=True)
    for k in range(count):
        distance = torch.cdist(x, centres).amin(1)
        far = distance.sort().indices[int(0.98 * (len(x) - 1))]
        centres = x[far][None] if k == 0 else torch.cat([centres, x[far][None]])
    cluster = torch.cdist(x, centres).argmin(1)
    for _ in range(STEPS):
        sums = torch.zeros_like(centres).index_add_(0, cluster, x)
        sizes = torch.bincount(cluster, minlength=count)[:, None]
        centres = torch.where(sizes > 0, sums / sizes.clamp_min(1), centres)
        cluster = torch.cdist(x, centres).argmin(1)
    return cluster
