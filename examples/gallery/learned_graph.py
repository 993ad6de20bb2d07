"""A graph between five columns that is learned with the density, and the probabilities of its edges."""

from pathlib import Path

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import pushforward as pf
from pushforward.objectives import learned_graph

NAMES = ("a", "b", "c", "d", "e")
TRUE = {("a", "c"), ("a", "d"), ("b", "d"), ("c", "e"), ("d", "e")}
PLACES = {"a": (0.15, 0.9), "b": (0.85, 0.9), "c": (0.15, 0.5), "d": (0.85, 0.5), "e": (0.5, 0.1)}


def main(out: Path, *, quick: bool = False) -> None:
    """Fit the flow, and draw the true graph, the learned one and the probabilities."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    flow = pf.systems.Graphical(features=5, hidden=(32, 32), sparsity=0.02).build()
    pf.fit(flow, rows(200 if quick else 4000), epochs=1 if quick else 60, lr=3e-3, progress=False)
    graph = learned_graph(flow)
    found = {(NAMES[j], NAMES[i]) for i, row in enumerate(graph.parents) for j in row}

    figure = Figure(figsize=(9, 3.5), layout="constrained")
    panels = figure.subplots(1, 3)
    draw(panels[0], TRUE, "graph of the data")
    draw(panels[1], found, "learned graph")
    shown = panels[2].imshow(graph.probabilities.detach(), cmap="Blues", vmin=0, vmax=1)
    panels[2].set(
        xticks=range(5), yticks=range(5), xticklabels=NAMES, yticklabels=NAMES, xlabel="parent", ylabel="child"
    )
    panels[2].set_title("probability of an edge")
    figure.colorbar(shown, ax=panels[2])
    figure.savefig(out, dpi=100)


def rows(n: int) -> torch.Tensor:
    """Return rows of five dependent variables, standardised."""
    a, b, *noise = torch.randn(5, n)
    c = torch.sin(2 * a) + 0.2 * noise[0]
    d = a * b + 0.3 * noise[1]
    e = 0.7 * (c + d) + 0.3 * noise[2]
    x = torch.stack([a, b, c, d, e], 1)
    return (x - x.mean(0)) / x.std(0)


def draw(panel: Axes, edges: set[tuple[str, str]], title: str) -> None:
    """Draw a graph; edges that the data do not have, in either direction, are orange."""
    for start, end in sorted(edges):
        true = {(start, end), (end, start)} & TRUE
        arrow = {"arrowstyle": "-|>", "color": "black" if true else "#D55E00", "shrinkA": 13, "shrinkB": 13}
        panel.annotate("", PLACES[end], PLACES[start], arrowprops=arrow)
    for name, (x, y) in PLACES.items():
        panel.text(x, y, name, ha="center", va="center", size=13, bbox={"boxstyle": "circle", "fc": "#DCE9F5"})
    panel.set(xlim=(0, 1), ylim=(0, 1), title=title)
    panel.axis("off")


if __name__ == "__main__":
    main(Path("learned_graph.png"))
