"""Continuations of a clip of a moving blob, drawn from VideoFlow."""

from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure

import pushforward as pf
from pushforward.evaluation.clips import continue_clips

SIDE, LEVELS, GIVEN, FRAMES = 16, 16, 2, 6
MOVES = np.array([(0, 2), (2, 0), (0, -2), (-2, 0)])


def blobs(count: int, frames: int, rng: np.random.Generator) -> torch.Tensor:
    """Clips of a blob that moves on by two pixels, or turns left or right with probability 0.3."""
    rows, columns = np.mgrid[:SIDE, :SIDE]
    place, way = 2.0 * rng.integers(1, 7, (count, 2)), rng.integers(4, size=count)
    clips = np.empty((count, frames, 1, SIDE, SIDE), dtype=np.float32)
    for t in range(frames):
        if t:
            way = (way + rng.choice([0, 1, 3], count, p=[0.7, 0.15, 0.15])) % 4
            target = place + MOVES[way]
            outside = ((target < 2) | (target > 12)).any(1)
            way = np.where(outside, (way + 2) % 4, way)  # at the border the move is reversed
            place = place + MOVES[way]
        squared = (rows - place[:, :1, None] - 0.5) ** 2 + (columns - place[:, 1:, None] - 0.5) ** 2
        clips[:, t, 0] = np.round(10 * np.exp(-squared / 4) + rng.uniform(0, 4, (count, SIDE, SIDE)))
    return torch.as_tensor(clips)


def main(out: Path, *, quick: bool = False) -> None:
    """Fit VideoFlow to clips of blobs, and continue one clip several times after its first two frames."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    flow = pf.systems.VideoFlow(
        frames=4, shape=(1, SIDE, SIDE), levels=LEVELS, scales=2, steps=4, hidden=32, prior_hidden=24, blocks=1
    ).build()
    pf.fit(
        flow,
        blobs(64 if quick else 6000, 4, rng),
        max_steps=1 if quick else 1000,
        batch_size=16,
        lr=2e-3,
        clip=5000.0,
        schedule="cosine",
        progress=False,
    )
    true = blobs(1, GIVEN + FRAMES, rng)
    drawn = continue_clips(flow, FRAMES, true[:, :GIVEN].expand(4, -1, -1, -1, -1), temperature=0.8)
    shown = torch.cat([true, drawn])[:, :, 0].clamp(0, LEVELS - 1)

    figure = Figure(figsize=(8, 5), layout="constrained")
    for row, panels in enumerate(figure.subplots(len(shown), GIVEN + FRAMES)):
        for t, panel in enumerate(panels):
            panel.imshow(shown[row, t], cmap="gray", vmin=0, vmax=LEVELS - 1)
            panel.set_axis_off()
            if row == 0 and t in (0, GIVEN):
                panel.set_title({0: "given", GIVEN: "true"}[t])
            if row == 1 and t == GIVEN:
                panel.set_title("drawn")
    figure.savefig(out, dpi=100)


if __name__ == "__main__":
    main(Path("clips.png"))
