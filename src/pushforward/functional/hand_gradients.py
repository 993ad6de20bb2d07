"""Functions with a hand-written gradient, and the conditions for their use.

A hand-written gradient saves only the tensors that it needs and computes each sum once. Beside it stands the plain
formula. Tests compare the two. Compilers, function transforms and forward-mode differentiation use the plain formula,
which they handle better, and second derivatives are taken of it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad

Pair = tuple[Tensor, Tensor]


class Rule(Protocol):
    """Map of numbers v (...) with parameters p (..., n) to an image and its log-slope, in two forms with equal results."""

    @property
    def plain(self) -> Callable[[Tensor, Tensor], Pair]:
        """The plain formula, for autograd and compilers."""

    def evaluate(self, v: Tensor, p: Tensor) -> tuple[Pair, tuple[Tensor, ...]]:
        """Return the same results, without autograd, and the tensors that `gradient` needs."""

    def gradient(self, inputs: Pair, saved: tuple[Tensor, ...], image: Tensor, slope: Tensor) -> Pair:
        """Return the gradients with respect to v and p, from those with respect to the image and the log-slope."""


def derived(rule: Rule, v: Tensor, p: Tensor, *, compiled: Rule | None = None) -> Pair:
    """Return the image and log-slope of a rule, with the hand-written gradient where that is possible.

    Args:
        rule: Rule for eager code.
        v: Numbers (...).
        p: Parameters (..., n) with the batch shape of v: a rule does not sum gradients over broadcast dimensions.
        compiled: Rule of the same map for compilers, if the plain formula is slow when compiled.
    """
    if not ordinary((v, p)):
        if compiled is not None and torch.compiler.is_dynamo_compiling() and not _transformed():
            return _Derived.apply(compiled, v, p)
        return rule.plain(v, p)
    if torch.is_grad_enabled() and (v.requires_grad or p.requires_grad):
        return _Derived.apply(rule, v, p)
    return rule.evaluate(v, p)[0]


def same_batch(v: Tensor, p: Tensor) -> Pair:
    """Return numbers (...) and parameters (..., n) expanded to one batch shape, because rules do not sum gradients."""
    if p.shape[:-1] == v.shape:
        return v, p
    batch = torch.broadcast_shapes(v.shape, p.shape[:-1])
    return v.expand(batch), p.expand(*batch, -1)


def second_gradient(
    outputs: tuple[Tensor, ...], inputs: tuple[Tensor | None, ...], cotangents: tuple[Tensor, ...]
) -> tuple[Tensor | None, ...]:
    """Return the gradients of recorded outputs, themselves differentiable; None for inputs that require no gradient."""
    wanted = [t for t in inputs if t is not None and t.requires_grad]
    # An output may depend only on inputs that require no gradient; autograd.grad rejects such outputs.
    pairs = [(out, g) for out, g in zip(outputs, cotangents, strict=True) if out.requires_grad]
    recorded, given = zip(*pairs, strict=True)
    found = iter(torch.autograd.grad(recorded, wanted, given, create_graph=True, materialize_grads=True))
    return tuple(next(found) if t is not None and t.requires_grad else None for t in inputs)


def eager(*tensors: object) -> bool:
    """Return whether values may be read in Python: not while compiling or exporting, and not under a function transform."""
    if torch.compiler.is_compiling():
        return False
    return not any(isinstance(t, Tensor) and torch._C._functorch.is_functorch_wrapped_tensor(t) for t in tensors)


def _transformed() -> bool:
    """Return whether a function transform of `torch.func` is active."""
    return torch._C._functorch.peek_interpreter_stack() is not None


# This is what torch.compiler.assume_constant_result does; calling it would import the whole compiler.
_transformed._dynamo_marked_constant = True  # type: ignore[attr-defined]


def ordinary(tensors: tuple[Tensor, ...]) -> bool:
    """Return whether all tensors are plain ones of one type, float32 or float64, in eager mode without transforms."""
    if torch.compiler.is_compiling() or forward_ad._current_level >= 0 or _transformed():
        return False
    dtype = tensors[0].dtype
    if dtype is not torch.float32 and dtype is not torch.float64:
        return False
    return all(type(t) in _PLAIN and t.dtype is dtype for t in tensors)


_PLAIN = (Tensor, nn.Parameter)


class _Derived(torch.autograd.Function):
    @staticmethod
    # Inside an autograd.Function no operation is recorded, so `evaluate` may work in place.
    def forward(ctx: Any, rule: Rule, v: Tensor, p: Tensor) -> Pair:
        pair, saved = rule.evaluate(v, p)
        ctx.rule = rule
        ctx.save_for_backward(v, p, *saved)
        return pair

    @staticmethod
    def backward(ctx: Any, *cotangents: Tensor) -> tuple[Tensor | None, ...]:
        v, p, *saved = ctx.saved_tensors
        if torch.is_grad_enabled():
            # Second derivatives are asked for (create_graph=True): differentiate the plain formula.
            return None, *second_gradient(ctx.rule.plain(v, p), (v, p), cotangents)
        return None, *ctx.rule.gradient((v, p), tuple(saved), *cotangents)
