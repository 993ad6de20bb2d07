"""Arms with three joints whose hand is at one place: draws of a conditional flow beside those of rejection."""

from pathlib import Path

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from pushforward.inverse import RobotArm, fit

TARGET = torch.tensor([1.5, 0.0])


def draw(panel: Axes, x: Tensor, title: str) -> None:
    """Draw arms and the place of the hand."""
    for joints in RobotArm().joints(x):
        panel.plot(*joints.T, color="#0072B2", alpha=0.15, lw=1)
    panel.scatter(*RobotArm().joints(x[:1])[0].T, s=14, color="#D55E00", zorder=3)
    panel.plot(*RobotArm().joints(x[:1])[0].T, color="#D55E00", lw=2)
    panel.plot(*TARGET, "k+", ms=16, mew=2)
    panel.axvline(0, color="0.8", zorder=0)
    panel.set(xlim=(-0.5, 2.2), ylim=(-1.5, 1.5), aspect="equal", title=title)


def main(out: Path, *, quick: bool = False) -> None:
    """Fit the flow, and draw a hundred arms by each method."""
    torch.set_num_threads(1)
    found = fit(
        RobotArm(),
        simulations=500 if quick else 100_000,
        noise=0.02,
        arguments={"layers": 2 if quick else 6},
        epochs=1 if quick else 8,
        batch_size=512,
        lr=2e-3,
        schedule="cosine",
        progress=False,
    )
    accepted = found.rejection(TARGET, 20_000 if quick else 4_000_000, 0.2 if quick else 0.03)
    figure = Figure(figsize=(9, 4.6), layout="constrained")
    flow, reference = figure.subplots(1, 2)
    draw(flow, found.posterior(TARGET, 100), "conditional flow")
    draw(reference, accepted[:100], f"rejection: {len(accepted)} accepted")
    figure.savefig(out, dpi=75)


if __name__ == "__main__":
    main(Path("robot_arm.png"))
