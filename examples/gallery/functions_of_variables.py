"""Four functions of random variables: samples beside the exact density or probabilities."""

from pathlib import Path

import torch
from matplotlib.figure import Figure
from torch.distributions import Exponential, Independent, Poisson, Uniform

from pushforward.random_variables import linear, monotone, sum_of


def main(out: Path, *, quick: bool = False) -> None:
    """Draw a square, a linear map, a sum of two uniform variables and a sum of two counts."""
    torch.manual_seed(0)
    n = 1000 if quick else 100_000
    zero, one = torch.zeros((), dtype=torch.float64), torch.ones((), dtype=torch.float64)

    figure = Figure(figsize=(11, 2.6), layout="constrained")
    panels = figure.subplots(1, 4)
    square, z = monotone(Uniform(zero, 2 * one), torch.square, torch.sqrt), 2 * torch.rand(n)
    triangle, u = sum_of(Uniform(zero, one), Uniform(zero, one)), torch.rand(2, n).sum(0)
    for panel, law, samples, low, high, top, title in (
        (panels[0], square, z.square(), 0.002, 4, 2.2, "square of a uniform variable"),
        (panels[2], triangle, u, 0, 2, 1.1, "sum of two uniform variables"),
    ):
        panel.hist(samples, bins=60, density=True, color="0.8")
        grid = torch.linspace(low, high, 400, dtype=torch.float64)
        panel.plot(grid, law.log_prob(grid).exp(), color="#D55E00", lw=2)
        panel.set(title=title, ylim=(0, top))

    matrix = torch.tensor([[2.0, 1.0], [0.0, 3.0]], dtype=torch.float64)
    pair = linear(Independent(Exponential(torch.ones(2, dtype=torch.float64)), 1), matrix)
    axes = [torch.linspace(0.01, end, 90, dtype=torch.float64) for end in (9, 8)]
    points = torch.cartesian_prod(*axes)
    # Outside of the image of the map the density is zero.
    inside = (torch.linalg.solve(matrix, points.mT) > 0).all(0)
    density = torch.zeros(len(points), dtype=torch.float64)
    density[inside] = pair.log_prob(points[inside]).exp()
    panels[1].contourf(*axes, density.view(90, 90).mT, levels=12, cmap="Greys")
    panels[1].plot(*pair.sample((400,)).T, ".", ms=2, color="#D55E00")
    panels[1].set(title="linear map of exponential variables", xlim=(0, 9), ylim=(0, 8))

    counts = sum_of(Poisson(2 * one), Poisson(3 * one))
    k = torch.arange(16, dtype=torch.float64)
    drawn = torch.poisson(torch.full((n,), 2.0)) + torch.poisson(torch.full((n,), 3.0))
    panels[3].bar(k.numpy(), [float((drawn == value).double().mean()) for value in k], color="0.8")
    panels[3].plot(k.numpy(), counts.log_prob(k).exp().numpy(), "o", ms=4, color="#D55E00")
    panels[3].set_title("sum of two Poisson counts")
    for panel in panels:
        panel.title.set_fontsize(9)
        panel.spines[["top", "right"]].set_visible(False)
    figure.savefig(out, dpi=100)


if __name__ == "__main__":
    main(Path("functions_of_variables.png"))
