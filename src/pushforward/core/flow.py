"""Flow: a chain of layers and a base distribution."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from ..errors import ContextError, ShapeError
from .chain import common_context, layers_of, starts
from .conditioned import Conditioned
from .distribution import Distribution
from .space import Space
from .torch_boundary import as_base
from .transform import CodeSource, Given, Transform

if TYPE_CHECKING:
    from torch.distributions import Distribution as TorchDistribution


class Flow(Distribution):
    """Normalizing flow, a chain and a base: log p(x) = log p(z) + dlogp. It is a Distribution, so flows can be nested.

    The layers are at `flow.chain[i]` and the base at `flow.base`.

    Args:
        chain: Layers that map the data x to z in the space of the base.
        base: Distribution of z, from this library or from `torch.distributions`. Batch dimensions of the latter count as
            event dimensions; its tensors become buffers of the flow, and an `nn.Parameter` among them is trained.
        embed: Network applied to the context before any layer sees it; its output must fit the context of chain and base.
        context: Space of the raw context; required with `embed`, otherwise taken from the chain and the base.

    Raises:
        ShapeError: The chain does not end in the base's space.
        SpecError: The support of a torch distribution matches no space of this library.
        ContextError: Chain and base take different contexts, or only one of `embed` and `context` is given.
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
            base = as_base(base, chain.z_space)
        if chain.z_space != base.space:
            raise ShapeError(
                f"expected a chain that ends in the space of the base, {base.space}, got one that ends in {chain.z_space}"
            )
        if (embed is None) != (context is None):
            raise ContextError("expected `embed` and `context` together: the network and the space of its input")
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
        logp, more = self.base._log_prob_aux(z, context)
        return logp + dlogp, {**more, **penalties}

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
        """Return the latent code of each event: (*batch, *space.shape) -> (*batch, *base.space.shape)."""
        x, rows, batch = self._flatten(x, context)
        z = self.chain(x, self._embedded(rows))[0]
        return z.reshape(*batch, *self.base.space.shape)

    def decode(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        """Return the event of each latent code: (*batch, *base.space.shape) -> (*batch, *space.shape)."""
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
        """Return this flow at a context, as a torch distribution; the embedding network runs once, here."""
        if self.embed is None or context is None:
            return super().at(context)
        rows, batch = self._context_rows(context, ())
        embedded = self.embed(rows)
        return Flow(self.chain, self.base).at(embedded.reshape(*batch, *embedded.shape[1:]))

    @property
    def has_start(self) -> bool:
        """Whether the flow itself has data-dependent starting values: False, only its parts may have them."""
        return False

    def init_from(self, x: Tensor, context: Tensor | None = None) -> None:
        """Set the starting values of the chain from the batch, and those of the base from its latent codes."""
        context = self._embedded(context)
        self.chain.init_from(x, context)
        if starts(self.base):
            self.base.init_from(self.chain(x, context)[0], context)


@torch.no_grad()
def initialise(distribution: Distribution, x: Tensor, context: Tensor | None = None) -> None:
    """Set every data-dependent starting value (actnorm, standardisation) from one batch, in place.

    Args:
        distribution: Flow or any other distribution.
        x: Events of shape (*batch, *space.shape), at least two.
        context: Context of the events, as for `log_prob`.

    Raises:
        ShapeError: The batch has fewer than two events.
    """
    x, context, batch = distribution._flatten(x, context)
    if x.shape[0] < 2:
        raise ShapeError(f"expected at least two events to start from, got batch shape {batch}")
    was_training = distribution.training
    distribution.eval()
    distribution.init_from(x, context)
    distribution.train(was_training)
