"""The page's sentences, and what systems, sizes and libraries are called on it."""

from __future__ import annotations

from ..peers import NAMES, load_entry
from .timing import Plan
from .work import BINS, BOUND, SIZES, SYSTEMS

COLUMNS = "D, batch, width"

INTRODUCTION = """\
Written by `{command}`. The same flows in this library and in its peers, timed in turns. Under a peer's name stands its time
over Pushforward's: 2.00 means that it takes twice as long. Each number is the median of ratios within a round, with the
quartiles in brackets. The fastest peer is in bold. The *floor* is the flow's networks alone, as plain dense modules: their
matrix products, backward pass and optimiser. No flow of that form is faster, unless it makes use of its masks' zeros."""

TITLES = {
    "density": ("Density", "`log_prob` of one batch, without gradients."),
    "training": (
        "Training step",
        "Zero the gradients, forward, backward, one step of the fused Adam. For IAF a reverse-KL step on as many draws, which "
        "is what it is made for.",
    ),
    "sampling": ("Drawing", "A batch of draws. The floor is one pass of the networks."),
    "sampling-density": (
        "Drawing with log-probabilities",
        "A batch of draws and the log-probability of each. The floor is one pass of the networks.",
    ),
    "spline": (
        "The spline alone",
        "The rational-quadratic map of as many numbers as a layer maps, from unconstrained parameters, without gradients; and "
        "with its gradients with respect to both.",
    ),
    "peak": (
        "Memory of a training step",
        "What a step saves for its backward pass, each storage counted once, without parameters and batch (in brackets: over "
        "Pushforward's); and, coarsely, by how much the first full step raised the peak memory of its process.",
    ),
    "constant-memory": (
        "Constant-memory training",
        "Peak memory of activations and time of a training step with the switch on. `python -m benchmarks.memory` prints more.",
    ),
    "start": (
        "Start",
        "Each in fresh processes. The first row is in seconds, because its aim is; a library that imports its parts only when "
        "they are used pays for them in the second row: import, a small MAF (FrEIA: RealNVP) and its first density.",
    ),
}

_PLAN = Plan()

METHOD = f"""\
- **Work.** Couplings map one half of the coordinates, then the other: RealNVP and the spline coupling have
  {SYSTEMS["realnvp"].layers} layers, the autoregressive flows {SYSTEMS["maf"].layers}, the order reversed between them. Every
  network is plain, with two hidden layers and ReLU. Splines have {BINS} bins on [-{BOUND:g}, {BOUND:g}] and are the identity
  outside. No linear layers, normalisation or dropout, except in the Glow block: {SYSTEMS["glow"].layers} steps of actnorm, 1x1
  convolution and affine coupling with convolutions of 3x3, 1x1, 3x3, on a 3x32x32 image squeezed to 12x16x16.
- **The same work.** A peer takes part when its parameters are within 2 % of the expected number, its density (its draw, for
  IAF) takes one pass of the networks as counted by its matrix products, and its log-probabilities are finite. All weights are
  drawn anew with the same spread. Scales are bounded and bins are normalised as each library does it.
- **Public functions.** Peers are called as their documentation calls them, and composed of their own layers; the network of a
  coupling is the same plain module wherever a library takes one.
- **Turns.** Everyone has one block of calls in each round, long enough for {1000 * _PLAN.block:.0f} ms, the order turning
  from round to round; what counts is the ratio within the round. Before that everyone is warmed up. Garbage is collected
  between rounds, never in a block. A call that takes more than {_PLAN.slow:g} s is measured once, one of half of that twice.
- **Floor.** Dense networks of the same shapes, their inputs and the gradients of their outputs ready; inputs of all but the
  first need gradients, as in a flow; the same fused Adam on as many parameters. A masked network counts as the dense one.
- **Compiled** is `torch.compile(..., fullgraph=True)` of the loss (density: of the flow), beside peers as they are.
  Compiling is not part of the times.
- Float32, standard normal data, the same seed."""


def title_of(name: str) -> str:
    """Of a system or of a contender (a library, perhaps with a suffix)."""
    if name in SYSTEMS:
        return SYSTEMS[name].title
    library, _, suffix = name.partition(":")
    title = load_entry(library).name if library in NAMES else library
    return f"{title}, {suffix}" if suffix else title


def size_of(name: str) -> str:
    """D, batch, width; or the shape of an image instead of D."""
    return str(SIZES[name]) if name in SIZES else name


def place(text: str) -> str:
    """Names in "case: system, size, ..." as they are shown."""
    case, colon, rest = text.rpartition(": ")
    parts = rest.split(", ")
    shown = [f"({size_of(part)})" if part in SIZES else title_of(part) for part in parts]
    return f"{TITLES[case][0].lower()}: {', '.join(shown)}" if colon else ", ".join(shown)
