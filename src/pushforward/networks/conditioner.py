"""Adapters that let any module be a conditioner, the network that computes the parameters of a layer's map."""

from __future__ import annotations

import inspect
from collections.abc import Callable

import torch
from torch import Tensor, nn

from ..errors import ContextError, ShapeError
from ..recording import Recorded


class Conditioner(Recorded, nn.Module):
    """Adapter of a module with one argument to the call of a conditioner, (x, context).

        without a context: net(x)        with a context: net([x, context]), concatenated along `dim`

    A context with fewer dimensions than x is repeated: (B, C) at every position of pictures (B, N, H, W), and at every token
    of (B, T, N).

    Args:
        net: Module from a tensor to a tensor.
        shape: Shape of the result without the batch dimension.
        dim: Dimension along which x and the context are concatenated.

    Raises:
        ShapeError: When called: the module returns another shape.
        ContextError: When called: x and the context cannot be concatenated.
    """

    def __init__(self, net: nn.Module, shape: tuple[int, ...], dim: int = 1) -> None:
        super().__init__()
        self.net, self.shape, self.dim = net, tuple(shape), dim

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """Return the module's result: x (B, N, ...), context (B, C, ...) or None -> (B, *shape)."""
        made = self._made(x, context)
        if tuple(made.shape) != (x.shape[0], *self.shape):
            raise ShapeError(
                f"expected the conditioner {type(self.net).__name__} to return shape {(x.shape[0], *self.shape)} "
                f"for {x.shape[0]} rows, got {tuple(made.shape)}; change the size of its last layer"
            )
        return made

    def _made(self, x: Tensor, context: Tensor | None) -> Tensor:
        made: Tensor = self.net(x if context is None else side_by_side(x, context, self.dim))
        return made


class OptionalContext(Conditioner):
    """Adapter of a module whose second argument is optional; it is called with the context there, if there is one.

        without a context: net(x)        with a context: net(x, context)

    Args:
        net: Module from a tensor, and optionally a context, to a tensor.
        shape: Shape of the result without the batch dimension.
        dim: Not used.
    """

    def _made(self, x: Tensor, context: Tensor | None) -> Tensor:
        made: Tensor = self.net(x) if context is None else self.net(x, context)
        return made


def as_conditioner(net: nn.Module, shape: tuple[int, ...], dim: int = 1) -> nn.Module:
    """Return a module that can be called with (x, context): the module itself if its second argument is `context`.

    Args:
        net: Network. Without a context it is called with x only. With a context, a module with a second argument receives
            the context there; for any other module the context is concatenated to x.
        shape: Shape of the result without the batch dimension.
        dim: Dimension along which the context is concatenated.
    """
    try:
        parameters = list(inspect.signature(net.forward).parameters.values())
    except (TypeError, ValueError):
        return OptionalContext(net, shape, dim)
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    if len(positional) > 1 and (positional[1].name == "context" or positional[1].default is inspect.Parameter.empty):
        return net
    if len(positional) > 1 or any(p.kind is p.VAR_POSITIONAL for p in parameters):
        return OptionalContext(net, shape, dim)
    return Conditioner(net, shape, dim)


def make_conditioner(
    network: Callable[..., nn.Module] | nn.Module, inputs: int, shape: tuple[int, ...], context: int, dim: int = 1
) -> nn.Module:
    """Return a conditioner, from a function that returns a network or from a network.

    Args:
        network: Function called with (inputs, outputs, context=length), or with (inputs + length, outputs) if it has no
            argument `context`; or a module, which is used as it is.
        inputs: Number of entries, or channels, of the network's input without the context.
        shape: Shape of the result without the batch dimension; its first entry is `outputs`.
        context: Length of the context, 0 for none.
        dim: Dimension along which the context is concatenated for a network that has no argument `context`.
    """
    if isinstance(network, nn.Module):
        return as_conditioner(network, shape, dim)
    if _takes_context(network):
        return as_conditioner(network(inputs, shape[0], context=context), shape, dim)
    return as_conditioner(network(inputs + context, shape[0]), shape, dim)


def _takes_context(network: Callable[..., nn.Module]) -> bool:
    """Return whether a function has an argument `context`, or accepts any keyword."""
    try:
        parameters = inspect.signature(network).parameters
    except (TypeError, ValueError):
        return True
    return "context" in parameters or any(p.kind is p.VAR_KEYWORD for p in parameters.values())


def side_by_side(x: Tensor, context: Tensor, dim: int) -> Tensor:
    """Return x and the context concatenated along a dimension, with the context repeated along dimensions that it lacks.

    Raises:
        ContextError: The context holds labels, or its other dimensions do not fit those of x.
    """
    if not context.is_floating_point():
        raise ContextError(
            f"expected a context of numbers to concatenate, got labels of type {context.dtype}; "
            "use a network with an argument `context`"
        )
    given = context.to(x.dtype)
    if given.dim() == 2 and x.dim() > 2:
        shape = [1] * x.dim()
        shape[0], shape[dim] = given.shape
        given = given.reshape(shape)
        sizes = list(x.shape)
        sizes[dim] = context.shape[1]
        given = given.expand(sizes)
    rest = [(a, b) for i, (a, b) in enumerate(zip(x.shape, given.shape, strict=False)) if i != dim % x.dim()]
    if given.dim() != x.dim() or any(a != b for a, b in rest):
        raise ContextError(
            f"expected a context that can be concatenated to shape {tuple(x.shape)}, got {tuple(context.shape)}; "
            "use a network with an argument `context`"
        )
    return torch.cat([x, given], dim)
