"""Continuations of a clip of a moving digit, drawn from VideoFlow."""

from pathlib import Path

import torch
from matplotlib.figure import Figure
from torch import Tensor

import pushforward as pf
from pushforward.evaluation.clips import continue_clips
from pushforward.pictures import load_dataset

GIVEN, FRAMES = 2, 6


def moving(digits: Tensor, frames: int) -> Tensor:
    """Clips of digits that move by one column in each frame, around the edge: to the right or to the left."""
    ways = torch.randint(0, 2, (len(digits),)) * 2 - 1
    clips = [[digit.roll(int(way) * t, -1) for t in range(frames)] for digit, way in zip(digits, ways, strict=True)]
    return torch.stack([torch.stack(clip) for clip in clips])


def main(out: Path, *, quick: bool = False) -> None:
    """Fit VideoFlow to clips of moving digits, and continue clips of other digits after their first two frames."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    found = load_dataset("digits")
    train, test = (torch.as_tensor(part.images).float() for part in (found.train, found.test))
    flow = pf.systems.VideoFlow(
        frames=4, shape=(1, 8, 8), levels=17, scales=2, steps=4, hidden=32, prior_hidden=32, blocks=1
    ).build()
    pf.fit(
        flow,
        moving(train.repeat(1 if quick else 4, 1, 1, 1), 4),
        max_steps=1 if quick else 900,
        batch_size=24,
        lr=3e-3,
        clip=1000.0,
        schedule="cosine",
        progress=False,
    )
    true = moving(test[[5, 11]], GIVEN + FRAMES)
    rows = []
    for clip in true:
        drawn = continue_clips(flow, FRAMES, clip[None, :GIVEN].expand(2, -1, -1, -1, -1), temperature=0.7)
        rows += [clip, *drawn]

    figure = Figure(figsize=(8, 6), layout="constrained")
    for i, panels in enumerate(figure.subplots(len(rows), GIVEN + FRAMES)):
        for t, panel in enumerate(panels):
            panel.imshow(rows[i][t, 0], cmap="gray", vmin=0, vmax=16)
            panel.set_axis_off()
            title = {0: "given", GIVEN: "drawn" if i % 3 else "true"}.get(t)
            if title and i % 3 < 2:
                panel.set_title(title)
    figure.savefig(out, dpi=100)


if __name__ == "__main__":
    main(Path("clips.png"))
