"""Functions with a gradient derived by hand, and when they may be used.

A hand-derived gradient saves only what it needs and does each sum once. The plain formula beside it is its oracle; it is
also what compilers, functional transforms and forward-mode differentiation see, because they do better with it, and what
a second derivative is taken of.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad

Pair = tuple[Tensor, Tensor]


class Rule(Protocol):
    """A map of numbers v (...) with parameters p (..., n) to an image and its log-slope, in two forms that agree."""

    @property
    def plain(self) -> Callable[[Tensor, Tensor], Pair]:
        """The formula, for autograd and compilers."""

    def evaluate(self, v: Tensor, p: Tensor) -> tuple[Pair, tuple[Tensor, ...]]:
        """The same numbers, without autograd, and what `gradient` needs of them."""

    def gradient(self, inputs: Pair, saved: tuple[Tensor, ...], image: Tensor, slope: Tensor) -> Pair:
        """From the cotangents of the image and of the log-slope to those of the inputs."""


def derived(rule: Rule, v: Tensor, p: Tensor, *, compiled: Rule | None = None) -> Pair:
    """The rule at some tensors, in the form that suits the moment.

    Args:
        rule: for eager code.
        v: (...).
        p: (..., n), of the same batch: a rule sums no gradient.
        compiled: the same map for compilers, where the plain formula is not the best for them.
    """
    if not ordinary((v, p)):
        if compiled is not None and torch.compiler.is_dynamo_compiling() and not _transformed():
            return _Derived.apply(compiled, v, p)
        return rule.plain(v, p)
    if torch.is_grad_enabled() and (v.requires_grad or p.requires_grad):
        return _Derived.apply(rule, v, p)
    return rule.evaluate(v, p)[0]


def same_batch(v: Tensor, p: Tensor) -> Pair:
    """Numbers (...) and their parameters (..., n), expanded to the same shape: a rule sums no gradient."""
    if p.shape[:-1] == v.shape:
        return v, p
    batch = torch.broadcast_shapes(v.shape, p.shape[:-1])
    return v.expand(batch), p.expand(*batch, -1)


def second_gradient(
    outputs: tuple[Tensor, ...], inputs: tuple[Tensor | None, ...], cotangents: tuple[Tensor, ...]
) -> tuple[Tensor | None, ...]:
    """The gradient of outputs that autograd has recorded, open to being differentiated; None where none is wanted."""
    wanted = [t for t in inputs if t is not None and t.requires_grad]
    # An output may depend on inputs only that want no gradient.
    pairs = [(out, g) for out, g in zip(outputs, cotangents, strict=True) if out.requires_grad]
    recorded, given = zip(*pairs, strict=True)
    found = iter(torch.autograd.grad(recorded, wanted, given, create_graph=True, materialize_grads=True))
    return tuple(next(found) if t is not None and t.requires_grad else None for t in inputs)


def eager(*tensors: object) -> bool:
    """Whether values may be looked at: not while compiling, exporting, or under a functional transform."""
    if torch.compiler.is_compiling():
        return False
    return not any(isinstance(t, Tensor) and torch._C._functorch.is_functorch_wrapped_tensor(t) for t in tensors)


def _transformed() -> bool:
    """Whether a functional transform is active."""
    return torch._C._functorch.peek_interpreter_stack() is not None


# What torch.compiler.assume_constant_result does, which would import the whole compiler here.
_transformed._dynamo_marked_constant = True  # type: ignore[attr-defined]


def ordinary(tensors: tuple[Tensor, ...]) -> bool:
    """Whether all are plain tensors of one floating-point type, in eager mode."""
    if torch.compiler.is_compiling() or forward_ad._current_level >= 0 or _transformed():
        return False
    dtype = tensors[0].dtype
    if dtype is not torch.float32 and dtype is not torch.float64:
        return False
    return all(type(t) in _PLAIN and t.dtype is dtype for t in tensors)


_PLAIN = (Tensor, nn.Parameter)


class _Derived(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rule: Rule, v: Tensor, p: Tensor) -> Pair:
        pair, saved = rule.evaluate(v, p)
        ctx.rule = rule
        ctx.save_for_backward(v, p, *saved)
        return pair

    @staticmethod
    def backward(ctx: Any, *cotangents: Tensor) -> tuple[Tensor | None, ...]:
        v, p, *saved = ctx.saved_tensors
        if torch.is_grad_enabled():
            # A second derivative is wanted: differentiate the plain formula.
            return None, *second_gradient(ctx.rule.plain(v, p), (v, p), cotangents)
        return None, *ctx.rule.gradient((v, p), tuple(saved), *cotangents)
