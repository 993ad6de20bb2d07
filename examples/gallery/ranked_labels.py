"""Probabilities of two labels, and of what a layer of shifts and a layer of ranks make of them."""

from pathlib import Path

import torch
from matplotlib.figure import Figure

import pushforward as pf
from pushforward.systems import Discrete

SIDE = 45


def table() -> torch.Tensor:
    """Return the probabilities of eight Gaussians on a circle, in SIDE x SIDE cells."""
    places = torch.linspace(-2.6, 2.6, SIDE)
    angles = torch.arange(8) * torch.pi / 4
    parts = [
        torch.outer((-((places - 2 * a.cos()) ** 2) / 0.03).exp(), (-((places - 2 * a.sin()) ** 2) / 0.03).exp())
        for a in angles
    ]
    return sum(parts) / sum(parts).sum()  # type: ignore[return-value, arg-type]


def main(out: Path, *, quick: bool = False) -> None:
    """Fit the flows and draw the tables."""
    torch.set_num_threads(1)
    p = table()
    states = torch.cartesian_prod(torch.arange(SIDE), torch.arange(SIDE))
    figure = Figure(figsize=(9, 3.7), layout="constrained")
    panels = figure.subplots(1, 3)
    entropy = float(torch.special.entr(p).sum())
    panels[0].imshow(p.T.sqrt(), origin="lower", cmap="Blues")
    panels[0].set_title(f"two labels of {SIDE} values\nentropy {entropy:.2f} nats", fontsize=10)
    for panel, bijection in zip(panels[1:], ("shift", "ranks"), strict=True):
        torch.manual_seed(0)
        x = states[torch.multinomial(p.flatten(), 500 if quick else 40_000, replacement=True)]
        spec = Discrete(
            classes=(SIDE, SIDE),
            structure="bipartite",
            layers=1,
            base="factorised",
            network="table",
            bijection=bijection,
        )
        flow = spec.build()
        pf.fit(flow, x, max_steps=3 if quick else 800, batch_size=512, lr=0.05, schedule="linear", progress=False)
        z = flow.encode(states).argmax(-1)
        moved = torch.zeros_like(p).index_put((z[:, 0], z[:, 1]), p.flatten(), accumulate=True)
        nats = -float((p.flatten() * flow.log_prob(states).detach()).sum())
        panel.imshow(moved.T.sqrt(), origin="lower", cmap="Blues")
        panel.set_title(
            f"after {'shifts' if bijection == 'shift' else 'ranks'}\n{nats:.2f} nats as independent labels", fontsize=10
        )
    for panel in panels:
        panel.set(xticks=[], yticks=[])
    figure.savefig(out, dpi=100)


if __name__ == "__main__":
    main(Path("ranked_labels.png"))
