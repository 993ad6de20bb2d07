"""A density of two angles that run across a full turn, learned with maps of the circle."""

import math
from pathlib import Path

import torch
from matplotlib import colormaps
from matplotlib.figure import Figure

import pushforward as pf
from pushforward.core import Torus

TURN = 2 * math.pi


def main(out: Path, *, quick: bool = False) -> None:
    """Fit a flow on the torus to a spiral of angles, and draw its density on the square and on the torus."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    space = Torus(2)
    along = TURN * torch.rand(6000)
    x = space.nearest(torch.stack([along, 2 * along + 1], 1) + 0.25 * torch.randn(6000, 2))
    flow = pf.build("torus", features=2, structure="coupling", layers=6, bins=12)
    pf.fit(flow, x, validation=0.1, epochs=1 if quick else 30, lr=4e-3, batch_size=256, progress=False)

    n = 20 if quick else 200
    axis = TURN * (torch.arange(n) + 0.5) / n
    with torch.no_grad():
        density = flow.log_prob(torch.cartesian_prod(axis, axis)).exp().reshape(n, n)

    figure = Figure(figsize=(9.6, 3.1), layout="constrained")
    left, middle = figure.add_subplot(1, 3, 1), figure.add_subplot(1, 3, 2)
    left.scatter(*x[:2500].T, s=3, color="#0072B2", linewidths=0)
    middle.imshow(density.T, origin="lower", extent=(0, TURN, 0, TURN), cmap="Blues")
    for axes, title in ((left, "data"), (middle, "density of the flow")):
        axes.set(xlim=(0, TURN), ylim=(0, TURN), aspect="equal", title=title)
        axes.set_xticks([0, math.pi, TURN], ["0", "π", "2π"])
        axes.set_yticks([0, math.pi, TURN], ["0", "π", "2π"])

    right = figure.add_subplot(1, 3, 3, projection="3d")
    closed = torch.cat([axis, axis[:1] + TURN])
    u, v = torch.meshgrid(closed, closed, indexing="ij")
    values = torch.cat([density, density[:1]])
    values = torch.cat([values, values[:, :1]], 1)
    colours = colormaps["Blues"]((values / values.max()).numpy())
    right.plot_surface(
        ((2 + v.cos()) * u.cos()).numpy(), ((2 + v.cos()) * u.sin()).numpy(), v.sin().numpy(), facecolors=colours,
        rcount=n, ccount=n, linewidth=0, antialiased=False, shade=False,
    )  # fmt: skip
    right.set_box_aspect((3, 3, 1))
    right.view_init(elev=45, azim=-60)
    right.set_axis_off()
    right.set_title("on the torus")
    figure.savefig(out, dpi=100)


if __name__ == "__main__":
    main(Path("angles.png"))
