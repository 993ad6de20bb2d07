"""Several colourings of grey photographs, drawn from a conditional invertible network."""

from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from sklearn.datasets import load_sample_images

import pushforward as pf
from pushforward.evaluation import draw
from pushforward.pictures import ImageSet, condition_from, scaled
from pushforward.pictures.lab import from_lab

HELD = 100
"""Left edge of the strip of 16 columns that is not used for training."""


def main(out: Path, *, quick: bool = False) -> None:
    """Fit a cINN to patches of a photograph, and colour patches of a strip that it has not seen."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    photograph = load_sample_images().images[0][::3, ::3].transpose(2, 0, 1)
    _, height, width = photograph.shape
    corners = rng.integers(0, (height - 16, width - 16), (4000, 2))
    corners = corners[abs(corners[:, 1] - HELD) >= 16][:2000]
    patches = np.stack([photograph[:, r : r + 16, c : c + 16] for r, c in corners])
    shown = np.stack([photograph[:, r : r + 16, HELD : HELD + 16] for r in (20, 46, 62, 84, 110)])

    rule = condition_from("lightness")
    train, test = (rule.split(ImageSet(part)) for part in (patches, shown))
    flow = pf.systems.CINN.preset(
        "small", shape=(2, 16, 16), condition=(1, 16, 16), preprocess="centre", steps=2, dense=2, dropout=0.2
    ).build()
    pf.fit(
        flow,
        torch.as_tensor(train.images).float(),
        context=torch.as_tensor(scaled(train.given)),
        max_steps=1 if quick else 500,
        batch_size=64,
        lr=2e-3,
        clip=2560.0,
        schedule="cosine",
        progress=False,
    )
    grey = test.given.images
    columns = [np.repeat(grey, 3, axis=1)]
    for _ in range(5):
        x = draw(flow, len(grey), torch.as_tensor(scaled(test.given))).clamp(0, 255)
        columns.append(from_lab(grey, x.numpy().astype(np.uint8)))
    columns.append(shown)

    figure = Figure(figsize=(8, 5.8), layout="constrained")
    for i, panel in enumerate(figure.subplots(len(grey), len(columns)).flat):
        panel.imshow(columns[i % len(columns)][i // len(columns)].transpose(1, 2, 0))
        panel.set_axis_off()
        if i in (0, 3, 6):
            panel.set_title({0: "given", 3: "drawn", 6: "true"}[i])
    figure.savefig(out, dpi=100)


if __name__ == "__main__":
    main(Path("colours.png"))
