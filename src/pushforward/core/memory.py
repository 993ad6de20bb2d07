"""Training in less memory: chains that keep few of the numbers between their layers and compute them again on the way back.

Ordinary training ("store") keeps every intermediate result until the backward pass, which grows with the number of layers.
Two other modes trade time for it:

    "invert"      a run of neighbouring layers keeps only what comes out at its end. Going back, the input of each layer is its
                  inverse at its output, and the layer is run once more from there (Gomez et al. 2017, arXiv:1707.04585,
                  section 3.2). What is kept does not depend on how long the run is; the gradient is exact up to
                  the rounding of the inverses, which `reconstruction_drift` measures.
    "checkpoint"  each layer keeps its input and is run once more (Chen et al. 2016, arXiv:1604.06174). The gradient is the
                  same, bit for bit on one machine, and one event for each layer and row is kept.

A layer says in `Transform.undo` which of its directions can be undone at no extra cost, and in `Transform.repeatable`
whether it may be run twice. In the mode "invert", layers that cannot be undone, and those whose networks use dropout, are
checkpointed; layers that cannot be repeated (batch normalisation in training) are stored.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from typing import get_args

import torch
from torch import Tensor, nn

from ..errors import SpecError
from .chain import Chain
from .flow import Flow
from .recompute import Memory, Step


@dataclasses.dataclass(frozen=True)
class Drift:
    """How well one layer's input was recomputed.

    Args:
        layer: its number in the chain and its class.
        kept: Treatment in the mode "invert".
        alone: max |v - v'| / max(1, max |v|), v' recomputed from the layer's own output. NaN when it is not undone.
        along: the same with v' recomputed as in training, from the end of the run of layers it belongs to.
    """

    layer: str
    kept: Memory
    alone: float
    along: float


def set_memory(model: nn.Module, mode: Memory) -> None:
    """Choose how the chains of a model are trained; a setting of the object, not saved with its weights.

    Args:
        model: anything with a `Chain` in it.
        mode: "store", "invert" or "checkpoint".

    Raises:
        SpecError: there is no such mode, or no chain.
    """
    if mode not in get_args(Memory):
        raise SpecError(f"expected memory to be one of {', '.join(get_args(Memory))}, got {mode!r}")
    chains = [module for module in model.modules() if isinstance(module, Chain)]
    if mode != "store" and not chains:
        raise SpecError(f"expected a model with a Chain for memory={mode!r}, got one without; leave the option out")
    for chain in chains:
        chain.memory = mode


@contextmanager
def saving(model: nn.Module, mode: Memory) -> Iterator[None]:
    """Within, the model's chains are trained in a mode (see `set_memory`); after, as before.

    Raises:
        SpecError: there is no such mode, or no chain.
    """
    before = [(module, module.memory) for module in model.modules() if isinstance(module, Chain)]
    set_memory(model, mode)
    try:
        yield
    finally:
        for chain, memory in before:
            chain.memory = memory


def memory_plan(model: nn.Module, mode: Memory = "invert") -> list[tuple[str, Memory]]:
    """What a mode does with each layer at present: (number and class of the layer, "invert", "checkpoint" or "store").

    Args:
        model: a `Flow`, or a `Chain`.
        mode: the mode asked about.

    Raises:
        SpecError: there is no chain.
    """
    return [(_named(i, step), step.kept(mode)) for i, step in enumerate(_steps_of(model))]


@torch.no_grad()
def reconstruction_drift(model: nn.Module, x: Tensor, context: Tensor | None = None) -> list[Drift]:
    """How far the inputs recomputed in the mode "invert" are from those that were there, for each layer.

    Up to about 1e-3 in `along`, gradients in float32 are as good as training needs; drift grows with the steepness of the
    layers and with their number. Steep splines, large scales and networks in half precision make it worse; where it is
    too large, use "checkpoint".

    Args:
        model: a `Flow`, or a `Chain`, in the mode (training or evaluation) of interest.
        x: (B, *space.shape), a batch of data.
        context: (B, *context.shape) or None.

    Returns:
        One `Drift` for each layer, in the chain's order.

    Raises:
        SpecError: there is no chain.
    """
    steps = list(_steps_of(model))
    if isinstance(model, Flow):
        x, context, _ = model._flatten(x, context)
        context = model._embedded(context)
    kept = [step.kept("invert") for step in steps]
    inputs, ends = [], []
    for step in steps:
        inputs.append(x)
        x = step.run(x, context)[0]
        ends.append(x)
    found: list[Drift] = []
    again: Tensor | None = None
    for i in reversed(range(len(steps))):
        alone = along = float("nan")
        if kept[i] == "invert":
            again = steps[i].undo(ends[i] if again is None else again, context)
            alone = _distance(inputs[i], steps[i].undo(ends[i], context))
            along = _distance(inputs[i], again)
        else:
            again = None
        found.append(Drift(_named(i, steps[i]), kept[i], alone, along))
    return found[::-1]


def _steps_of(model: nn.Module) -> list[Step]:
    """Return the single layers of a model's chain."""
    chain = model.chain if isinstance(model, Flow) else model
    if not isinstance(chain, Chain):
        raise SpecError(f"expected a Flow with a Chain, or a Chain, got {type(model).__name__}")
    return [Step(layer, turned) for layer, turned in chain.opened(turned=False)]


def _named(number: int, step: Step) -> str:
    name = type(step.layer).__name__
    return f"{number} ({f'inverse of {name}' if step.turned else name})"


def _distance(v: Tensor, other: Tensor) -> float:
    if not v.numel():
        return 0.0
    return ((v - other).abs().max() / v.abs().max().clamp_min(1)).item()
