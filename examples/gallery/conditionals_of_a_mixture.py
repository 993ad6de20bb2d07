"""An autoregressive mixture: the density of the second number, given the first, is a mixture of its own."""

from pathlib import Path

import torch
from matplotlib.figure import Figure

import pushforward as pf


def main(out: Path, *, quick: bool = False) -> None:
    """Fit RNADE to two interleaved spirals, and draw some of its conditional densities."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    x = spirals(400 if quick else 20_000)
    model = pf.systems.RNADE(features=2, hidden=100, components=12).build()
    pf.fit(model, x, epochs=1 if quick else 40, lr=1e-2, schedule="cosine", batch_size=500, progress=False)

    figure = Figure(figsize=(9, 3.6), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    at, colours = (-1.0, 0.0, 0.8), ("#0072B2", "#D55E00", "#009E73")
    with torch.no_grad():
        drawn = model.sample(400 if quick else 5000)
        grid = torch.linspace(-2.2, 2.2, 300)
        for value, colour in zip(at, colours, strict=True):
            rows = torch.stack([torch.full_like(grid, value), grid], 1)
            joint = model.log_prob(rows).exp()
            middle.plot(grid, joint / (joint.sum() * (grid[1] - grid[0])), color=colour, label=f"x1 = {value:g}")
    for panel, points, title in ((left, x[: len(drawn)], "data"), (right, drawn, "samples")):
        panel.scatter(points[:, 0], points[:, 1], s=1, color="black", alpha=0.4, linewidths=0)
        panel.set(title=title, xlim=(-2.2, 2.2), ylim=(-2.2, 2.2), aspect="equal", xlabel="x1", ylabel="x2")
    for value, colour in zip(at, colours, strict=True):
        left.axvline(value, color=colour, lw=1.5)
    middle.set(title="p(x2 | x1)", xlabel="x2", yticks=[])
    middle.legend(
        frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=3, handlelength=1, columnspacing=1
    )
    middle.spines[["top", "right", "left"]].set_visible(False)
    figure.savefig(out, dpi=100)


def spirals(rows: int) -> torch.Tensor:
    """Return points of two spirals with a little noise."""
    angle = 3 * torch.pi * torch.rand(rows).sqrt() + 1
    side = 2 * (torch.rand(rows) < 0.5).float() - 1
    radius = side * angle / 6
    return torch.stack([radius * angle.cos(), radius * angle.sin()], 1) + 0.04 * torch.randn(rows, 2)


if __name__ == "__main__":
    main(Path("conditionals_of_a_mixture.png"))
