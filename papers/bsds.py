"""BSDS300 patches, 63 dimensions (Papamakarios et al. 2017, arXiv:1705.07057, table 1): Gaussian, MAF(5), spline flow.

The patches are cut anew by a fixed recipe, so they are like those of the published table but not the same: the Gaussian row
says how far apart (96.67 there). Training stops after a budget of minutes; the curve is in the table.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import torch
from common import data, table, write

import pushforward as pf
from pushforward.core import Chain, Flow, Real
from pushforward.transforms import Standardise


def patches(images: np.ndarray, transposed: np.ndarray, n: int, seed: int) -> np.ndarray:
    """Cut n grey patches of 8 x 8 at random places: (n, 64) of uint8."""
    random = np.random.RandomState(seed)
    k = random.randint(0, len(images), n)
    i = random.randint(0, images.shape[1] - 7, n)
    j = random.randint(0, images.shape[2] - 7, n)
    out, eight = np.empty((n, 8, 8), np.uint8), np.arange(8)
    for start in range(0, n, 50_000):
        s = slice(start, start + 50_000)
        cut = images[k[s, None, None], i[s, None, None] + eight[None, :, None], j[s, None, None] + eight[None, None, :]]
        out[s] = np.where(transposed[k[s]][:, None, None], cut.transpose(0, 2, 1), cut)
    return out.reshape(n, 64)


def prepared(raw: np.ndarray, seed: int) -> np.ndarray:
    """Dequantised to [0, 1), mean removed, last pixel dropped: (n, 63) of float64."""
    x = (raw.astype(np.float64) + np.random.RandomState(seed).rand(*raw.shape)) / 256.0
    x -= x.mean(1, keepdims=True)
    return x[:, :-1]


def sets() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Train (1,000,000), validation (50,000) and test (250,000) patches."""
    z = data("bsds300.npz")
    images, flags = z["train_images"], z["train_transposed"]
    parts = []
    for index, n, seed in ((z["train_image_idx"], 1_000_000, 1), (z["valid_image_idx"], 50_000, 2)):
        parts.append(prepared(patches(images[index], flags[index], n, seed), seed + 3))
    parts.append(prepared(patches(z["test_images"], z["test_transposed"], 250_000, 3), 6))
    return parts[0], parts[1], parts[2]


def gaussian(train: np.ndarray, test: np.ndarray) -> tuple[float, float]:
    """Mean test log-likelihood of the full-covariance Gaussian, and its standard error."""
    mean, cov = train.mean(0), np.cov(train.T)
    u = np.linalg.solve(np.linalg.cholesky(cov), (test - mean).T)
    logp = -0.5 * ((u**2).sum(0) + np.linalg.slogdet(2 * np.pi * cov)[1])
    return float(logp.mean()), float(logp.std() / np.sqrt(len(logp)))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0, help="training budget of each flow")
    options = parser.parse_args()
    torch.set_num_threads(1)
    started = time.time()
    train, valid, test = sets()
    score, error = gaussian(train, test)
    rows = [["Gaussian", "", f"{score:.2f} ± {error:.2f}", "96.67", ""]]
    print(rows, flush=True)
    loc, scale = torch.as_tensor(train.mean(0)).float(), torch.as_tensor(train.std(0)).float()
    train, valid, test = (torch.as_tensor(x).float() for x in (train, valid, test))
    for name, spec, published in (
        ("MAF(5), 2 x 256 hidden", pf.systems.MAF(features=63, layers=5, hidden=(256, 256)), "155.69"),
        ("spline flow, coupling", pf.systems.NSF(features=63, structure="coupling", layers=6, hidden=192), "157.54"),
    ):
        torch.manual_seed(0)
        inner = spec.build()
        flow = Flow(Chain(Standardise(Real((63,)), loc, scale), *inner.chain.layers), inner.base)
        result = pf.fit(
            flow,
            train,
            validation=(valid[:10_000], None),
            batch_size=512,
            lr=1e-3,
            max_seconds=60 * options.minutes,
            epochs=4,
            patience=100,
            ema=0.999,
            progress=False,
            metrics=None,
        )
        logp = pf.training.evaluate(flow, test, batch_size=2000).double()
        error = float(logp.std() / len(logp) ** 0.5)
        curve = ", ".join(f"{h['validation']:.1f} ({h['steps']} steps)" for h in result.history)
        rows.append([name, f"{result.steps:,}", f"{float(logp.mean()):.2f} ± {error:.2f}", published, curve])
        print(rows[-1], flush=True)
    body = (
        f"Test log-likelihood in nats, mean ± standard error over 250,000 patches; each flow trained {options.minutes:g} "
        "minutes on one thread, batches of 512. The published flows saw the whole set many times over.\n\n"
        + table(["model", "steps", "test log-likelihood", "published", "validation at the end of each epoch"], rows)
    )
    write("bsds", "BSDS300 patches", body, started)


if __name__ == "__main__":
    main()
