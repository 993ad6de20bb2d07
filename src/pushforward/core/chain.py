"""Chain of layers, inverse of a layer, and the identity layer."""

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
    """Identity layer: z = x, dlogp = 0.

    Args:
        space: Space of x and z.
    """

    undo = Undo.BOTH

    def __init__(self, space: Space) -> None:
        super().__init__()
        self.x_space = self.z_space = space
        # Events may be whole numbers, so the dtype of dlogp comes from this buffer, which follows the model.
        self.register_buffer("zero", torch.zeros(()), persistent=False)

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return x and 0."""
        return x, self._nothing(x)

    def inverse(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return z and 0."""
        return self.forward(z)


class Chain(Transform):
    """Composition of layers, in data-to-latent order; its dlogp is the sum of the dlogp of its layers.

    A chain behaves like a sequence: `len(chain)`, `chain[0]`, `for layer in chain`. A slice, `chain[1:3]`, is a `Chain`
    that shares its layers.

    Args:
        layers: At least one layer; the z_space of each must equal the x_space of the next.

    Raises:
        ShapeError: Two neighbouring layers have different spaces between them.
        ContextError: Two layers take contexts of different spaces.
    """

    memory: Memory = "store"
    """Memory mode for the gradient (see `core.memory`); set it with `set_memory`."""

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
        """Return the number of layers."""
        return len(self.layers)

    def __iter__(self) -> Iterator[Transform]:
        """Yield the layers, first to last."""
        return iter(self.layers)

    @overload
    def __getitem__(self, index: int) -> Transform: ...

    @overload
    def __getitem__(self, index: slice) -> Chain: ...

    def __getitem__(self, index: int | slice) -> Transform | Chain:
        """Return one layer, `chain[0]`, or a chain of some layers that shares their parameters, `chain[:2]`.

        Raises:
            IndexError: The chain has no layer with this index.
            ShapeError: The slice is empty, or neighbouring layers in it have different spaces.
        """
        if not isinstance(index, slice):
            return self.layers[index]
        part = Chain(*list(self.layers)[index])
        part.memory = self.memory
        return part.train(self.training)

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Apply every layer, first to last: x -> z, dlogp (B,) in nats."""
        if self._economical(x, context):
            return economical(self._inside(turned=False), self.memory, x, context)
        z, total = self.layers[0](x, context)
        for layer in self.layers[1:]:
            z, dlogp = layer(z, context)
            total = total + dlogp
        return z, total

    def inverse(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Apply the inverse of every layer, last to first: z -> x, dlogp (B,) in nats."""
        if self._economical(z, context):
            return economical(self._inside(turned=True), self.memory, z, context)
        layers = list(self.layers)
        x, total = layers[-1].inverse(z, context)
        for layer in layers[-2::-1]:
            x, dlogp = layer.inverse(x, context)
            total = total + dlogp
        return x, total

    def _economical(self, v: Tensor, context: Tensor | None) -> bool:
        """Return whether memory can be saved: gradients are recorded, and only by autograd (no torch.func, no export)."""
        return self.memory != "store" and torch.is_grad_enabled() and eager(v, context)

    def _inside(self, *, turned: bool) -> Iterator[tuple[Transform, bool]]:
        for part in reversed(self.layers) if turned else self.layers:
            yield from part.opened(turned=turned)

    def opened(self, *, turned: bool) -> Iterator[tuple[Transform, bool]]:
        """Yield the single layers of the chain; yield the chain itself if it has hooks, because they must be called."""
        if self._forward_hooks or self._forward_pre_hooks:
            yield self, turned
        else:
            yield from self._inside(turned=turned)

    def forward_aux(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """Return the results of `forward` and a dict of penalties, summed over layers by name."""
        z, total, penalties = self.layers[0].forward_aux(x, context)
        for layer in self.layers[1:]:
            z, dlogp, more = layer.forward_aux(z, context)
            total = total + dlogp
            for name, value in more.items():
                penalties[name] = penalties[name] + value if name in penalties else value
        return z, total, penalties

    def exact_twin(self) -> Chain | None:
        """Return a chain of the layers' exact twins, with layers that have none unchanged; None if no layer has one."""
        twins = [layer.exact_twin() for layer in self.layers]
        if not any(twin is not None for twin in twins):
            return None
        return Chain(*(layer if twin is None else twin for layer, twin in zip(self.layers, twins, strict=True)))

    def take_apart(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, list[Tensor]]:
        """Return z, and the codes of the variables that the layers drop."""
        codes: list[Tensor] = []
        for layer in self.layers:
            x, more = layer.take_apart(x, context)
            codes += more
        return x, codes

    def put_together(self, z: Tensor, code_of: CodeSource, context: Tensor | None = None) -> Tensor:
        """Apply the inverse of every layer, last to first, with the dropped variables made from `code_of`."""
        for layer in list(self.layers)[::-1]:
            z = layer.put_together(z, code_of, context)
        return z

    @property
    def has_start(self) -> bool:
        """Whether the chain itself has data-dependent starting values: False, only its layers may have them."""
        return False

    def init_from(self, x: Tensor, context: Tensor | None = None) -> None:
        """Set the starting values of each layer from its input, which the layers before it, already set, compute."""
        # Each layer sees the data after the layers before it. Beyond the last layer that needs data there is nothing to
        # compute.
        last = max((i for i, layer in enumerate(self.layers) if starts(layer)), default=-1)
        for i, layer in enumerate(self.layers[: last + 1]):
            layer.init_from(x, context)
            x = layer(x, context)[0] if i < last else x


class Inverse(Transform):
    """Inverse of a layer: its forward is the layer's inverse. A lower bound on the likelihood becomes an upper bound.

    The inverse of a surjection, which maps several x to one z, draws in its forward direction: its dlogp = -log p(x|z) is one
    term of a lower bound (a generative surjection of Nielsen et al. 2020, arXiv:2007.02731, table 1).

    Args:
        layer: Layer to invert.
    """

    def __init__(self, layer: Transform) -> None:
        super().__init__()
        self.layer = layer
        self.x_space, self.z_space, self.context = layer.z_space, layer.x_space, layer.context

    @property
    def exactness(self) -> Exactness:
        """Exactness of the layer, with lower and upper bounds exchanged; a lower bound if its inverse draws."""
        if isinstance(self.layer, Inverse):
            return self.layer.layer.exactness
        flipped = self.layer.exactness.flipped
        return flipped | Exactness.NOISY | Exactness.LOWER if self.layer.draws_back else flipped

    def exact_twin(self) -> Inverse | None:
        """Return the inverse of the layer's exact twin, or None."""
        twin = self.layer.exact_twin()
        return None if twin is None else Inverse(twin)

    def opened(self, *, turned: bool) -> Iterator[tuple[Transform, bool]]:
        """Yield the single layers inside, in the opposite direction; yield this one if it has hooks, to call them."""
        if self._forward_hooks or self._forward_pre_hooks:
            yield self, turned
        else:
            yield from self.layer.opened(turned=not turned)

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Apply the layer's inverse."""
        return self.layer.inverse(x, context)

    def inverse(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Apply the layer's forward."""
        return self.layer(z, context)


def layers_of(layer: Transform) -> Iterator[Transform]:
    """Yield the layers of a chain, and those of chains inside it, first to last."""
    if isinstance(layer, Chain):
        for part in layer.layers:
            yield from layers_of(part)
    else:
        yield layer


def starts(node: Node) -> bool:
    """Return whether a node, or a node inside it, has data-dependent starting values."""
    return any(isinstance(m, Node) and m.has_start for m in node.modules())


def common_context(nodes: Iterable[Node]) -> Space | None:
    """Return the context space that the nodes share, or None if no node takes a context.

    Nodes without a context are skipped.

    Raises:
        ContextError: Two nodes take contexts of different spaces.
    """
    found: Node | None = None
    for node in nodes:
        if node.context is None:
            continue
        if found is not None and found.context != node.context:
            raise ContextError(
                f"{type(found).__name__} expects a context in {found.context}, {type(node).__name__} in {node.context}"
            )
        found = found or node
    return None if found is None else found.context
