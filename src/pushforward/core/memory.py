"""Training in less memory: chains that keep few intermediate results and compute the others again in the backward pass.

Ordinary training ("store") keeps every intermediate result until the backward pass, so memory grows with the number of
layers. Two other modes save memory and take more time:

    "invert"      Neighbouring invertible layers form a run, which keeps only its final output. In the backward pass the
                  input of each layer is its inverse applied to its output, and the layer is run again from there
                  (Gomez et al. 2017, arXiv:1707.04585, section 3.2). Memory does not depend on the length of the run. The
                  gradient is exact up to the rounding of the inverses, which `reconstruction_drift` measures.
    "checkpoint"  Each layer keeps its input and is run again in the backward pass (Chen et al. 2016, arXiv:1604.06174).
                  The gradient is the same bit for bit on one machine. One event per layer and row is kept.

`Transform.undo` states which directions of a layer have a cheap, deterministic inverse, and `Transform.repeatable` whether
it may be run twice. In the mode "invert", layers without such an inverse and layers whose networks use dropout are
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
    """Error with which one layer's input is recomputed.

    Args:
        layer: Index of the layer in the chain and its class.
        kept: Treatment of the layer in the mode "invert".
        alone: Max |v - v'| / max(1, max |v|) between the input v and v' recomputed from the layer's own output; NaN if the
            layer is not inverted.
        along: The same error with v' recomputed as in training, starting at the end of the run of layers.
    """

    layer: str
    kept: Memory
    alone: float
    along: float


def set_memory(model: nn.Module, mode: Memory) -> None:
    """Choose how the chains of a model save memory in training; the choice is not saved with the weights.

    Args:
        model: Module that contains a `Chain`.
        mode: One of "store", "invert" and "checkpoint".

    Raises:
        SpecError: The mode is unknown, or the model has no chain.
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
    """Set the memory mode of the model's chains (see `set_memory`) inside a `with` block and restore it afterwards.

    Raises:
        SpecError: The mode is unknown, or the model has no chain.
    """
    before = [(module, module.memory) for module in model.modules() if isinstance(module, Chain)]
    set_memory(model, mode)
    try:
        yield
    finally:
        for chain, memory in before:
            chain.memory = memory


def memory_plan(model: nn.Module, mode: Memory = "invert") -> list[tuple[str, Memory]]:
    """Return how a mode treats each layer now: pairs (index and class of the layer, "invert", "checkpoint" or "store").

    Args:
        model: A `Flow` or a `Chain`.
        mode: Memory mode to look up.

    Raises:
        SpecError: The model has no chain.
    """
    return [(_named(i, step), step.kept(mode)) for i, step in enumerate(_steps_of(model))]


@torch.no_grad()
def reconstruction_drift(model: nn.Module, x: Tensor, context: Tensor | None = None) -> list[Drift]:
    """Return, for each layer, the error of the inputs that the mode "invert" recomputes.

    If `along` is at most about 1e-3, gradients in float32 are good enough for training. The error grows with the number of
    layers and with their steepness: steep splines, large scales and networks in half precision increase it. Use "checkpoint"
    where it is too large.

    Args:
        model: A `Flow` or a `Chain`, in training or evaluation mode, whichever is of interest.
        x: Batch of data, (B, *space.shape).
        context: Context of shape (B, *context.shape), or None.

    Returns:
        One `Drift` for each layer, in the chain's order.

    Raises:
        SpecError: The model has no chain.
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
