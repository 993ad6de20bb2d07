"""Clips: Frey faces as a video, and blobs that move by a known law, with VideoFlow and with independent frames.

Both models have the same flow for each frame. With a memory of 0 the frames are independent, and with 2 the prior of the latents
of a frame sees those of the two before. The blobs' next direction has a known entropy; that of the model is measured on drawn
frames, whose direction a tracker reads.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from common import data, keep, known, mean_and_spread, table, write
from torch import Tensor

from pushforward.core import Distribution
from pushforward.evaluation.clips import continue_clips
from pushforward.systems import VideoFlow
from pushforward.systems.clip_spec import LaterFrames
from pushforward.training import fit
from pushforward.training.evaluate import evaluating

NAME = "videoflow"
GIVEN = 2
"""Number of first frames that are given when the others are scored; all models are trained on whole clips."""
MEMORIES = {"VideoFlow": 2, "independent frames": 0}
SIDE, STEP, CHANGE, LEVELS = 16, 2, 0.3, 16
"""Side of the blobs' frames, pixels of a move, probability of a turn, and levels of brightness."""
MOVES = np.array([(0, STEP), (STEP, 0), (0, -STEP), (-STEP, 0)])
LOW, HIGH = 2, SIDE - 4
"""Smallest and largest coordinate of the corner of the brightest block of a blob."""
CONTEXTS, DRAWS = 60, 100
"""Numbers of test clips whose next frame is drawn, and of draws of each."""


def later_nats(model: Distribution, x: Tensor, seed: int) -> float:
    """Negative log-likelihood in nats per frame of the frames after the given ones; one draw of noise."""
    torch.manual_seed(seed)
    scorer = LaterFrames(model, GIVEN)
    with evaluating(scorer):
        scores = torch.cat([scorer(part) for part in x.split(64)])
    return float(-scores.mean() / (x.shape[1] - GIVEN))


def train(
    spec: VideoFlow, parts: tuple[Tensor, Tensor], seed: int, seconds: float
) -> tuple[Distribution, dict[str, Any]]:
    """A model after some seconds of training, with the number of its steps."""
    torch.manual_seed(seed)
    model = spec.build()
    result = fit(
        model, parts[0], validation=parts[1], seed=seed, lr=2e-3, batch_size=16, epochs=10_000, max_seconds=seconds,
        schedule="cosine", clip=5.0 * parts[0][0].numel(), patience=0, ema=0.99, progress=False,
    )  # fmt: skip
    return model, {"steps": result.steps, "parameters": sum(p.numel() for p in model.parameters())}


def faces(seed: int, seconds: float) -> dict[str, Any]:
    """Clips of 4 frames of Frey faces: frames 1 to 1500 to train, to 1700 to validate, and the last 265 to test."""
    video = data("freyfaces.npz")["x"]
    video = torch.as_tensor(video if video.max() > 1 else (255 * video).round()).float()

    def windows(first: int, last: int, stride: int) -> Tensor:
        return torch.stack([video[i : i + 4, None] for i in range(first, last - 3, stride)])

    parts = windows(0, 1500, 1), windows(1500, 1700, 2), windows(1700, len(video), 1)
    found = {}
    for name, memory in MEMORIES.items():
        spec = VideoFlow(
            frames=4,
            shape=(1, *video.shape[1:]),
            memory=memory,
            scales=2,
            steps=4,
            hidden=32,
            prior_hidden=24,
            blocks=1,
        )
        model, facts = train(spec, parts[:2], seed, seconds)
        nats = later_nats(model, parts[2], seed)
        found[name] = {"nats": nats, "bits": nats / video[0].numel() / math.log(2), **facts}
        print("faces", name, seed, found[name], flush=True)
    return found


def moved(place: np.ndarray, direction: int) -> tuple[np.ndarray, int]:
    """The next corner of a blob and its direction: a move that would leave the frame is reversed."""
    target = place + MOVES[direction]
    if (target < LOW).any() or (target > HIGH).any():
        direction = (direction + 2) % 4
        target = place + MOVES[direction]
    return target, direction


def law(place: np.ndarray, direction: int) -> np.ndarray:
    """Probabilities of the four directions of the next move: straight on, or a turn to either side."""
    probabilities = np.zeros(4)
    for turn, probability in ((0, 1 - CHANGE), (1, CHANGE / 2), (3, CHANGE / 2)):
        probabilities[moved(place, (direction + turn) % 4)[1]] += probability
    return probabilities


def drawn_frame(place: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A blob with its brightest block of 2 x 2 at a corner, on a noisy background."""
    rows, columns = np.mgrid[:SIDE, :SIDE]
    squared = (rows - place[0] - 0.5) ** 2 + (columns - place[1] - 0.5) ** 2
    return np.round(10 * np.exp(-squared / 4) + rng.uniform(0, 4, (SIDE, SIDE))).astype(np.uint8)


def blobs(count: int, frames: int, seed: int) -> tuple[Tensor, np.ndarray, np.ndarray]:
    """Clips (N, T, 1, 16, 16), with the corners (N, T, 2) and the directions (N, T) of the moves to each frame."""
    rng = np.random.default_rng(seed)
    clips = np.empty((count, frames, 1, SIDE, SIDE), dtype=np.uint8)
    places, directions = np.empty((count, frames, 2), dtype=int), np.empty((count, frames), dtype=int)
    for n in range(count):
        place, direction = rng.integers(LOW // STEP, HIGH // STEP + 1, 2) * STEP, int(rng.integers(4))
        for t in range(frames):
            if t:
                direction = int(rng.choice(4, p=law(place, direction)))
                place = place + MOVES[direction]
            clips[n, t, 0], places[n, t], directions[n, t] = drawn_frame(place, rng), place, direction
    return torch.as_tensor(clips).float(), places, directions


def tracked(frame: np.ndarray) -> np.ndarray:
    """The corner of the block of 2 x 2 with the largest sum in a neighbourhood, as a tracker reads it: (..., H, W) -> (..., 2)."""
    grid = np.arange(LOW, HIGH + 1, STEP)
    corners = [(r, c) for r in grid for c in grid]
    sums = np.stack([frame[..., r - 1 : r + 3, c - 1 : c + 3].sum((-1, -2)) for r, c in corners], -1)
    return np.array(corners)[sums.argmax(-1)]


def entropy(probabilities: np.ndarray) -> float:
    """Entropy in nats."""
    positive = probabilities[probabilities > 0]
    return float(-(positive * np.log(positive)).sum())


def directions_drawn(model: Distribution, seed: int) -> dict[str, float]:
    """Entropy of the direction of drawn frames beside the true one, and how often a draw is no move of the law."""
    clips, places, directions = blobs(CONTEXTS, GIVEN + 1, 10_000 + seed)
    torch.manual_seed(seed)
    true, found, lost, distance = [], [], 0, []
    for n in range(CONTEXTS):
        given = clips[n : n + 1, :GIVEN].expand(DRAWS, -1, -1, -1, -1)
        frames = continue_clips(model, 1, given)[:, -1, 0].numpy()
        place = places[n, GIVEN - 1]
        steps = tracked(frames) - place
        hits = (steps[:, None] == MOVES).all(-1)
        counts = hits.sum(0)
        expected = law(place, directions[n, GIVEN - 1])
        lost += DRAWS - int(counts.sum())
        true.append(entropy(expected))
        total = max(1, counts.sum())
        # The correction of Miller and Madow for the bias of an entropy of counts.
        found.append(entropy(counts / total) + ((counts > 0).sum() - 1) / (2 * total))
        distance.append(0.5 * np.abs(counts / total - expected).sum())
    return {
        "true entropy": float(np.mean(true)),
        "entropy": float(np.mean(found)),
        "no move": lost / CONTEXTS / DRAWS,
        "total variation": float(np.mean(distance)),
    }


def moving(seed: int, seconds: float) -> dict[str, Any]:
    """Clips of 4 frames of blobs."""
    parts = [blobs(count, 4, seed + number)[0] for number, count in ((1, 8000), (2, 300), (3, 500))]
    found = {}
    for name, memory in MEMORIES.items():
        spec = VideoFlow(
            frames=4, shape=(1, SIDE, SIDE), levels=LEVELS, memory=memory, scales=3, steps=4, hidden=32, prior_hidden=24,
            blocks=1,
        )  # fmt: skip
        model, facts = train(spec, (parts[0], parts[1]), seed, seconds if memory else seconds / 3)
        found[name] = {"nats": later_nats(model, parts[2], seed), **facts}
        if memory:
            found[name] |= directions_drawn(model, seed)
        print("blobs", name, seed, found[name], flush=True)
    return found


EXPERIMENTS: dict[str, tuple[Callable[[int, float], dict[str, Any]], float]] = {
    "faces": (faces, 240),
    "blobs": (moving, 440),
}


def main() -> None:
    """Run the experiments and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="*", default=list(EXPERIMENTS), choices=list(EXPERIMENTS))
    parser.add_argument("--seeds", nargs="*", type=int, default=[0])
    parser.add_argument("--seconds", type=float, default=None, help="seconds of training of VideoFlow")
    options = parser.parse_args()
    torch.set_num_threads(1)
    started = time.time()
    for name in options.only:
        run, seconds = EXPERIMENTS[name]
        for seed in options.seeds:
            keep(NAME, name, str(seed), value=run(seed, options.seconds or seconds))
    rows = []
    for name, seeds in known(NAME).items():
        for model in MEMORIES:
            runs = [found[model] for found in seeds.values()]
            cells = [mean_and_spread([r[key] for r in runs]) if key in runs[0] else "" for key in
                     ("nats", "bits", "entropy", "true entropy", "no move", "total variation")]  # fmt: skip
            rows.append([f"{name}, {model}", *cells, f"{runs[0]['parameters']:,}", f"{runs[0]['steps']:,}"])
    head = ["data and model", "NLL per frame", "bits/dim", "entropy of directions", "true entropy", "no move", "total variation",
            "parameters", "steps"]  # fmt: skip
    body = (
        f"Negative log-likelihood in nats per frame of the frames after the first {GIVEN}, an upper bound with one draw of noise; mean "
        "and deviation of the seeds. On faces both models train for the same time; on blobs independent frames train for a third of it. "
        "Faces: clips of 4 consecutive frames of 28 x 20, the last 265 frames to test. Blobs: clips of 4 "
        f"frames of 16 x 16 with {LEVELS} levels; a blob moves on by {STEP} pixels, and turns left or right with probability "
        f"{CHANGE}; moves that would leave the frame are reversed. The entropy in nats is that of the direction of the next frame, in "
        f"{DRAWS} draws after each of {CONTEXTS} pairs of frames, as a tracker reads it.\n\n"
    )
    write(NAME, "Clips with VideoFlow", body + table(head, rows), started)


if __name__ == "__main__":
    main()
