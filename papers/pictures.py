"""What the reproductions on pictures share: training, scoring, the digits and their split, an independent classifier."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from sklearn.svm import SVC
from torch import Tensor

import pushforward as pf
from pushforward.core import Chain, Distribution, Flow
from pushforward.evaluation import Bits, bits_per_dimension, decode, encode
from pushforward.pictures import ImageSet, load_dataset, scaled

LEVELS, PIXELS = 17, 64


def digits() -> tuple[ImageSet, ImageSet, ImageSet]:
    """1200 training, 300 validation and 297 test digits of 8 x 8 pixels and 17 levels, and a check of the split."""
    found = load_dataset("digits")
    if found.valid is None or found.test is None:
        raise SystemExit("expected digits with three parts")
    train, test = (part.images.reshape(-1, PIXELS) for part in (found.train, found.test))
    counts = np.stack([(train == level).sum(0) + 1 for level in range(LEVELS)])
    logp = np.log2(counts / counts.sum(0))
    bits = -np.mean([logp[test[:, i], i].mean() for i in range(PIXELS)])
    if abs(bits - 2.434) > 0.001:
        raise SystemExit(f"expected the independent categorical at 2.434 bits/dim, got {bits:.4f}: another split")
    return found.train, found.valid, found.test


def levels_of(part: ImageSet) -> Tensor:
    """The pictures as a model takes them."""
    return torch.as_tensor(part.images, dtype=torch.float32)


def context_of(part: ImageSet, *, labels: bool) -> Tensor | None:
    """The pictures that are given with pictures, or their labels; None for neither."""
    if part.given is not None:
        return torch.as_tensor(scaled(part.given))
    return one_hot(part) if labels else None


def one_hot(part: ImageSet) -> Tensor:
    """The labels as context."""
    labels, count = part.labels()
    return torch.nn.functional.one_hot(torch.as_tensor(labels), count).float()


def train(
    spec: pf.Spec, parts: tuple[ImageSet, ...], seed: int, *, labels: bool = False, **options: Any
) -> Distribution:
    """A trained model of the first part, stopped by the second."""
    torch.manual_seed(seed)
    model = spec.build()
    rows = [(levels_of(part), context_of(part, labels=labels)) for part in parts[:2]]
    settings: dict[str, Any] = {
        "lr": 2e-3,
        "batch_size": 100,
        "schedule": "cosine",
        "patience": 0,
        "weight_decay": 1e-3,
    }
    settings["progress"] = False
    pf.fit(model, rows[0][0], context=rows[0][1], validation=rows[1], seed=seed, **{**settings, **options})
    return model


def score(model: Distribution, part: ImageSet, samples: int = 1, *, labels: bool = False) -> Bits:
    """Bits per dimension of a part."""
    return bits_per_dimension(model, levels_of(part), context_of(part, labels=labels), samples=samples)


def round_trip_error(model: Flow, part: ImageSet) -> float:
    """Largest difference, in float32, between pictures behind the preprocessing and what their latent codes give back there."""
    if not isinstance(model.chain, Chain):
        raise SystemExit("expected a model whose first two layers are dequantisation and preprocessing")
    first, second, *others = model.chain.layers
    line = Flow(Chain(*others), model.base)
    with torch.no_grad():
        x = second(first(levels_of(part))[0])[0]
    return float((decode(line, encode(line, x)) - x).abs().max())


def classifier() -> SVC:
    """A support vector machine trained on real digits that no model is scored on."""
    train, valid, _ = digits()
    x = np.concatenate([part.images.reshape(-1, PIXELS) for part in (train, valid)])
    y = np.concatenate([part.labels()[0] for part in (train, valid)])
    return SVC(gamma=0.001, C=10).fit(x, y)
