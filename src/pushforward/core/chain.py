"""Layers one after the other, a layer turned round, and the layer that does nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import overload

import torch
from torch import Tensor, nn

from ..errors import ContextError, ShapeError
from ..functional.hand_gradients import eager
from .exactness import Exactness
from .node import Node
from .recompute import Memory, economical
from .space import Space
from .transform import CodeSource, Transform, Undo


class Identity(Transform):
    """z = x, dlogp = 0.

    Args:
        space: Space of x and z.
    """

    undo = Undo.BOTH

    def __init__(self, space: Space) -> None:
        super().__init__()
        self.x_space = self.z_space = space

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """x, 0."""
        return x, self._nothing(x)

    def inverse(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """z, 0."""
        return self.forward(z)


class Chain(Transform):
    """Layers one after the other, in data-to-latent order; dlogp is the sum of theirs.

    A chain is a sequence of layers: `len(chain)`, `chain[0]`, `for layer in chain`. A slice, `chain[1:3]`, is a `Chain`
    that shares its layers.

    Args:
        layers: at least one; each starts in the space where the one before it ends.

    Raises:
        ShapeError: two neighbours' spaces differ.
        ContextError: two layers want contexts of different spaces.
    """

    memory: Memory = "store"
    """How training keeps what the gradient needs: see `set_memory`, which sets it."""

    def __init__(self, *layers: Transform) -> None:
        super().__init__()
        if not layers:
            raise ShapeError("expected at least one layer, got none; use Identity(space) for an empty chain")
        for i, (a, b) in enumerate(pairwise(layers)):
            if a.z_space != b.x_space:
                raise ShapeError(
                    f"layer {i} ({type(a).__name__}) ends in {a.z_space}, "
                    f"layer {i + 1} ({type(b).__name__}) starts in {b.x_space}"
                )
        self.layers: Sequence[Transform] = nn.ModuleList(layers)  # type: ignore[assignment]
        self.x_space, self.z_space = layers[0].x_space, layers[-1].z_space
        self.context = common_context(layers)

    def __len__(self) -> int:
        """Number of layers."""
        return len(self.layers)

    def __iter__(self) -> Iterator[Transform]:
        """The layers, first to last."""
        return iter(self.layers)

    @overload
    def __getitem__(self, index: int) -> Transform: ...

    @overload
    def __getitem__(self, index: slice) -> Chain: ...

    def __getitem__(self, index: int | slice) -> Transform | Chain:
        """A layer by its place, or a chain of some, which shares their parameters: `chain[0]`, `chain[:2]`.

        Raises:
            IndexError: there is no layer at that place.
            ShapeError: the slice is empty, or its layers do not fit each other.
        """
        if not isinstance(index, slice):
            return self.layers[index]
        part = Chain(*list(self.layers)[index])
        part.memory = self.memory
        return part.train(self.training)

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Through every layer, first to last."""
        if self._economical(x, context):
            return economical(self._inside(turned=False), self.memory, x, context)
        z, total = self.layers[0](x, context)
        for layer in self.layers[1:]:
            z, dlogp = layer(z, context)
            total = total + dlogp
        return z, total

    def inverse(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Back through every layer, last to first."""
        if self._economical(z, context):
            return economical(self._inside(turned=True), self.memory, z, context)
        layers = list(self.layers)
        x, total = layers[-1].inverse(z, context)
        for layer in layers[-2::-1]:
            x, dlogp = layer.inverse(x, context)
            total = total + dlogp
        return x, total

    def _economical(self, v: Tensor, context: Tensor | None) -> bool:
        """Whether there is memory to save: a gradient is recorded, and by autograd alone."""
        return self.memory != "store" and torch.is_grad_enabled() and eager(v, context)

    def _inside(self, *, turned: bool) -> Iterator[tuple[Transform, bool]]:
        for part in reversed(self.layers) if turned else self.layers:
            yield from part.opened(turned=turned)

    def opened(self, *, turned: bool) -> Iterator[tuple[Transform, bool]]:
        """Yield those of its layers; itself where it has hooks, so that they are called."""
        if self._forward_hooks or self._forward_pre_hooks:
            yield self, turned
        else:
            yield from self._inside(turned=turned)

    def forward_aux(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """`forward`, and the layers' penalties added up by name."""
        z, total, penalties = self.layers[0].forward_aux(x, context)
        for layer in self.layers[1:]:
            z, dlogp, more = layer.forward_aux(z, context)
            total = total + dlogp
            for name, value in more.items():
                penalties[name] = penalties[name] + value if name in penalties else value
        return z, total, penalties

    def exact_twin(self) -> Chain | None:
        """The layers' twins, and those that have none as they are; None when no layer has one."""
        twins = [layer.exact_twin() for layer in self.layers]
        if not any(twin is not None for twin in twins):
            return None
        return Chain(*(layer if twin is None else twin for layer, twin in zip(self.layers, twins, strict=True)))

    def take_apart(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, list[Tensor]]:
        """z, and the codes that the layers leave out."""
        codes: list[Tensor] = []
        for layer in self.layers:
            x, more = layer.take_apart(x, context)
            codes += more
        return x, codes

    def put_together(self, z: Tensor, code_of: CodeSource, context: Tensor | None = None) -> Tensor:
        """Back through every layer, last to first."""
        for layer in list(self.layers)[::-1]:
            z = layer.put_together(z, code_of, context)
        return z

    @property
    def has_start(self) -> bool:
        """False: starting values are those of its parts."""
        return False

    def init_from(self, x: Tensor, context: Tensor | None = None) -> None:
        """Start each layer on what the layers before it, already started, make of the batch."""
        last = max((i for i, layer in enumerate(self.layers) if starts(layer)), default=-1)
        for i, layer in enumerate(self.layers[: last + 1]):
            layer.init_from(x, context)
            x = layer(x, context)[0] if i < last else x


class Inverse(Transform):
    """The same layer with its sides swapped: its forward is the layer's inverse, and a lower bound becomes an upper one.

    Args:
        layer: the layer to turn round.
    """

    def __init__(self, layer: Transform) -> None:
        super().__init__()
        self.layer = layer
        self.x_space, self.z_space, self.context = layer.z_space, layer.x_space, layer.context

    @property
    def exactness(self) -> Exactness:
        """The layer's, flipped."""
        return self.layer.exactness.flipped

    def exact_twin(self) -> Inverse | None:
        """The layer's, turned round."""
        twin = self.layer.exact_twin()
        return None if twin is None else Inverse(twin)

    def opened(self, *, turned: bool) -> Iterator[tuple[Transform, bool]]:
        """Yield those of the layer, the other way round; itself where it has hooks, so that they are called."""
        if self._forward_hooks or self._forward_pre_hooks:
            yield self, turned
        else:
            yield from self.layer.opened(turned=not turned)

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The layer's inverse."""
        return self.layer.inverse(x, context)

    def inverse(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The layer's forward."""
        return self.layer(z, context)


def layers_of(layer: Transform) -> Iterator[Transform]:
    """The layers of a chain and of the chains in it, first to last."""
    if isinstance(layer, Chain):
        for part in layer.layers:
            yield from layers_of(part)
    else:
        yield layer


def starts(node: Node) -> bool:
    """Whether a node, or one in it, has starting values of its own."""
    return any(isinstance(m, Node) and m.has_start for m in node.modules())


def common_context(nodes: Iterable[Node]) -> Space | None:
    """The one context space that all nodes with a context agree on.

    Raises:
        ContextError: two of them differ, with their names.
    """
    found: Node | None = None
    for node in nodes:
        if node.context is None:
            continue
        if found is not None and found.context != node.context:
            raise ContextError(
                f"{type(found).__name__} wants a context in {found.context}, {type(node).__name__} in {node.context}"
            )
        found = found or node
    return None if found is None else found.context
