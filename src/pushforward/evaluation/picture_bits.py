"""Bits per dimension of a simple distribution of pictures, to compare a model with."""

from __future__ import annotations

import numpy as np

from ..pictures import ImageSet


def independent_bits(train: ImageSet, held: ImageSet) -> float:
    """Return the bits per dimension of a model whose pixels are independent, with probabilities (count + 1) / (N + levels).

    Args:
        train: Pictures whose values are counted, separately for each pixel and channel.
        held: Pictures to score.
    """
    flat, other = (p.images.reshape(len(p), -1) for p in (train, held))
    total = 0.0
    for i in range(flat.shape[1]):
        counts = np.bincount(flat[:, i], minlength=train.levels) + 1
        total -= float(np.log2(counts / counts.sum())[other[:, i]].mean())
    return total / flat.shape[1]
