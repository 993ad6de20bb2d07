"""Expectation-maximisation of mixtures: Gaussians with full covariances and a ridge that keeps them regular, and labels.

Rows may also have labels, as one-hot codes c. Labels are independent of each other and of the numbers within a component:

    p(x, c) = sum_k w_k N(x; m_k, S_k) prod_j q_kj(c_j)
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

MOST_ROUNDS = 200
NEARLY_DONE = 1e-5
"""Gain in the mean log-density, nats, below which the rounds end."""


class MixtureFit(NamedTuple):
    """Parameters of a Gaussian mixture.

    Args:
        weights: (K,) probabilities.
        means: (K, D).
        covariances: (K, D, D).
        labels: (K, L) log-probabilities of the labels, for codes (N, L); None without labels.
    """

    weights: Tensor
    means: Tensor
    covariances: Tensor
    labels: Tensor | None = None


RIDGES = (1e-3, 1e-2, 3e-2, 1e-1, 3e-1)
"""Ridges to choose from, in units of the variances of the columns."""
COMPONENTS = (1, 2, 3, 4, 6, 8, 12, 16)
"""Numbers of components to choose from."""
MOST_FOR_FOLDS = 1000
"""Rows up to which all folds are used for a choice; above, one is enough."""
MOST_ROWS = 5000
"""Rows on which choices are made and mixtures are fitted, at most."""
FOLDS = 5
LARGEST = 200_000
"""Numbers in the largest tensor of mixtures that are fitted together."""
STARTS = 5
"""Fits from different starting means, of which the best is kept."""


def fit_mixture(
    x: Tensor,
    components: int,
    ridge: float = 0.1,
    *,
    codes: Tensor | None = None,
    frequencies: Tensor | None = None,
    generator: torch.Generator | None = None,
) -> MixtureFit:
    """Fit a mixture of K Gaussians to rows by expectation-maximisation with a ridge on the covariances.

    In the E step row n belongs to component k with probability r_nk = w_k N(x_n; m_k, S_k) / p(x_n). In the M step

        w_k = N_k / N,    m_k = sum_n r_nk x_n / N_k,    N_k = sum_n r_nk,
        S_k = sum_n r_nk (x_n - m_k)(x_n - m_k)^T / N_k + ridge diag(var x),

    where the ridge keeps a component of few rows from collapsing onto them. The label j of component k has the probability
    q_kj = (sum_n r_nk c_nj + f_j) / (N_k + 1): one more row that has the frequencies f.

    Args:
        x: Rows (N, D), at least one, finite.
        components: Number K of Gaussians.
        ridge: Ridge, in units of the variances of the columns.
        codes: One-hot codes of the labels of each row, side by side, (N, L); None without labels.
        frequencies: Frequency f of each label in all rows, (L,), positive; needed with codes.
        generator: Source of the random starting means.

    References:
        Dempster, Laird, Rubin 1977.
    """
    x = x.double()
    start = start_responsibilities(x if codes is None else torch.cat([x, codes], 1), components, generator)
    ridges, prior = x.new_tensor([ridge]), None if frequencies is None else frequencies[None]
    return _one(
        fit_mixtures(x[None], start[None], ridges, codes=None if codes is None else codes[None], frequencies=prior), 0
    )


def fit_mixtures(
    x: Tensor, start: Tensor, ridges: Tensor, *, codes: Tensor | None = None, frequencies: Tensor | None = None
) -> MixtureFit:
    """Fit several mixtures together, each as `fit_mixture` does; a step of small fits costs about as much as one of them.

    Args:
        x: Rows of each fit, (S, N, D).
        start: Starting shares of each row in the components, (S, N, K); zero for rows that a fit does not use.
        ridges: Ridge of each fit, (S,).
        codes: One-hot codes of the labels, (S, N, L); None without labels.
        frequencies: Frequencies of the labels, (S, L), positive; needed with codes.

    Returns:
        The parameters, with a first dimension S.
    """
    used = start.sum(-1, keepdim=True) > 0
    rows = used.sum(1)
    mean = (x * used).sum(1) / rows
    variance = ((x - mean[:, None]) * used).square().sum(1) / rows
    added = torch.diag_embed(ridges[:, None] * variance.clamp_min(1e-12))
    fits: list[MixtureFit | None] = [None] * len(x)
    left, before = torch.arange(len(x)), x.new_full((len(x),), -math.inf)
    parts = (x, used, rows, added, start, codes, frequencies)
    for step in range(MOST_ROUNDS):
        x, used, rows, added, responsibilities, codes, frequencies = parts
        fit = _maximised(x, responsibilities, added)
        if codes is not None and frequencies is not None:
            counts = responsibilities.sum(1)[..., None]
            labels = ((responsibilities.mT @ codes + frequencies[:, None]) / (counts + 1)).log()
            fit = fit._replace(labels=labels)
        joint = log_joint(x, fit, codes)
        total = joint.logsumexp(2, keepdim=True)
        responsibilities = (joint - total).exp() * used
        now = (total * used).sum((1, 2)) / rows[:, 0]
        done = now - before < NEARLY_DONE if step + 1 < MOST_ROUNDS else torch.ones_like(now, dtype=torch.bool)
        parts = (x, used, rows, added, responsibilities, codes, frequencies)
        before = now
        if bool(done.any()):
            for i in done.nonzero()[:, 0].tolist():
                fits[int(left[i])] = _one(fit, i)
            if bool(done.all()):
                break
            left, before = left[~done], now[~done]
            parts = tuple(None if part is None else part[~done] for part in parts)  # type: ignore[assignment]
    found = [fit for fit in fits if fit is not None]
    together = [None if parts[0] is None else torch.stack(parts) for parts in zip(*found, strict=True)]
    return MixtureFit(*together)  # type: ignore[arg-type]


def _one(fits: MixtureFit, i: int) -> MixtureFit:
    """Return one fit of a batch."""
    return MixtureFit(*(None if part is None else part[i] for part in fits))  # type: ignore[arg-type]


class MixtureChoice(NamedTuple):
    """Settings of a mixture, chosen by cross-validation.

    Args:
        components: Number of components.
        ridge: Ridge on the covariances.
        score: Mean held-out log-density in nats.
    """

    components: int
    ridge: float
    score: float


def choose_mixture(
    x: Tensor,
    components: Sequence[int] = COMPONENTS,
    *,
    codes: Tensor | None = None,
    gated: bool = False,
    seed: int = 0,
) -> MixtureChoice:
    """Return the number of components and the ridge with the best held-out log-density, by cross-validation.

    More components are tried until the score has fallen twice in a row. With codes, the score is that of the numbers given the
    labels: of a mixture of what a regression on the codes leaves, or of a gated mixture (see `conditional_log_prob`).

    Args:
        x: Rows (N, D).
        components: Numbers of components to choose from, ascending.
        codes: One-hot codes of the labels of each row, (N, L); None without labels.
        gated: Whether the labels determine the weights of the components, and do not shift their means.
        seed: Seed of the folds and of the starting means.
    """
    generator = torch.Generator().manual_seed(seed)
    x = x.double().cpu()
    codes = None if codes is None else codes.double().cpu()
    order = torch.randperm(len(x), generator=generator)[:MOST_ROWS]
    folds = [order[i::FOLDS] for i in range(FOLDS if len(order) <= MOST_FOR_FOLDS else 1)]
    splits = [_split(x, codes, order[~torch.isin(order, fold)], fold, gated=gated) for fold in folds]
    start = MixtureChoice(components[0], RIDGES[-2], -math.inf)

    return best_settings(held_out_scores(splits, seed), [n for n in components if n * 2 <= len(order)], RIDGES, start)


def best_settings(
    score: Callable[[int, float], float], components: Sequence[int], ridges: Sequence[float], start: MixtureChoice
) -> MixtureChoice:
    """Return the number of components and the ridge with the largest score.

    Args:
        score: Function (number of components, ridge) that returns a score.
        components: Numbers of components, ascending; more are tried until the score has fallen twice in a row.
        ridges: Ridges to try, each with all numbers of components.
        start: Choice that is returned if no score is larger than its own.
    """
    best = start
    for ridge in ridges:
        worse, before = 0, -math.inf
        for number in components:
            if worse == 2:
                break
            total = score(number, ridge)
            worse, before = (0, total) if total > before else (worse + 1, before)
            if total > best.score:
                best = MixtureChoice(number, ridge, total)
    return best


class MixtureSplit(NamedTuple):
    """Rows to fit and rows to check, and their codes if labels belong to the components.

    Args:
        fit: Rows to fit, (N, D).
        check: Rows to check, (M, D).
        fit_codes: Codes (N, L), or None.
        check_codes: Codes (M, L), or None.
        frequencies: Frequencies of the labels, (L,), positive; needed with codes.
    """

    fit: Tensor
    check: Tensor
    fit_codes: Tensor | None = None
    check_codes: Tensor | None = None
    frequencies: Tensor | None = None


def _split(x: Tensor, codes: Tensor | None, rest: Tensor, fold: Tensor, *, gated: bool) -> MixtureSplit:
    """Return the rows of one fold; if the labels shift the means, without what a regression on them explains."""
    if codes is None:
        return MixtureSplit(x[rest], x[fold])
    if gated:
        return MixtureSplit(x[rest], x[fold], codes[rest], codes[fold], label_frequencies(codes[rest]))
    slopes, mean = ridge_slopes(codes[rest], x[rest]), codes[rest].mean(0)
    return MixtureSplit(*(x[rows] - (codes[rows] - mean) @ slopes for rows in (rest, fold)))


def held_out_scores(splits: Sequence[MixtureSplit], seed: int, *, joint: bool = False) -> Callable[[int, float], float]:
    """Return a function (number of components, ridge) that returns the mean log-density of the rows to check.

    Args:
        splits: Splits of the same rows; small ones are fitted together.
        seed: Seed of the starting means.
        joint: Whether the density is that of numbers and labels; by default that of the numbers given the labels.
    """
    x = torch.stack([torch.cat([split.fit, split.check]) for split in splits]).double()
    codes = frequencies = None
    if splits[0].fit_codes is not None:
        codes = torch.stack([torch.cat([split.fit_codes, split.check_codes]) for split in splits])  # type: ignore[list-item]
        frequencies = torch.stack([split.frequencies for split in splits])  # type: ignore[misc]

    @functools.cache
    def start(number: int) -> Tensor:
        """Return the starting shares, which are the same for every ridge."""
        shares = x.new_zeros(*x.shape[:2], number)
        for i, split in enumerate(splits):
            known = split.fit if split.fit_codes is None else torch.cat([split.fit, split.fit_codes], 1)
            shares[i, : len(known)] = start_responsibilities(known, number, torch.Generator().manual_seed(seed))
        return shares

    def score(number: int, ridge: float) -> float:
        together = max(1, LARGEST // (number * x.shape[1] * max(x.shape[2], 1)))
        total = 0.0
        for part in torch.arange(len(splits)).split(together):
            given, prior = (None, None) if codes is None or frequencies is None else (codes[part], frequencies[part])
            # A batch has room for the rows to check, too, because the splits differ in size; a single split needs none.
            used = len(splits[int(part[0])].fit) if len(part) == 1 else x.shape[1]
            given = None if given is None else given[:, :used]
            rows, shares, ridges = x[part, :used], start(number)[part, :used], x.new_full((len(part),), ridge)
            fits = fit_mixtures(rows, shares, ridges, codes=given, frequencies=prior)
            for place, i in enumerate(part.tolist()):
                fit = _one(fits, place)
                check, seen = splits[i].check.double(), splits[i].check_codes
                if seen is None or joint:
                    total += float(log_joint(check, fit, seen).logsumexp(1).mean())
                else:
                    total += float(conditional_log_prob(check, fit, seen).mean())
        return total / len(splits)

    return score


def label_frequencies(codes: Tensor) -> Tensor:
    """Return the share of the rows (N, L) that have each label, with half a row added to each, (L,)."""
    return (codes.sum(0) + 0.5) / (len(codes) + 1)


def conditional_log_prob(x: Tensor, fit: MixtureFit, codes: Tensor) -> Tensor:
    """Return log p(x_n | c_n), (N,): the weights of such a gated mixture are w_k q_k(c) / sum_j w_j q_j(c)."""
    labels = fit.weights.log().unsqueeze(-2) + (codes @ fit.labels.mT if fit.labels is not None else 0.0)
    return log_joint(x, fit, codes).logsumexp(-1) - labels.logsumexp(-1)


def ridge_slopes(context: Tensor, x: Tensor, ridge: float = 1.0) -> Tensor:
    """Return the slopes (C, D) of a ridge regression of x (N, D) on a context (N, C): (c^T c + ridge I)^-1 c^T x, both centred.

    Args:
        context: Context of each row.
        x: Rows.
        ridge: Penalty on the squared slopes, in rows.
    """
    given = context - context.mean(0)
    centred = x - x.mean(0)
    if given.shape[1] > len(given):
        # The same slopes from the rows: c^T (c c^T + ridge I)^-1 x, a smaller system if there are many labels.
        gram = given @ given.mT + ridge * torch.eye(len(given), dtype=given.dtype, device=given.device)
        return given.mT @ torch.linalg.solve(gram, centred)
    gram = given.mT @ given + ridge * torch.eye(given.shape[1], dtype=given.dtype, device=given.device)
    return torch.linalg.solve(gram, given.mT @ centred)


def best_mixture(x: Tensor, components: int, ridge: float, codes: Tensor | None = None) -> MixtureFit:
    """Return the best of several fits from different starting means, for which the rows are most likely."""
    starts = 1 if components == 1 else STARTS
    x = x.double()
    known = x if codes is None else torch.cat([x, codes], 1)
    start = [start_responsibilities(known, components, torch.Generator().manual_seed(i)) for i in range(starts)]
    prior = None if codes is None else label_frequencies(codes).expand(starts, -1)
    given = None if codes is None else codes.expand(starts, *codes.shape)
    rows = x.expand(starts, *x.shape)
    fits = fit_mixtures(rows, torch.stack(start), x.new_full((starts,), ridge), codes=given, frequencies=prior)
    return _one(fits, int(log_joint(rows, fits, given).logsumexp(-1).mean(-1).argmax()))


def log_joint(x: Tensor, fit: MixtureFit, codes: Tensor | None = None) -> Tensor:
    """Return log w_k + log N(x_n; m_k, S_k), and the log-probabilities of the labels if there are any: (..., N, K)."""
    labels = 0.0 if codes is None or fit.labels is None else codes @ fit.labels.mT
    if x.shape[-1] == 0:
        return fit.weights.log().unsqueeze(-2) + labels
    factors = torch.linalg.cholesky(fit.covariances)
    centred = (x.unsqueeze(-3) - fit.means.unsqueeze(-2)).mT
    whitened = torch.linalg.solve_triangular(factors, centred, upper=False).square().sum(-2)
    log_dets = factors.diagonal(dim1=-2, dim2=-1).log().sum(-1)
    constant = 0.5 * x.shape[-1] * math.log(2 * math.pi)
    return (fit.weights.log() - log_dets - constant).unsqueeze(-2) - 0.5 * whitened.mT + labels


def _maximised(x: Tensor, responsibilities: Tensor, added: Tensor) -> MixtureFit:
    """Return the M step: rows (..., N, D), shares (..., N, K), ridges on the covariances (..., D, D)."""
    counts = responsibilities.sum(-2).clamp_min(1e-9)
    means = (responsibilities.mT @ x) / counts[..., None]
    centred = x.unsqueeze(-3) - means.unsqueeze(-2)
    scatter = (centred * responsibilities.mT[..., None]).mT @ centred / counts[..., None, None]
    return MixtureFit(counts / counts.sum(-1, keepdim=True), means, scatter + added.unsqueeze(-3))


def start_responsibilities(x: Tensor, components: int, generator: torch.Generator | None) -> Tensor:
    """Return responsibilities (N, K) of the nearest of K centres, drawn far from each other (k-means++) and then moved."""
    scaled = x / x.std(0, unbiased=False).clamp_min(1e-9)
    centres = scaled[torch.randint(len(x), (1,), generator=generator)]
    for _ in range(components - 1):
        distance = torch.cdist(scaled, centres).square().amin(1)
        if float(distance.sum()) <= 0:
            break
        centres = torch.cat([centres, scaled[torch.multinomial(distance, 1, generator=generator)]])
    for _ in range(5):
        nearest = torch.cdist(scaled, centres).argmin(1)
        one_hot = torch.nn.functional.one_hot(nearest, len(centres)).double()
        counts = one_hot.sum(0)
        centres = torch.where(counts[:, None] > 0, one_hot.mT @ scaled / counts[:, None].clamp_min(1), centres)
    one_hot = torch.nn.functional.one_hot(torch.cdist(scaled, centres).argmin(1), components).double()
    return 0.9 * one_hot + 0.1 / components
