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
import functools
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, get_args

import torch
from torch import Tensor, nn

from ..errors import InversionError, SpecError
from .base import Transform, Undo
from .compose import Chain, Flow, Inverse, Memory

_AVERAGING = nn.modules.batchnorm._BatchNorm
_RANDOM = (nn.modules.dropout._DropoutNd, nn.RReLU)


@dataclasses.dataclass(frozen=True)
class Step:
    """One layer of a chain in the direction in which it is run: from v, where it starts, to w, where it ends.

    Args:
        layer: the layer.
        turned: whether it is its inverse that is run.
    """

    layer: Transform
    turned: bool

    @functools.cached_property
    def parts(self) -> list[nn.Module]:
        """The layer and all modules in it."""
        return list(self.layer.modules())

    @property
    def parameters(self) -> list[nn.Parameter]:
        """Those that learn, each once."""
        # Not `parameters()` of the module: several times slower, and it is called for every layer in every step.
        found = [p for m in self.parts for p in m._parameters.values() if p is not None and p.requires_grad]
        return list(dict.fromkeys(found))

    @property
    def buffers(self) -> list[Tensor]:
        """All of them."""
        return [b for m in self.parts for b in m._buffers.values() if b is not None]

    def run(self, v: Tensor, context: Any) -> tuple[Tensor, Tensor]:
        """V -> w, dlogp."""
        return self.layer.inverse(v, context) if self.turned else self.layer(v, context)

    def undo(self, w: Tensor, context: Any) -> Tensor:
        """W -> v."""
        return (self.layer(w, context) if self.turned else self.layer.inverse(w, context))[0]

    def rewind(self, w: Tensor, context: Any) -> tuple[Tensor, Tensor, Tensor]:
        """V with gradients switched on, and w and dlogp recorded from it."""
        if not self.turned:
            return self.layer.rewind(w, context)
        with torch.no_grad():
            v = self.undo(w, context)
        v = v.detach().requires_grad_()
        return v, *self.run(v, context)

    def kept(self, mode: Memory) -> Memory:
        """How the mode treats this step at present: what it cannot undo it checkpoints, what it cannot repeat it stores."""
        parts = self.parts
        if isinstance(self.layer, Chain) or any(isinstance(m, Transform) and not m.repeatable for m in parts):
            return "store"
        if any(isinstance(m, _AVERAGING) and m.training for m in parts):
            return "store"
        undone = (Undo.INVERSE if self.turned else Undo.FORWARD) in self.layer.undo
        random = any(isinstance(m, _RANDOM) and m.training for m in parts)
        spaces = (self.layer.x_space, self.layer.z_space)
        numbers = all(space.event_dtype(torch.float32).is_floating_point for space in spaces)
        return "invert" if mode == "invert" and undone and numbers and not random else "checkpoint"


@dataclasses.dataclass(frozen=True)
class Drift:
    """How well one layer's input was recomputed.

    Args:
        layer: its number in the chain and its class.
        kept: how the mode "invert" treats it.
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
    return [(_named(i, step), step.kept(mode)) for i, step in enumerate(steps_of(_chain_of(model), turned=False))]


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
    chain = _chain_of(model)
    if isinstance(model, Flow):
        x, context, _ = model._flatten(x, context)
        context = model._embedded(context)
    steps = list(steps_of(chain, turned=False))
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


def steps_of(layer: Transform, *, turned: bool) -> Iterator[Step]:
    """The single layers that make up a layer, in the order of their use: chains opened up, inverses turned round.

    A part with hooks of its own stays whole, so that they are called; a chain among those sees to its own memory.
    """
    hooked = bool(layer._forward_hooks or layer._forward_pre_hooks)
    if isinstance(layer, Chain) and not hooked:
        yield from _opened(layer, turned=turned)
    elif isinstance(layer, Inverse) and not hooked:
        yield from steps_of(layer.layer, turned=not turned)
    else:
        yield Step(layer, turned)


def economical(chain: Chain, v: Tensor, context: Any, *, turned: bool) -> tuple[Tensor, Tensor]:
    """A chain run in its memory mode, as `Chain.forward` and, turned, `Chain.inverse` do; gradients are recorded."""
    total: Tensor | None = None
    for kept, steps in _runs(list(_opened(chain, turned=turned)), chain.memory, context):
        v, dlogp = _undone(steps, v, context) if kept == "invert" else _repeated(steps[0], kept, v, context)
        total = dlogp if total is None else total + dlogp
    return v, total  # type: ignore[return-value]


def _opened(chain: Chain, *, turned: bool) -> Iterator[Step]:
    for part in reversed(chain.layers) if turned else chain.layers:
        yield from steps_of(part, turned=turned)


def _runs(steps: Sequence[Step], mode: Memory, context: Any) -> Iterator[tuple[Memory, list[Step]]]:
    """Neighbouring steps that can be undone, together; the others one by one."""
    run: list[Step] = []
    single = context is None or isinstance(context, Tensor)
    for step in steps:
        kept = step.kept(mode)
        if kept == "invert" and single:
            run.append(step)
            continue
        if run:
            yield "invert", run
            run = []
        yield "checkpoint" if kept == "invert" else kept, [step]
    if run:
        yield "invert", run


def _repeated(step: Step, kept: Memory, v: Tensor, context: Any) -> tuple[Tensor, Tensor]:
    if kept == "store":
        return step.run(v, context)
    from torch.utils.checkpoint import checkpoint

    with _watched([step], v, kept, draws=True):
        return checkpoint(step.run, v, context, use_reentrant=False)


def _undone(steps: Sequence[Step], v: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
    parameters = dict.fromkeys(p for step in steps for p in step.parameters)
    with _watched(steps, v, "invert", draws=False):
        return _Run.apply(steps, v, context, *parameters)


@contextmanager
def _watched(steps: Sequence[Step], v: Tensor, kept: Memory, *, draws: bool) -> Iterator[None]:
    """Refuse layers that do not keep what they promise: the gradient would be wrong without a word.

    Raises:
        InversionError: buffers changed, or random numbers were drawn where `draws` is False.
    """
    buffers = [b for step in steps for b in step.buffers]
    versions = sum(b._version for b in buffers)
    random = None if draws else _random_state(v)
    yield
    names = ", ".join(dict.fromkeys(type(step.layer).__name__ for step in steps))
    if sum(b._version for b in buffers) != versions:
        raise InversionError(
            f"expected layers that leave their buffers alone with memory={kept!r}, got a change in {names}; "
            "set `repeatable = False` in the layer, or use memory='store'"
        )
    after = None if random is None else _random_state(v)
    if random is not None and after is not None and not torch.equal(random, after):
        raise InversionError(
            f"expected layers without random numbers with memory='invert', got some drawn in {names}; "
            "set `undo = Undo.NOTHING` in the layer, or use memory='checkpoint'"
        )


def _random_state(v: Tensor) -> Tensor | None:
    """Of the device's generator; None while a CUDA graph is captured, when it cannot be read."""
    if v.device.type != "cuda":
        return torch.get_rng_state()
    return None if torch.cuda.is_current_stream_capturing() else torch.cuda.get_rng_state(v.device)


class _Run(torch.autograd.Function):
    """A run of layers as one function of its input, the context and the parameters, all of which get gradients."""

    @staticmethod
    def forward(ctx: Any, steps: Sequence[Step], v: Tensor, context: Tensor | None, *parameters: Tensor) -> Any:
        ctx.steps, ctx.device = steps, v.device.type
        cast = torch.amp.is_autocast_available(ctx.device) and torch.is_autocast_enabled(ctx.device)
        ctx.precision = torch.get_autocast_dtype(ctx.device) if cast else None
        total = None
        with _autocast(ctx.device, ctx.precision):
            for step in steps:
                v, dlogp = step.run(v, context)
                total = dlogp if total is None else total + dlogp
        ctx.save_for_backward(v, context)
        # By hand and not as saved tensors, which others (checkpoints, offloading) may pack and give back as copies.
        ctx.parameters, ctx.versions = parameters, [p._version for p in parameters]
        return v, total

    @staticmethod
    def backward(ctx: Any, grad: Tensor | None, grad_total: Tensor | None) -> Any:
        if torch.is_grad_enabled():
            raise InversionError(
                "expected a gradient taken once, got create_graph=True: there are no second derivatives with "
                "memory='invert'; use memory='checkpoint' or 'store'"
            )
        w, context = ctx.saved_tensors
        gradients: dict[Tensor, Tensor] = {}
        known = set(ctx.parameters)
        stale = [p._version for p in ctx.parameters] != ctx.versions
        if context is not None:
            context = context.detach().requires_grad_(ctx.needs_input_grad[2])
        for step in reversed(ctx.steps):
            own = step.parameters
            if not known.issuperset(own) or stale:
                raise InversionError(
                    "expected the parameters of the forward pass in the backward pass, got changed or other ones; "
                    "go back before the optimiser's step, or use memory='store'"
                )
            with torch.enable_grad(), _autocast(ctx.device, ctx.precision):
                v, w, dlogp = step.rewind(w, context)
            wanted = [v, *own] if context is None or not context.requires_grad else [v, *own, context]
            pairs = [(t, g) for t, g in ((w, grad), (dlogp, grad_total)) if t.requires_grad]
            got = torch.autograd.grad([t for t, _ in pairs], wanted, [g for _, g in pairs], allow_unused=True)
            for tensor, part in zip(wanted[1:], got[1:], strict=True):
                if part is not None:
                    gradients[tensor] = gradients[tensor] + part if tensor in gradients else part
            w, grad = v.detach(), torch.zeros_like(v) if got[0] is None else got[0]
        return None, grad, gradients.get(context), *(gradients.get(p) for p in ctx.parameters)


def _autocast(device: str, precision: torch.dtype | None) -> AbstractContextManager[Any]:
    """The precision of the forward pass. Without the cache of cast weights: those cast here carry no gradient."""
    if precision is None:
        return nullcontext()
    return torch.autocast(device, precision, cache_enabled=False)


def _chain_of(model: nn.Module) -> Chain:
    chain = model.chain if isinstance(model, Flow) else model
    if not isinstance(chain, Chain):
        raise SpecError(f"expected a Flow with a Chain, or a Chain, got {type(model).__name__}")
    return chain


def _named(number: int, step: Step) -> str:
    name = type(step.layer).__name__
    return f"{number} ({f'inverse of {name}' if step.turned else name})"


def _distance(v: Tensor, other: Tensor) -> float:
    if not v.numel():
        return 0.0
    return ((v - other).abs().max() / v.abs().max().clamp_min(1)).item()
