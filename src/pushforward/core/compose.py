"""Composition: layers in a row, a layer turned round, and a chain with a base, which is a Distribution again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Literal, overload

import torch
from torch import Tensor, nn

from ..errors import ContextError, ShapeError
from ..functional.derived import eager
from .base import CodeSource, Distribution, Given, Node, Transform, Undo
from .exactness import Exactness
from .space import Space

if TYPE_CHECKING:
    from torch.distributions import Distribution as TorchDistribution

    from ..distributions.boundary import Conditioned


Memory = Literal["store", "invert", "checkpoint"]


class Identity(Transform):
    """z = x, dlogp = 0.

    Args:
        space: of x and z.
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
            from .memory import economical

            return economical(self, x, context, turned=False)
        z, total = self.layers[0](x, context)
        for layer in self.layers[1:]:
            z, dlogp = layer(z, context)
            total = total + dlogp
        return z, total

    def inverse(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Back through every layer, last to first."""
        if self._economical(z, context):
            from .memory import economical

            return economical(self, z, context, turned=True)
        layers = list(self.layers)
        x, total = layers[-1].inverse(z, context)
        for layer in layers[-2::-1]:
            x, dlogp = layer.inverse(x, context)
            total = total + dlogp
        return x, total

    def _economical(self, v: Tensor, context: Tensor | None) -> bool:
        """Whether there is memory to save: a gradient is recorded, and by autograd alone."""
        return self.memory != "store" and torch.is_grad_enabled() and eager(v, context)

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

    def init_from(self, x: Tensor, context: Tensor | None = None) -> None:
        """Start each layer on what the layers before it, already started, make of the batch."""
        last = max((i for i, layer in enumerate(self.layers) if _starts(layer)), default=-1)
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

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The layer's inverse."""
        return self.layer.inverse(x, context)

    def inverse(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The layer's forward."""
        return self.layer(z, context)


class Flow(Distribution):
    """A chain and a base: log p(x) = log p(z) + dlogp. It is a Distribution, so flows nest.

    A flow is no sequence: its layers are at `flow.chain[i]`, its base at `flow.base`.

    Args:
        chain: from the data side to the base's space.
        base: Distribution of z, from this library or from `torch.distributions`. Batch dimensions of torch's count as part
            of the event; its tensors become buffers of the flow, and an `nn.Parameter` is trained.
        embed: network applied to the context before every layer sees it; its output fits the chain's and base's context.
        context: the space of the raw context; required with `embed`, otherwise taken from the chain and the base.

    Raises:
        ShapeError: the chain does not end in the base's space.
        SpecError: the support of a distribution of torch is no space of this library.
        ContextError: chain and base want different contexts, or `embed` comes without `context`.
    """

    def __init__(
        self,
        chain: Transform,
        base: Distribution | TorchDistribution,
        embed: nn.Module | None = None,
        context: Space | None = None,
    ) -> None:
        super().__init__()
        if not isinstance(base, Distribution):
            from ..distributions.boundary import as_base

            base = as_base(base, chain.z_space)
        if chain.z_space != base.space:
            raise ShapeError(f"the chain ends in {chain.z_space}, the base lives in {base.space}")
        if (embed is None) != (context is None):
            raise ContextError("expected `embed` and `context` together: the network and the space of what it takes")
        self.chain, self.base, self.embed, self.space = chain, base, embed, chain.x_space
        self.context = common_context((chain, base)) if context is None else context

    def _embedded(self, context: Tensor | None) -> Tensor | None:
        return context if self.embed is None else self.embed(context)

    def _log_prob(self, x: Tensor, context: Tensor | None) -> Tensor:
        context = self._embedded(context)
        z, dlogp = self.chain(x, context)
        return self.base._log_prob(z, context) + dlogp

    def _log_prob_aux(self, x: Tensor, context: Tensor | None) -> tuple[Tensor, dict[str, Tensor]]:
        context = self._embedded(context)
        z, dlogp, penalties = self.chain.forward_aux(x, context)
        return self.base._log_prob(z, context) + dlogp, penalties

    def _log_prob_until(
        self, wanted: Callable[[Transform], bool], x: Tensor, context: Tensor | None
    ) -> tuple[Tensor, Given | None]:
        context = self._embedded(context)
        total: Tensor | float = 0.0
        for layer in layers_of(self.chain):
            if wanted(layer):
                return total + x.new_zeros(x.shape[0]), (layer, x, context)
            x, dlogp = layer(x, context)
            total = total + dlogp
        return self.base._log_prob(x, context) + total, None

    def _sample(self, n: int, context: Tensor | None) -> tuple[Tensor, Tensor]:
        context = self._embedded(context)
        z, logp = self.base._sample(n, context)
        x, dlogp = self.chain.inverse(z, context)
        return x, logp - dlogp

    def _take_apart(self, x: Tensor, context: Tensor | None) -> list[Tensor]:
        context = self._embedded(context)
        z, codes = self.chain.take_apart(x, context)
        return [*codes, *self.base._take_apart(z, context)]

    def _put_together(self, code_of: CodeSource, context: Tensor | None) -> Tensor:
        context = self._embedded(context)
        return self.chain.put_together(self.base._put_together(code_of, context), code_of, context)

    def encode(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """The latent code of each event: (*batch, *space.shape) -> (*batch, *base.space.shape)."""
        x, rows, batch = self._flatten(x, context)
        z = self.chain(x, self._embedded(rows))[0]
        return z.reshape(*batch, *self.base.space.shape)

    def decode(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        """The event of each latent code: (*batch, *base.space.shape) -> (*batch, *space.shape)."""
        event = self.base.space.shape
        if tuple(z.shape[z.dim() - len(event) :]) != event:
            raise ShapeError(f"expected z of shape (*batch, {', '.join(map(str, event))}), got {tuple(z.shape)}")
        batch = tuple(z.shape[: z.dim() - len(event)])
        rows, together = self._context_rows(context, ())
        batch = tuple(torch.broadcast_shapes(batch, together))
        if rows is not None and self.context is not None:
            rows = rows.reshape(*together, *self.context.shape).expand(*batch, *self.context.shape)
            rows = self._embedded(rows.reshape(-1, *self.context.shape))
        x = self.chain.inverse(z.expand(*batch, *event).reshape(-1, *event), rows)[0]
        return x.reshape(*batch, *self.space.shape)

    def at(self, context: Tensor | None = None) -> Conditioned:
        """As `Distribution.at`; the embedding network runs once, here."""
        if self.embed is None or context is None:
            return super().at(context)
        rows, batch = self._context_rows(context, ())
        embedded = self.embed(rows)
        return Flow(self.chain, self.base).at(embedded.reshape(*batch, *embedded.shape[1:]))

    def init_from(self, x: Tensor, context: Tensor | None = None) -> None:
        """Start the chain on the batch, then the base on its latent codes."""
        context = self._embedded(context)
        self.chain.init_from(x, context)
        if _starts(self.base):
            self.base.init_from(self.chain(x, context)[0], context)


@torch.no_grad()
def initialise(distribution: Distribution, x: Tensor, context: Tensor | None = None) -> None:
    """Set every data-dependent starting value (actnorm, standardise) from one batch, in place.

    Args:
        distribution: a flow, or any distribution.
        x: (*batch, *space.shape), at least two events.
        context: as in `log_prob`.

    Raises:
        ShapeError: fewer than two events.
    """
    x, context, batch = distribution._flatten(x, context)
    if x.shape[0] < 2:
        raise ShapeError(f"expected at least two events to start from, got batch shape {batch}")
    was_training = distribution.training
    distribution.eval()
    distribution.init_from(x, context)
    distribution.train(was_training)


def layers_of(layer: Transform) -> Iterator[Transform]:
    """The layers of a chain and of the chains in it, first to last."""
    if isinstance(layer, Chain):
        for part in layer.layers:
            yield from layers_of(part)
    else:
        yield layer


def _starts(node: Node) -> bool:
    """Whether a node, or one in it, has starting values of its own."""
    passive = (Node.init_from, Chain.init_from, Flow.init_from)
    return any(isinstance(m, Node) and type(m).init_from not in passive for m in node.modules())


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
