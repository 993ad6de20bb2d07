"""Scalar maps of the line: each fitted to the same numbers, with its curve and its density."""

from pathlib import Path

import torch
from matplotlib.figure import Figure

import pushforward as pf
from pushforward import transforms as t
from pushforward.core import Flow, Real
from pushforward.distributions import Normal

MAPS = {
    "rational-quadratic spline": t.RationalQuadratic(8, 3.0),
    "linear-rational spline": t.PiecewiseSpline("linear-rational", 8, 3.0),
    "cubic spline": t.PiecewiseSpline("cubic", 8, 3.0),
    "quadratic spline": t.PiecewiseSpline("quadratic", 8, 3.0),
    "linear spline": t.PiecewiseSpline("linear", 8, 3.0),
    "deep sigmoidal": t.DeepSigmoidal(8),
    "dense sigmoidal, two layers": t.DeepSigmoidal(4, 2, dense=True),
    "integrated network": t.IntegratedNetwork(3.0),
    "sum of squares": t.SumOfSquares(3.0),
    "Bernstein polynomial": t.Bernstein(3.0),
    "cubic-rational": t.BentLine("cubic-rational"),
    "sinh": t.BentLine("sinh"),
    "sinh-arcsinh": t.BentLine("sinh-arcsinh"),
    "Johnson's S_U": t.BentLine("johnson-su"),
    "Yeo-Johnson": t.BentLine("yeo-johnson"),
}


def main(out: Path, *, quick: bool = False) -> None:
    """Fit one layer of each map to two bumps, a narrow one and a skewed one, and draw the maps above the densities."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    n = 200 if quick else 4000
    narrow, skewed = -1.2 + 0.25 * torch.randn(n // 2), 0.2 + 0.5 * torch.randn(n // 2).exp()
    x = torch.cat([narrow, skewed])[:, None]
    grid = torch.linspace(-3, 3, 601)[:, None]

    figure = Figure(figsize=(12, 7), layout="constrained")
    for panel, (name, scalar) in zip(figure.subplots(3, 5).flat, MAPS.items(), strict=True):
        flow = Flow(t.Elementwise(scalar, Real((1,))), Normal(Real((1,))))
        pf.fit(flow, x, batch_size=n, max_steps=3 if quick else 300, lr=0.05, schedule="cosine", progress=False)
        with torch.no_grad():
            density, curve = flow.log_prob(grid).exp(), flow.encode(grid)
            nll = -float(flow.log_prob(x).mean())
        panel.hist(x[:, 0].tolist(), bins=60, range=(-3, 3), density=True, color="0.85")
        panel.fill_between(grid[:, 0].tolist(), density.tolist(), color="C0", alpha=0.45)
        panel.set(xlim=(-3, 3), ylim=(0, 1.1), xticks=[], yticks=[])
        panel.set_title(f"{name}, {nll:.2f} nats", fontsize=9)
        above = panel.twinx()
        above.plot(grid[:, 0].tolist(), curve[:, 0].tolist(), color="C1")
        above.set(ylim=(-4, 4), yticks=[])
    figure.savefig(out, dpi=100)


if __name__ == "__main__":
    main(Path("scalar_maps.png"))
