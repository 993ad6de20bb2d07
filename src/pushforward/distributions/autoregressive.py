"""Autoregressive models: a causal network and the distribution of one entry given those before it.

    p(x | c) = prod_i p(x_i; net_i(x_<i, c))

The network decides the order of the entries and what an entry depends on; the factor decides what an entry is. Scoring is one
pass. Drawing costs about one pass with a network that can be unrolled, and one pass for each entry with any other.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from ..core import Distribution, Space, Symbols, context_space
from ..errors import SpecError
from ..networks import CausalNetwork, OrderedNetwork, as_conditioner
from .chance import Chance
from .factors import Factor


class AutoregressiveModel(Distribution):
    """Autoregressive distribution p(x | c) = prod_i p(x_i; net_i(x_<i, c)).

    The entries of vectors are their coordinates. The entries of pictures are visited row by row, and the channels of a pixel
    one after the other; with a factor of whole pixels, an entry is a pixel.

    Args:
        space: Space of one event: (D,) for vectors and labels, (D, K) for one-hot labels, (C, H, W) for pictures.
        factor: Distribution of one entry.
        net: Network from the codes of the entries and the context to the parameters (B, T, factor.n), where the parameters of
            an entry depend only on the entries before it. An `OrderedNetwork`, such as `MaskedMLP` or `NADE`, takes the codes
            (B, T width). A `CausalNetwork`, or any other module with this property, takes (B, T, width).
        context: Length of the context, 0 for none; or its space.

    Raises:
        SpecError: The factor or the network does not fit the space.
    """

    def __init__(self, space: Space, factor: Factor, net: nn.Module, *, context: int | Space = 0) -> None:
        super().__init__()
        factor.check(space)
        self.space, self.factor, self.context = space, factor, context_space(context)
        self.picture = len(space.shape) == 3
        self.length = space.size // (1 if not factor.entry else factor.entry[0])
        fits = (net.features, net.n, net.width) if isinstance(net, OrderedNetwork) else None
        if fits is not None and fits != (self.length, factor.n, factor.width):
            raise SpecError(
                f"expected a network of {self.length} features of width {factor.width} with {factor.n} parameters each, "
                f"got {fits[0]} of width {fits[2]} with {fits[1]}"
            )
        self.net = as_conditioner(net, (self.length, factor.n), dim=-1)
        # Entries of continuous spaces are drawn by rejection-free but not differentiable methods.
        self.differentiable_draws = factor.discrete

    def entries(self, x: Tensor) -> Tensor:
        """Return the entries of events in the order of the network's inputs: (B, *shape) -> (B, T, *entry)."""
        if self.picture:
            x = x.permute(0, 2, 3, 1)
        return x.reshape(x.shape[0], self.length, *self.factor.entry)

    def events(self, entries: Tensor) -> Tensor:
        """Return the events with these entries: (B, T, *entry) -> (B, *shape)."""
        if not self.picture:
            return entries.reshape(-1, *self.space.shape)
        channels, height, width = self.space.shape
        return entries.reshape(-1, height, width, channels).permute(0, 3, 1, 2).contiguous()

    def _places(self, i: int) -> tuple[int, ...]:
        """Return the indices of the numbers of entry i in the flattened event."""
        if not self.picture:
            return (i,)
        channels, height, width = self.space.shape
        size = self.factor.entry[0] if self.factor.entry else 1
        first = i * size
        return tuple((j % channels) * height * width + j // channels for j in range(first, first + size))

    def parameters_of(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """Return the parameters of all entries of events (B, *shape), (B, T, n), from one pass of the network."""
        return self._made(self.entries(x), context)

    def _made(self, entries: Tensor, context: Tensor | None) -> Tensor:
        codes = self.factor.codes(entries, self.dtype)
        return self.net(codes.flatten(1) if isinstance(self.net, OrderedNetwork) else codes, context)

    def init_from(self, x: Tensor, context: Tensor | None = None) -> None:
        """Set the biases of a fresh network so that every entry starts with the distribution of the batch."""
        if not isinstance(self.net, (CausalNetwork, OrderedNetwork)):
            return
        start = self.factor.start(self.entries(x))
        if start is not None:
            self.net.start_at(start.to(self.dtype))

    def _log_prob(self, x: Tensor, context: Tensor | None) -> Tensor:
        entries = self.entries(x)
        return self.factor.log_prob(entries, self._made(entries, context)).sum(1)

    def _sample(self, n: int, context: Tensor | None) -> tuple[Tensor, Tensor]:
        if self.factor.discrete:
            return self._drawn(Chance(), n, context)
        with torch.no_grad():
            return self._drawn(Chance(), n, context)

    def _generate(self, symbols: Symbols, n: int, context: Tensor | None) -> Tensor:
        if not self.factor.discrete:
            return super()._generate(symbols, n, context)
        return self._drawn(symbols, n, context)[0]

    def _drawn(self, symbols: Symbols, n: int, context: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return n events, drawn entry by entry, and their log-probabilities (n,)."""
        found: dict[int, Tensor] = {}
        rows = torch.zeros(n, dtype=self.dtype, device=self.device)
        total = rows

        def step(i: int, p: Tensor) -> Tensor:
            nonlocal total
            found[i], logp = self.factor.draw(i, p, symbols, self._places(i))
            total = total + logp
            return self.factor.codes(found[i], self.dtype)

        if isinstance(self.net, OrderedNetwork):
            self.net.unroll(step, rows, context)
        elif isinstance(self.net, CausalNetwork):
            self.net.unroll(step, rows, self.length, context)
        else:
            self._step_by_step(step, rows, context)
        drawn = torch.stack([found[i] for i in range(self.length)], 1)
        return self.events(drawn).to(self.space.event_dtype(self.dtype)), total

    def _step_by_step(self, step: Callable[[int, Tensor], Tensor], rows: Tensor, context: Tensor | None) -> None:
        """Compute the entries one after the other, with one pass of the network for each."""
        codes = rows.new_zeros(rows.shape[0], self.length, self.factor.width)
        for i in range(self.length):
            code = step(i, self.net(codes, context)[:, i])
            codes = torch.cat([codes[:, :i], code[:, None], codes[:, i + 1 :]], 1)
