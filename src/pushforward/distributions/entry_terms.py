"""Log-probabilities of entries that have a label, a number, or a number beside single values such as spikes."""

from __future__ import annotations

import torch
from torch import Tensor

from ..functional.normal_mass import log_normal_mass
from .factors import MixtureFactor
from .row_coding import Entries, RowCoding

Parts = tuple[Tensor, Tensor, Tensor]
"""Log-weights, means and log-scales of mixtures."""


def entry_terms(
    coding: RowCoding,
    mixture: MixtureFactor | None,
    found: Entries,
    entries: list[int],
    logits: Tensor | None,
    parts: Parts | None,
) -> Tensor:
    """Return the log-probabilities of some entries of rows, (B, P).

    Args:
        coding: Description of the entries.
        mixture: Density of the components of a number; None without numbers.
        found: Entries of the rows.
        entries: Indices of the P entries.
        logits: Logits of the facts of those entries that have facts, (B, P_f, K).
        parts: Log-weights, means and log-scales of the mixtures of those entries that have numbers, (B, P_n, M) each.
    """
    zeros = found.slopes.new_zeros(found.facts.shape[0], len(entries))
    log_fact, log_ordinary = zeros, zeros
    with_fact = [k for k, i in enumerate(entries) if coding.counts[i] > 1]
    with_number = [k for k, i in enumerate(entries) if coding.numeric[i]]

    def tensor(values: list[int]) -> Tensor:
        return torch.tensor(values, dtype=torch.long, device=zeros.device)

    if logits is not None and with_fact:
        fact = found.facts.index_select(1, tensor([coding.with_facts.index(entries[k]) for k in with_fact]))
        counts = tensor([coding.counts[entries[k]] for k in with_fact])
        allowed = torch.arange(logits.shape[-1], device=zeros.device) < counts.unsqueeze(1)
        logp = logits.masked_fill(~allowed, -torch.inf).log_softmax(-1).to(zeros.dtype)
        log_fact = zeros.index_copy(1, tensor(with_fact), logp.gather(-1, fact.unsqueeze(-1)).squeeze(-1))
        log_ordinary = zeros.index_copy(1, tensor(with_fact), logp[..., 0])
    if parts is None or mixture is None or not with_number:
        return log_fact
    at, place = tensor([coding.with_numbers.index(entries[k]) for k in with_number]), tensor(with_number)
    whole = [k for k, i in enumerate(with_number) if coding.whole[entries[i]]]
    log_number = zeros.index_copy(1, place, _number_terms(mixture, found, at, tensor(whole), parts).to(zeros.dtype))
    valued = torch.zeros_like(zeros, dtype=torch.bool).index_copy(1, place, found.valued.index_select(1, at))
    ordinary = log_ordinary + log_number
    if not with_fact:
        return ordinary
    # In an entry with a number, every fact but 0 is a single value. A whole number that is a spike can come from the softmax or
    # from the mixture, and its probability is the sum of both.
    facts = torch.zeros_like(zeros, dtype=torch.long).index_copy(1, tensor(with_fact), fact)
    number = tensor([int(coding.numeric[i]) for i in entries]).bool()
    single = torch.where(valued, torch.logaddexp(log_fact, ordinary), log_fact)
    return torch.where((facts > 0) | ~number, single, ordinary)


def _number_terms(mixture: MixtureFactor, found: Entries, at: Tensor, whole: Tensor, parts: Parts) -> Tensor:
    """Return log-densities, and log-probabilities of whole numbers, in the units of the rows, (B, P_n)."""
    log_weights, means, log_scales = parts
    points = mixture.each(found.numbers.index_select(1, at), means, log_scales)
    logp = (log_weights + points).logsumexp(-1).to(found.slopes.dtype) + found.slopes.index_select(1, at)
    if whole.shape[0] == 0:
        return logp
    lower, upper, width = (t.index_select(1, at[whole]).unsqueeze(-1) for t in (found.lower, found.upper, found.width))
    mass = log_normal_mass(lower, upper, width, means.index_select(1, whole), log_scales.index_select(1, whole))
    mass = (log_weights.index_select(1, whole) + mass).logsumexp(-1)
    return logp.index_copy(1, whole, mass.to(logp.dtype))
