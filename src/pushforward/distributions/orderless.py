"""Orderless autoregressive model: one network gives the distribution of every entry of a row, given any of the others.

    log p(x_i | x_O) for every subset O of the other entries, from net([x * m; m]), where m_j = 1 if j is in O

(Uria, Murray, Larochelle 2014, arXiv:1310.1757). With an order of the entries this is an autoregressive model. The density of
a row is the mean over S fixed orders,

    p(x) = 1/S sum_s prod_i p(x_i | entries before i in order s),

a mixture of S autoregressive models, so it is exactly normalised. The conditionals given any entries come from the same
network without further training: the entries that are given stand first in the order.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

import torch
from torch import Tensor

from ..core import Distribution
from ..errors import SpecError
from ..networks import EntryHeads, HiddenLayers
from .entry_terms import Parts, entry_terms
from .factors import CategoricalFactor, MixtureFactor
from .linear_conditionals import LinearConditionals
from .row_coding import Entries, RowCoding

MEMORY = 2**25
"""Approximate number of values that a pass of the network may hold at once, for 4096 rows."""


Frame = tuple[Tensor, Tensor]
"""Means and log-deviations to which mixtures are relative."""


class Orderless(Distribution):
    """Distribution of rows by the conditionals of each entry given any others, averaged over S orders.

    An entry has a softmax over its labels, a mixture of Gaussians for its number, or both: a softmax over "an ordinary number",
    single values and "missing", and the mixture for ordinary numbers. The probability of a whole number is the mass of the
    mixture in the cell that is rounded to it.

    Args:
        coding: Entries of the rows.
        hidden: Widths of the hidden layers of the network.
        components: Number of Gaussians of each number.
        orders: Number S of orders in the average.
        linear: Whether the mixture of a number is one of r = (z - m) / s, where m and s are the mean and the deviation of the
            number z given the observed numbers under a Gaussian; the network then learns what linear prediction misses. It
            helps where columns are nearly linear combinations of others, and its cost is cubic in the number of numbers.
        residual: Whether the hidden layers are residual; then their number is odd and their widths are equal.
        activation: Activation function of the network.
        dropout: Probability of dropping a hidden unit in training.

    Raises:
        SpecError: There are no orders, or an argument of the network is out of range.
    """

    differentiable_draws = False
    ranks: Tensor

    def __init__(
        self,
        coding: RowCoding,
        *,
        hidden: tuple[int, ...] = (128, 128),
        components: int = 10,
        orders: int = 4,
        linear: bool = False,
        residual: bool = False,
        activation: str = "relu",
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if orders < 1:
            raise SpecError(f"expected at least one order, got {orders}")
        self.coding, self.space = coding, coding.space
        self.fact_at, self.number_at = coding.with_facts, coding.with_numbers
        self.counts = tuple(coding.counts[i] for i in self.fact_at)
        self.offsets = list(itertools.accumulate(self.counts, initial=0))[:-1]
        self.labels = CategoricalFactor(self.counts) if self.counts else None
        self.mixture = MixtureFactor(components) if self.number_at else None
        self.linear = LinearConditionals(len(self.number_at)) if linear and self.number_at else None
        self.owner = [i for i in self.fact_at for _ in range(coding.counts[i])] + self.number_at
        self.net = HiddenLayers(
            len(self.owner) + coding.size, hidden=hidden, residual=residual, activation=activation, dropout=dropout
        )
        width = self.net.width
        self.label_heads = None if self.labels is None else EntryHeads(len(self.counts), self.labels.n, width)
        self.number_heads = None if self.mixture is None else EntryHeads(len(self.number_at), self.mixture.n, width)
        self.register_buffer("ranks", _ranks(coding.size, orders), persistent=False)
        # The width of a pass for one pair of an order and an entry: its inputs, its hidden units and its parameters.
        outputs = max((h.bias.shape[1] for h in (self.label_heads, self.number_heads) if h is not None), default=0)
        self.chunk = max(1, MEMORY // (4096 * (len(self.owner) + coding.size + sum(hidden) + 3 * outputs)))

    @property
    def orders(self) -> Tensor:
        """The orders, (S, D): the indices of the entries in the order in which they are visited."""
        return self.ranks.argsort(1)

    def init_from(self, x: Tensor, context: Tensor | None = None) -> None:
        """Set the biases so that every entry starts with the distribution of the batch."""
        found = self.coding.split(x, self.dtype)
        if self.labels is not None and self.label_heads is not None:
            self.label_heads.start_at(self.labels.start(found.facts).to(self.dtype))
        if self.mixture is not None and self.number_heads is not None:
            numbers = found.numbers
            if self.linear is not None:
                self.linear.start_at(numbers, found.valued)
                numbers = (numbers - self.linear.mean) * self.linear.covariance.diagonal().rsqrt()
            self.number_heads.start_at(self.mixture.start(numbers).to(self.dtype))

    def _codes(self, found: Entries) -> Tensor:
        """Return the inputs of the network for complete rows: one-hot codes of the facts, and the numbers, (B, I)."""
        codes = found.numbers.new_zeros(found.facts.shape[0], sum(self.counts), dtype=self.dtype)
        offsets = torch.tensor(self.offsets, device=codes.device, dtype=torch.long)
        return torch.cat([codes.scatter(1, found.facts + offsets, 1.0), found.numbers.to(self.dtype)], -1)

    def _units(self, codes: Tensor, observed: Tensor) -> Tensor:
        """Return the hidden units for masks of the observed entries: codes (B, I), masks (..., B or 1, D) -> (..., B, H)."""
        observed = observed.expand(*observed.shape[:-2], codes.shape[0], -1)
        owner = torch.tensor(self.owner, device=codes.device, dtype=torch.long)
        # An entry that is not observed can have any value, even an infinite one, so that a product with the mask could be NaN.
        seen = torch.where(observed.index_select(-1, owner), codes, 0.0)
        return self.net(torch.cat([seen, observed.to(codes.dtype)], -1))

    def _frame(self, found: Entries, observed: Tensor) -> Frame | None:
        """Return mean and log-deviation of every number under linear prediction: masks (..., B or 1, D) -> (..., B, N) each."""
        if self.linear is None:
            return None
        at = self._tensor(self.number_at)
        return self.linear(found.numbers.to(self.dtype), found.valued, observed.index_select(-1, at))

    def number_parts(self, p: Tensor, frame: Frame | None) -> tuple[Tensor, Tensor, Tensor]:
        """Return log-weights, means and log-scales of mixtures, (..., M), from parameters (..., n) and their frame (...)."""
        log_weights, means, log_scales = self.mixture.parts(p)  # type: ignore[union-attr]
        if frame is None:
            return log_weights, means, log_scales
        mean, log_deviation = (t.unsqueeze(-1) for t in frame)
        return log_weights, mean + log_deviation.exp() * means, log_scales + log_deviation

    def all_terms(self, x: Tensor, observed: Tensor) -> Tensor:
        """Return log p(x_i | observed entries) of every entry of rows from one pass: (B, *shape), (B, D) -> (B, D)."""
        found = self.coding.split(x, self.dtype)
        units = self._units(self._codes(found), observed)
        logits = None if self.label_heads is None else self.label_heads(units)
        numbers = None if self.number_heads is None else self.number_heads(units)
        parts = None if numbers is None else self.number_parts(numbers, self._frame(found, observed))
        return entry_terms(self.coding, self.mixture, found, list(range(self.coding.size)), logits, parts)

    def _tensor(self, values: list[int]) -> Tensor:
        return torch.tensor(values, dtype=torch.long, device=self.device)

    def order_log_probs(self, x: Tensor, given: Tensor | None = None) -> Tensor:
        """Return the log-density of rows in each of the orders, (S, B) nats; see `log_prob`.

        Args:
            x: Rows (B, *shape). Entries that are not asked for, if the coding allows them, are left out, and the result is the
                log-density of the other entries.
            given: Mask (B, D) of entries that are given; the result is then the log-density of the others given these.
        """
        found = self.coding.split(x, self.dtype)
        codes = self._codes(found)
        asked = found.asked if given is None else ~given if found.asked is None else found.asked & ~given
        total: list[Tensor | None] = [None] * len(self.ranks)
        for pairs in self._pairs():
            entries = [i for _, i in pairs]
            at, order = self._tensor(entries), self._tensor([s for s, _ in pairs])
            # Entry j is observed if it comes before entry i in the order, (P, 1 or B, D).
            observed = (self.ranks[order] < self.ranks[order, at].unsqueeze(1)).unsqueeze(1)
            observed = observed if asked is None else observed & asked
            observed = observed if given is None else observed | given
            units = self._units(codes, observed)
            terms = entry_terms(
                self.coding, self.mixture, found, entries, *self._selected(found, units, observed, entries)
            )
            if asked is not None:
                terms = torch.where(asked.index_select(1, at), terms, 0.0)
            for s in dict.fromkeys(s for s, _ in pairs):
                part = terms[:, [k for k, (other, _) in enumerate(pairs) if other == s]].sum(1)
                total[s] = part if total[s] is None else total[s] + part  # type: ignore[operator]
        return torch.stack([part for part in total if part is not None])

    def _pairs(self) -> Iterator[list[tuple[int, int]]]:
        """Yield pairs of an order and an entry, as many as fit into one pass."""
        pairs = [(s, i) for s in range(len(self.ranks)) for i in range(self.coding.size)]
        for first in range(0, len(pairs), self.chunk):
            yield pairs[first : first + self.chunk]

    def _selected(
        self, found: Entries, units: Tensor, observed: Tensor, entries: list[int]
    ) -> tuple[Tensor | None, Parts | None]:
        """Return the logits, (B, P_f, K), and the mixtures, (B, P_n, M) each, of one entry for each mask.

        Args:
            found: Entries of the rows.
            units: Hidden units (P, B, H).
            observed: Masks (P, B or 1, D).
            entries: Indices of the P entries.
        """
        outputs: list[Tensor | None] = []
        for heads, places in ((self.label_heads, self.fact_at), (self.number_heads, self.number_at)):
            use = [k for k, i in enumerate(entries) if i in places]
            if heads is None or not use:
                outputs.append(None)
                continue
            at = self._tensor([places.index(entries[k]) for k in use])
            outputs.append(heads.of(units.index_select(0, self._tensor(use)), at).transpose(0, 1))
        logits, p = outputs
        if p is None:
            return logits, None
        with_number = self._tensor([k for k, i in enumerate(entries) if i in self.number_at])
        frame = self._frame(found, observed.index_select(0, with_number))
        if frame is not None:
            # Of the frame of each mask only the one entry is needed: (P_n, B, N) -> (B, P_n).
            at = self._tensor([self.number_at.index(i) for i in entries if i in self.number_at])
            pick = at.reshape(-1, 1, 1)
            frame = tuple(t.gather(-1, pick.expand(-1, t.shape[1], 1)).squeeze(-1).mT for t in frame)  # type: ignore[assignment]
        return logits, self.number_parts(p, frame)

    def given_log_prob(self, x: Tensor, given: Tensor | None) -> Tensor:
        """Return the log of the mean over orders of p(other entries | given entries) of rows, (B,).

        Args:
            x: Rows (B, *shape).
            given: Mask (B, D) of entries that are given; None for none.
        """
        logp = self.order_log_probs(x, given)
        return logp.logsumexp(0) - math.log(logp.shape[0])

    def _log_prob(self, x: Tensor, context: Tensor | None) -> Tensor:
        return self.given_log_prob(x, None)

    def _sample(self, n: int, context: Tensor | None) -> tuple[Tensor, Tensor]:
        with torch.no_grad():
            x = self.coding.blank(n, self.ranks.new_zeros(0, dtype=self.dtype))
            nothing = torch.zeros(n, self.coding.size, dtype=torch.bool, device=self.device)
            x = self.complete(x, nothing)
            return x, self._log_prob(x, None)

    @torch.no_grad()
    def complete(
        self,
        x: Tensor,
        given: Tensor,
        *,
        only: Tensor | None = None,
        first: Tensor | None = None,
        present: bool = False,
    ) -> Tensor:
        """Return rows whose other entries are drawn given some entries; each row draws one of the orders.

        Args:
            x: Rows (B, *shape).
            given: Mask (B, D) of the entries that are given, which do not change.
            only: Mask (B, D) of the entries to draw; by default all that are not given.
            first: Mask (D,) of entries that are drawn before the others.
            present: Whether drawn values are never missing.
        """
        x, known, size = x.clone(), given.clone(), self.coding.size
        wanted = ~given if only is None else only & ~given
        chosen = torch.randint(len(self.ranks), (len(x),), device=self.device)
        # An entry that need not be drawn comes after all others, and an entry of `first` before all others.
        rank = self.ranks[chosen] if first is None else self.ranks[chosen] - size * first.long()
        rank = rank.masked_fill(~wanted, 2 * size)
        sequence, counts = rank.argsort(1), wanted.sum(1)
        for step in range(int(counts.max()) if len(x) else 0):
            active = (counts > step).nonzero()[:, 0]
            found = self.coding.split(x[active], self.dtype)
            entry = sequence[active, step]
            for i in entry.unique().tolist():
                at = (entry == i).nonzero()[:, 0]
                logp, parts = self._distributions(found.rows(at), known[active[at]], i, present=present)
                x[active[at], self.coding.places[i]] = self._drawn(i, logp, parts, len(at)).to(x.dtype)
                known[active[at], i] = True
        return x

    def _drawn(self, entry: int, logp: Tensor | None, parts: Parts | None, count: int) -> Tensor:
        """Return drawn values of one entry, (K,), from the distributions of its facts and of its number."""
        fact = torch.zeros(count, dtype=torch.long, device=self.device)
        number = torch.zeros(count, dtype=self.dtype, device=self.device)
        if logp is not None:
            # Gumbel-max trick: the argmax of log-probabilities plus Gumbel noise is a draw.
            fact = (logp - torch.empty_like(logp).exponential_().log()).argmax(-1)
        if parts is not None:
            number = self.mixture.sample(parts)  # type: ignore[union-attr]
        return self.coding.values(entry, fact, number)

    def _distributions(
        self, found: Entries, observed: Tensor, entry: int, *, present: bool = False
    ) -> tuple[Tensor | None, Parts | None]:
        """Return the log-probabilities of the facts of one entry, (B, count), and its mixtures, (B, M) each."""
        units = self._units(self._codes(found), observed)
        logits, parts = self._selected(found, units.unsqueeze(0), observed.unsqueeze(0), [entry])
        logp = None
        if logits is not None:
            count = self.coding.counts[entry]
            allowed = torch.arange(logits.shape[-1], device=self.device) < count - (
                present and self.coding.missing[entry]
            )
            logp = logits[:, 0].masked_fill(~allowed, -torch.inf).log_softmax(-1)[:, :count]
        return logp, None if parts is None else (parts[0][:, 0], parts[1][:, 0], parts[2][:, 0])

    @torch.no_grad()
    def conditional(
        self, x: Tensor, observed: Tensor, entry: int, *, present: bool = False
    ) -> tuple[Tensor | None, Parts | None]:
        """Return the distribution of one entry of rows given the observed entries.

        Args:
            x: Rows (B, *shape).
            observed: Mask (B, D) of the observed entries.
            entry: Index of the entry.
            present: Whether the value is known not to be missing.

        Returns:
            Log-probabilities of the facts, (B, count), or None for an entry with a number only; and log-weights, means and
            log-scales of the mixture of the number, (B, M) each, or None for an entry without a number.
        """
        return self._distributions(self.coding.split(x, self.dtype), observed, entry, present=present)

    def entry_log_prob(self, x: Tensor, entry: int) -> Tensor:
        """Return log p(x_i | all other entries) of one entry of rows, (B,)."""
        found = self.coding.split(x, self.dtype)
        observed = torch.ones(len(x), self.coding.size, dtype=torch.bool, device=self.device)
        observed = observed if found.asked is None else found.asked.clone()
        observed[:, entry] = False
        units = self._units(self._codes(found), observed).unsqueeze(0)
        selected = self._selected(found, units, observed.unsqueeze(0), [entry])
        return entry_terms(self.coding, self.mixture, found, [entry], *selected)[:, 0]


def _ranks(size: int, orders: int) -> Tensor:
    """Return the position of each entry in each of S different orders, (S, D), the same for the same sizes.

    Each second order is the reverse of the one before, so that every entry has the others before and behind it.
    """
    generator = torch.Generator().manual_seed(size)
    if math.factorial(min(size, 12)) <= orders:
        return torch.tensor(list(itertools.permutations(range(size))))
    found: dict[tuple[int, ...], None] = {}
    while len(found) < orders:
        order = torch.randperm(size, generator=generator).tolist()
        found |= {tuple(order): None, tuple(reversed(order)): None}
    return torch.tensor(list(found)[:orders])
