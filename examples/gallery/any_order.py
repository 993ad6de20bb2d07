"""One model of two columns: their joint density, and each column given the other one."""

from pathlib import Path

import torch
from matplotlib.figure import Figure
from sklearn.datasets import make_moons

import pushforward as pf

COLOURS = ("#56B4E9", "#0072B2", "#D55E00")


def main(out: Path, *, quick: bool = False) -> None:
    """Fit two moons in any order, and draw the joint density and the conditionals in both directions."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    x = torch.tensor(make_moons(3000, noise=0.08, random_state=0)[0]).float()
    model = pf.build("any-order", features=2, hidden=(64, 64, 64))
    pf.fit(model, x, validation=0.1, epochs=1 if quick else 60, batch_size=128, lr=2e-3, progress=False)

    n = 15 if quick else 160
    u, v = torch.linspace(-1.6, 2.6, n), torch.linspace(-1.1, 1.6, n)
    grid = torch.cartesian_prod(u, v)
    with torch.no_grad():
        joint = model.log_prob(grid).exp().reshape(n, n)
        second = model.entry_log_prob(grid, 1).exp().reshape(n, n)
        first = model.entry_log_prob(grid, 0).exp().reshape(n, n)

    figure = Figure(figsize=(9, 3), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    left.imshow(joint.T, origin="lower", extent=(-1.6, 2.6, -1.1, 1.6), aspect="auto", cmap="Blues")
    left.scatter(*x[:300].T, s=3, color="#D55E00", linewidths=0)
    left.set(xlabel="a", ylabel="b", title="p(a, b)")
    for value, colour in zip((-0.5, 0.5, 1.5), COLOURS, strict=True):
        middle.plot(v, second[int((u - value).abs().argmin())], color=colour, lw=2, label=f"a = {value}")
    for value, colour in zip((-0.3, 0.25, 0.8), COLOURS, strict=True):
        right.plot(u, first[:, int((v - value).abs().argmin())], color=colour, lw=2, label=f"b = {value}")
    middle.set(xlabel="b", title="p(b | a)", ylim=(0, None))
    right.set(xlabel="a", title="p(a | b)", ylim=(0, None))
    for axes in (middle, right):
        axes.legend(frameon=False, fontsize=8)
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(out, dpi=100)


if __name__ == "__main__":
    main(Path("any_order.png"))
