"""Pictures between two digits, in the latent space of a flow and pixel by pixel."""

from pathlib import Path

import torch
from matplotlib.figure import Figure
from sklearn.datasets import load_digits

import pushforward as pf
from pushforward.evaluation import decode, encode, interpolate

PAIRS = ((0, 3), (12, 7), (9, 5), (26, 14))
"""Rows of the digits that each strip begins and ends with."""


def main(out: Path, *, quick: bool = False) -> None:
    """Fit a RealNVP to the digits and draw four strips of each kind."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    x = torch.tensor(load_digits().images[:, None]).float()
    flow = pf.systems.ImageRealNVP(shape=(1, 8, 8), levels=17, hidden=24, blocks=1, dropout=0.1).build()
    pf.fit(
        flow,
        x[:1600],
        validation=x[1600:],
        epochs=35,
        max_steps=1 if quick else None,
        batch_size=64,
        lr=3e-3,
        clip=320.0,
        schedule="cosine",
        progress=False,
    )
    codes = encode(flow, x[:30])
    figure = Figure(figsize=(9, 2.7), layout="constrained")
    panels = figure.subplots(len(PAIRS), 2)
    for row, (first, last) in zip(panels, PAIRS, strict=True):
        ends = [c[first : first + 1] for c in codes], [c[last : last + 1] for c in codes]
        between = decode(flow, interpolate(*ends, steps=9))
        share = torch.linspace(0, 1, 9)[:, None, None, None]
        mixed = (1 - share) * x[first] + share * x[last]
        for panel, strip in zip(row, (between, mixed), strict=True):
            panel.imshow(
                torch.nn.functional.pad(strip[:, 0], (0, 1)).permute(1, 0, 2).flatten(1), cmap="gray_r", vmax=16
            )
            panel.set_axis_off()
    panels[0][0].set_title("along the latent space", fontsize=11)
    panels[0][1].set_title("mean of the pixels", fontsize=11)
    figure.savefig(out, dpi=100)


if __name__ == "__main__":
    main(Path("digits_interpolation.png"))
