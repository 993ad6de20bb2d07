"""Spread of a few labels over the graph of nearest neighbours (Zhou et al. 2004), a start for training with few labels."""

from __future__ import annotations

import torch
from torch import Tensor

MOST_ROWS = 3000
"""Largest number of rows of a graph; the cost grows with its cube."""
NEIGHBOURS = 5
ALPHA = 0.99
"""Share of the label that a row takes from its neighbours."""


def spread_labels(x: Tensor, labels: Tensor, classes: int) -> Tensor:
    """Return the probabilities of classes after the known labels have spread along the graph of nearest neighbours.

    With the symmetric affinities W_ij = exp(-|x_i - x_j|^2 / (s_i s_j)) between neighbours, where s_i is the distance to the
    last neighbour (Zelnik-Manor and Perona 2004), and D the row sums of W, the scores are

        F = (1 - a D^(-1/2) W D^(-1/2))^(-1) Y,

    where Y has one over the number of labels of the class for each label. All classes then get the same total score.

    Args:
        x: Rows (N, D), at most `MOST_ROWS`.
        labels: Labels (N,) from 0; `classes` or more for an unknown one.
        classes: Number of classes K.

    Returns:
        Probabilities (N, K) in float64; equal ones for rows that no label reaches.
    """
    x, n = x.double(), len(x)
    near = min(NEIGHBOURS, n - 1)
    known = labels < classes
    seeds = torch.zeros(n, classes, dtype=torch.float64)
    seeds[known, labels[known]] = 1.0
    if near < 1:
        return torch.where(known[:, None], seeds, 1.0 / classes)
    distance, index = torch.cdist(x, x).fill_diagonal_(torch.inf).topk(near, largest=False)
    reach = distance[:, -1].clamp_min(1e-12)
    affinity = torch.zeros(n, n, dtype=torch.float64)
    affinity.scatter_(1, index, (-distance.square() / (reach[:, None] * reach[index])).exp())
    affinity = torch.maximum(affinity, affinity.mT)
    root = affinity.sum(1).clamp_min(1e-12).rsqrt()
    smooth = root[:, None] * affinity * root
    seeds = seeds / seeds.sum(0).clamp_min(1)
    scores = torch.linalg.solve(torch.eye(n, dtype=torch.float64) - ALPHA * smooth, seeds)
    scores = scores / scores.sum(0).clamp_min(1e-300)
    total = scores.sum(1, keepdim=True)
    return torch.where(total > 1e-12, scores / total.clamp_min(1e-300), 1.0 / classes)
