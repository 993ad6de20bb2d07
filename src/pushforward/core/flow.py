"""Flow: a chain and a base, which together are a distribution again."""

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

    @property
    def has_start(self) -> bool:
        """False: starting values are those of its parts."""
        return False

    def init_from(self, x: Tensor, context: Tensor | None = None) -> None:
        """Start the chain on the batch, then the base on its latent codes."""
        context = self._embedded(context)
        self.chain.init_from(x, context)
        if starts(self.base):
            self.base.init_from(self.chain(x, context)[0], context)


@torch.no_grad()
def initialise(distribution: Distribution, x: Tensor, context: Tensor | None = None) -> None:
    """Set every data-dependent starting value (actnorm, standardise) from one batch, in place.

    Args:
        distribution: a flow, or any distribution.
        x: (*batch, *space.shape), at least two events.
        context: Context of the events, see `log_prob`.

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
