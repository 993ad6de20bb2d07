"""Draws of an annealed Langevin flow on a banana, after some of its layers."""

from pathlib import Path

import torch
from matplotlib.figure import Figure
from torch import Tensor

from pushforward.core import Real
from pushforward.distributions import Normal
from pushforward.transforms import Annealed, Metropolis, Schedule, Temperature

SPACE = Real((2,))


def banana(x: Tensor, context: Tensor | None = None) -> Tensor:
    """Log-density of a banana, (B,), with its constant."""
    y = x[:, 1] - 0.5 * x[:, 0].square() + 2
    return -x[:, 0].square() / 4.5 - 2 * y.square() - torch.log(torch.tensor(1.5 * torch.pi))


def main(out: Path, *, quick: bool = False) -> None:
    """Draw the points after 0, 4, 8 and 16 of the layers, and the estimate of the constant from their weights."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    rungs, start, gaps = 16, Normal(SPACE), Schedule(16)
    bridges = [Annealed(start._log_prob, banana, Temperature(gaps, i)) for i in reversed(range(rungs))]
    layers = [Metropolis(bridge, SPACE, steps=5, step=0.35, learned=False) for bridge in bridges]
    n = 300 if quick else 4000

    axis = torch.linspace(-4, 4, 120), torch.linspace(-4, 4, 120)
    grid = torch.cartesian_prod(*axis)
    figure = Figure(figsize=(11, 3), layout="constrained")
    with torch.no_grad():
        x, log_q = start.sample_and_log_prob(n)
        for step, panel in zip((0, 4, 8, 16), figure.subplots(1, 4), strict=True):
            while len(layers) > rungs - step:
                x, dlogp = layers.pop().inverse(x)
                log_q = log_q - dlogp
            panel.contour(*axis, banana(grid).exp().reshape(120, 120).T, levels=5, cmap="Greys", linewidths=0.7)
            panel.scatter(*x[:1500].T, s=2, color="#0072B2", alpha=0.6, linewidths=0)
            panel.set(xlim=(-4, 4), ylim=(-3.6, 4.2), xticks=[], yticks=[])
            panel.set_title("start" if step == 0 else f"after {step} layers")
        log_z = float((banana(x) - log_q).logsumexp(0) - torch.tensor(n).log())
    figure.suptitle(f"estimate of the log of the constant: {log_z:.3f}, exact: 0", fontsize=11)
    figure.savefig(out, dpi=100)


if __name__ == "__main__":
    main(Path("langevin_layers.png"))
