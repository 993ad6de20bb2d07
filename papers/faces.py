"""Smiles: an attribute vector in the latent space of a Glow of 64 x 64 faces, judged by an independent classifier.

The direction is the mean code of smiling training faces minus that of the others (Kingma and Dhariwal 2018, arXiv:1807.03039,
section 6). Test faces are moved along it; a logistic regression on the pixels of the training faces says how much they smile, and
the root mean squared difference to the face they came from says how much else has changed. The pictures come from JPEG files, so their bits
per dimension mean little.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import torch
from common import data, table, write
from sklearn.linear_model import LogisticRegression

import pushforward as pf
from pushforward.evaluation import attribute, bits_per_dimension, decode, encode, shift
from pushforward.pictures import write_images
from pushforward.systems import Glow

STRENGTHS = (-2.0, -1.0, 0.0, 1.0, 2.0)


def main() -> None:
    """Print the table, and draw the strips where they are asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=15)
    parser.add_argument("--size", type=int, default=32, choices=(16, 32, 64), help="faces are averaged down to it")
    parser.add_argument("--strips", help="a .png for strips of edited faces; not kept here, as they are of real people")
    options = parser.parse_args()
    torch.set_num_threads(1)
    started = time.time()
    z = data("smiles64.npz")
    block = 64 // options.size
    x = {}
    for part in ("train", "valid", "test"):
        faces = z[f"{part}_x"].reshape(-1, options.size, block, options.size, block).mean((2, 4))
        x[part] = torch.as_tensor(np.floor(faces / 8)[:, None].astype(np.float32))
    smiles = {part: torch.as_tensor(z[f"{part}_smile"].astype(np.int64)) for part in x}
    judge = LogisticRegression(C=0.01, max_iter=2000).fit(x["train"].flatten(1).numpy() / 31, smiles["train"].numpy())
    accuracy = judge.score(x["test"].flatten(1).numpy() / 31, smiles["test"].numpy())
    torch.manual_seed(0)
    model = Glow(
        shape=(1, options.size, options.size), levels=32, scales=3, steps=6, hidden=48, coupling="additive"
    ).build()
    pf.fit(
        model,
        x["train"],
        validation=(x["valid"][:300], None),
        batch_size=64,
        epochs=1000,
        patience=0,
        max_seconds=60 * options.minutes,
        progress=False,
    )
    direction = attribute(encode(model, x["train"]), smiles["train"] == 1)
    some = x["test"][:200]
    codes = encode(model, some)
    rows, strips = [], []
    for strength in STRENGTHS:
        moved = decode(model, shift(codes, direction, strength))
        probability = judge.predict_proba(moved.flatten(1).numpy() / 31)[:, 1].mean()
        change = float((moved - some).square().mean((1, 2, 3)).sqrt().mean()) / 31
        rows.append([f"{strength:g}", f"{probability:.3f}", f"{change:.3f}"])
        strips.append(moved[:8])
    pictures = torch.stack(strips, 1).flatten(0, 1).numpy().astype(np.uint8)
    if options.strips:
        write_images(options.strips, pictures, 32, columns=len(STRENGTHS))
    bits = bits_per_dimension(model, some)
    body = (
        f"Faces averaged to {options.size} x {options.size} and 32 levels; additive Glow, {options.minutes:g} minutes of training "
        f"({bits}). The classifier is right on {accuracy:.3f} of the test faces; distances are shares of the range of brightness.\n\n"
        + table(["strength", "mean probability of a smile", "distance to the face"], rows)
    )
    write("faces", "Smiles", body, started)


if __name__ == "__main__":
    main()
