"""Layers that are run without keeping intermediate results, and run again in the backward pass.

`core.memory` describes the memory modes and sets them.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, Literal

import torch
from torch import Tensor, nn

from ..errors import InversionError
from .transform import Transform, Undo

Memory = Literal["store", "invert", "checkpoint"]

_AVERAGING = nn.modules.batchnorm._BatchNorm
_RANDOM = (nn.modules.dropout._DropoutNd, nn.RReLU)


@dataclasses.dataclass(frozen=True)
class Step:
    """One layer of a chain, in the direction in which the chain runs it: from its input v to its output w.

    Args:
        layer: Layer of the chain.
        turned: Whether the chain runs the inverse of the layer.
    """

    layer: Transform
    turned: bool

    @functools.cached_property
    def parts(self) -> list[nn.Module]:
        """The layer and all modules inside it."""
        return list(self.layer.modules())

    @property
    def parameters(self) -> list[nn.Parameter]:
        """Trainable parameters of the layer, each once."""
        # Module.parameters() is several times slower, and this runs for every layer in every training step.
        found = [p for m in self.parts for p in m._parameters.values() if p is not None and p.requires_grad]
        return list(dict.fromkeys(found))

    @property
    def buffers(self) -> list[Tensor]:
        """Buffers of the layer and of the modules inside it."""
        return [b for m in self.parts for b in m._buffers.values() if b is not None]

    def run(self, v: Tensor, context: Any) -> tuple[Tensor, Tensor]:
        """Return w and dlogp for the input v."""
        return self.layer.inverse(v, context) if self.turned else self.layer(v, context)

    def undo(self, w: Tensor, context: Any) -> Tensor:
        """Return the input v for the output w."""
        return (self.layer(w, context) if self.turned else self.layer.inverse(w, context))[0]

    def rewind(self, w: Tensor, context: Any) -> tuple[Tensor, Tensor, Tensor]:
        """Return v as a leaf that requires a gradient, and w and dlogp computed from v with gradients recorded."""
        if not self.turned:
            return self.layer.rewind(w, context)
        with torch.no_grad():
            v = self.undo(w, context)
        v = v.detach().requires_grad_()
        return v, *self.run(v, context)

    def kept(self, mode: Memory) -> Memory:
        """Return how a memory mode treats this step now.

        "invert" falls back to "checkpoint" for a step without a cheap inverse, and both modes fall back to "store" for a step
        that cannot be run twice.
        """
        parts = self.parts
        # An inner chain has a memory mode of its own.
        if hasattr(self.layer, "memory") or any(isinstance(m, Transform) and not m.repeatable for m in parts):
            return "store"
        # Batch normalisation in training updates its running averages: a second run would update them twice.
        if any(isinstance(m, _AVERAGING) and m.training for m in parts):
            return "store"
        undone = (Undo.INVERSE if self.turned else Undo.FORWARD) in self.layer.undo
        # Dropout: the inverse would draw other random numbers than the forward pass, so v' would differ from v.
        random = any(isinstance(m, _RANDOM) and m.training for m in parts)
        spaces = (self.layer.x_space, self.layer.z_space)
        # Integer tensors (labels) carry no gradient through autograd.Function.
        numbers = all(space.event_dtype(torch.float32).is_floating_point for space in spaces)
        return "invert" if mode == "invert" and undone and numbers and not random else "checkpoint"


def economical(
    layers: Iterable[tuple[Transform, bool]], mode: Memory, v: Tensor, context: Any
) -> tuple[Tensor, Tensor]:
    """Run layers one after the other in a memory mode, and record gradients.

    Returns:
        The output of the last layer, and the sum of dlogp (B,) over the layers.
    """
    total: Tensor | None = None
    for kept, run in _runs([Step(layer, turned) for layer, turned in layers], mode, context):
        v, dlogp = _undone(run, v, context) if kept == "invert" else _repeated(run[0], kept, v, context)
        total = dlogp if total is None else total + dlogp
    return v, total  # type: ignore[return-value]


def _runs(steps: Sequence[Step], mode: Memory, context: Any) -> Iterator[tuple[Memory, list[Step]]]:
    """Yield maximal runs of neighbouring steps that can be inverted; yield each other step alone."""
    run: list[Step] = []
    # `_Run` returns a gradient for one context tensor. A context of another kind is left to checkpointing.
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
    """Raise an error if layers change buffers or draw random numbers when their flags promise that they do not.

    Without this check such a layer would give a wrong gradient and no error.

    Raises:
        InversionError: A buffer changed, or random numbers were drawn although `draws` is False.
    """
    buffers = [b for step in steps for b in step.buffers]
    versions = sum(b._version for b in buffers)
    random = None if draws else _random_state(v)
    yield
    names = ", ".join(dict.fromkeys(type(step.layer).__name__ for step in steps))
    if sum(b._version for b in buffers) != versions:
        raise InversionError(
            f"expected layers that do not change their buffers with memory={kept!r}, got a change in {names}; "
            "set `repeatable = False` in the layer, or use memory='store'"
        )
    after = None if random is None else _random_state(v)
    if random is not None and after is not None and not torch.equal(random, after):
        raise InversionError(
            f"expected layers without random numbers with memory='invert', got some drawn in {names}; "
            "set `undo = Undo.NOTHING` in the layer, or use memory='checkpoint'"
        )


def _random_state(v: Tensor) -> Tensor | None:
    """Return the state of the generator on v's device; None while a CUDA graph is captured, when it cannot be read."""
    if v.device.type != "cuda":
        return torch.get_rng_state()
    return None if torch.cuda.is_current_stream_capturing() else torch.cuda.get_rng_state(v.device)


class _Run(torch.autograd.Function):
    """A run of invertible layers as one autograd function of its input, the context and the parameters.

    Forward keeps only the final output w. Backward goes through the layers from last to first: it recomputes the input v of
    a layer as its inverse at w, runs the layer again from v with gradients recorded, and applies the chain rule
        grad_v = (dw/dv)^T grad_w + (d dlogp/dv)^T grad_total,
    and the same for the layer's parameters and the context. Every dlogp enters the total with weight one, so that
    grad_total is the same for all layers.
    """

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
        # Parameters are kept on ctx, not with save_for_backward: saved-tensor hooks (checkpointing, offloading) may return
        # copies, and gradients are matched to parameters by identity. Versions detect changes in place.
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
        # A fresh leaf: each layer's gradient with respect to the context is taken from it and added up below.
        if context is not None:
            context = context.detach().requires_grad_(ctx.needs_input_grad[2])
        for step in reversed(ctx.steps):
            own = step.parameters
            if not known.issuperset(own) or stale:
                raise InversionError(
                    "expected the parameters of the forward pass in the backward pass, got changed or other ones; "
                    "call backward() before the optimiser's step, or use memory='store'"
                )
            with torch.enable_grad(), _autocast(ctx.device, ctx.precision):
                v, w, dlogp = step.rewind(w, context)
            wanted = [v, *own] if context is None or not context.requires_grad else [v, *own, context]
            # An output without a gradient function, such as a constant dlogp, is left out: autograd.grad rejects it.
            pairs = [(t, g) for t, g in ((w, grad), (dlogp, grad_total)) if t.requires_grad]
            got = torch.autograd.grad([t for t, _ in pairs], wanted, [g for _, g in pairs], allow_unused=True)
            for tensor, part in zip(wanted[1:], got[1:], strict=True):
                if part is not None:
                    gradients[tensor] = gradients[tensor] + part if tensor in gradients else part
            # The recomputed v is the output of the layer before.
            w, grad = v.detach(), torch.zeros_like(v) if got[0] is None else got[0]
        return None, grad, gradients.get(context), *(gradients.get(p) for p in ctx.parameters)


def _autocast(device: str, precision: torch.dtype | None) -> AbstractContextManager[Any]:
    """Return a context manager that restores the autocast precision of the forward pass.

    The cache of cast weights is off: weights cast under no_grad would be cached without their gradient.
    """
    if precision is None:
        return nullcontext()
    return torch.autocast(device, precision, cache_enabled=False)
