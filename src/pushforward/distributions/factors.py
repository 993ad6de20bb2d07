"""Factors of autoregressive models: the distribution p(x_i | x_<i) of one entry, given parameters that a network computes.

    p(x) = prod_i p(x_i; theta_i),    theta_i = net_i(x_<i, context)

A factor says how many parameters an entry has, how the network sees an entry, and how an entry is scored and drawn. Any factor
can be used with any autoregressive network: see `AutoregressiveModel`.
"""

from __future__ import annotations

import abc
import math
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..core import Categories, Integers, OneHot, Real, Space, Symbols
from ..errors import SpecError
from ..functional.bounds import soft_clip
from ..functional.logistic import logistic_levels
from ..recording import Recorded

Kind = Literal["gaussian", "laplace", "logistic"]


class Factor(Recorded, nn.Module, abc.ABC):
    """Base class of the distributions of one entry, given `n` parameters."""

    n: int
    """Number of parameters of an entry."""
    width: int = 1
    """Number of inputs with which the network sees an entry."""
    entry: tuple[int, ...] = ()
    """Shape of an entry: () for a number or a label, (K,) for a one-hot vector, (C,) for a pixel with C channels."""
    discrete: bool = False
    """Whether entries come from a finite set, so that a coder can ask for them one after the other."""

    @abc.abstractmethod
    def check(self, space: Space) -> None:
        """Check that the entries of a space have this distribution.

        Raises:
            SpecError: They have not.
        """

    @abc.abstractmethod
    def codes(self, x: Tensor, dtype: torch.dtype) -> Tensor:
        """Return entries (..., *entry) as inputs of a network, (..., width), in the dtype of the network."""

    @abc.abstractmethod
    def log_prob(self, x: Tensor, p: Tensor) -> Tensor:
        """Return the log-probabilities of all entries in nats: x (B, T, *entry), p (B, T, n) -> (B, T)."""

    @abc.abstractmethod
    def draw(self, i: int, p: Tensor, symbols: Symbols, at: tuple[int, ...]) -> tuple[Tensor, Tensor]:
        """Return entry i and its log-probability.

        Args:
            i: Index of the entry, for factors whose entries differ.
            p: Parameters of the entry, (B, n).
            symbols: Source of labels, for discrete entries.
            at: Indices of the entry's numbers in the flattened event.

        Returns:
            Entries (B, *entry), and (B,) nats.
        """

    def start(self, x: Tensor) -> Tensor | None:
        """Return parameters with which training starts, (T, n), from entries (B, T, *entry); None to start from zeros."""
        return None


class BernoulliFactor(Factor):
    """Bits: P(x_i = 1) = sigmoid(l), with one parameter l and one input for each entry."""

    n = 1
    discrete = True

    def check(self, space: Space) -> None:
        """Check that every entry of the space is 0 or 1."""
        if space.one_hot or set(space.counts or (0,)) != {2} or space.interval != (0, 1):
            raise SpecError(f"expected a space of bits, got {space}")

    def codes(self, x: Tensor, dtype: torch.dtype) -> Tensor:
        """Return bits as floats with one input each."""
        return x.to(dtype).unsqueeze(-1)

    def log_prob(self, x: Tensor, p: Tensor) -> Tensor:
        """Return logsigmoid(l) for ones and logsigmoid(-l) for zeros."""
        # The sign of l is that of 2 x - 1.
        return F.logsigmoid((2 * x - 1) * p.squeeze(-1))

    def draw(self, i: int, p: Tensor, symbols: Symbols, at: tuple[int, ...]) -> tuple[Tensor, Tensor]:
        """Return drawn bits, as labels, and their log-probabilities."""
        logp = torch.cat([F.logsigmoid(-p), F.logsigmoid(p)], -1)
        return _label(logp, symbols, at[0])

    def start(self, x: Tensor) -> Tensor:
        """Return the logits of the frequencies in a batch, with one added to each count."""
        ones = x.sum(0) + 1
        return (ones / (len(x) + 2 - ones)).log().unsqueeze(-1)


class CategoricalFactor(Factor):
    """Labels: log P(x_i = k) = log softmax(theta_i)[k].

    Args:
        counts: Number of labels of each entry.
        one_hot: Whether events are one-hot vectors, through which gradients flow, and not whole numbers.
        code: Input of the network for whole numbers: "one-hot", or "number" for x scaled to [-1, 1], for ordered levels.
    """

    discrete = True
    allowed: Tensor

    def __init__(
        self, counts: tuple[int, ...], *, one_hot: bool = False, code: Literal["one-hot", "number"] = "one-hot"
    ) -> None:
        super().__init__()
        self.counts, self.one_hot, self.code, self.n = tuple(counts), one_hot, code, max(counts)
        self.width = self.n if one_hot or code == "one-hot" else 1
        self.entry = (self.n,) if one_hot else ()
        labels = torch.arange(self.n)
        self.register_buffer("allowed", labels[None] < torch.tensor(counts)[:, None], persistent=False)

    def check(self, space: Space) -> None:
        """Check that the space has these numbers of labels."""
        if space.counts != self.counts or space.one_hot != self.one_hot or (space.interval or (0, 0))[0] != 0:
            raise SpecError(f"expected a space with the labels {self.counts}, got {space}")

    def codes(self, x: Tensor, dtype: torch.dtype) -> Tensor:
        """Return one-hot codes, or levels scaled to [-1, 1]."""
        if self.one_hot:
            return x
        if self.code == "number":
            return (2 * x.to(dtype) / max(self.n - 1, 1) - 1).unsqueeze(-1)
        return F.one_hot(x.long(), self.n).to(dtype)

    def normalised(self, logits: Tensor, i: int | None = None) -> Tensor:
        """Return log-probabilities from logits (..., T, K), or (..., K) of entry i; -inf for labels that an entry lacks."""
        allowed = self.allowed if i is None else self.allowed[i]
        return logits.masked_fill(~allowed, -torch.inf).log_softmax(-1)

    def log_prob(self, x: Tensor, p: Tensor) -> Tensor:
        """Return the log-probabilities of labels; they are linear in one-hot codes."""
        logp = self.normalised(p)
        if not self.one_hot:
            return logp.gather(-1, x.long().unsqueeze(-1)).squeeze(-1)
        # Inside the sum, -inf times a code of 0 would be NaN; those entries are set to 0.
        return (logp.masked_fill(~self.allowed, 0.0) * x).sum(-1)

    def draw(self, i: int, p: Tensor, symbols: Symbols, at: tuple[int, ...]) -> tuple[Tensor, Tensor]:
        """Return drawn labels, or their one-hot codes, and their log-probabilities."""
        label, logp = _label(self.normalised(p, i), symbols, at[0])
        return (F.one_hot(label, self.n).to(p.dtype) if self.one_hot else label), logp

    def start(self, x: Tensor) -> Tensor:
        """Return the logs of the frequencies in a batch, with one added to each count."""
        codes = x if self.one_hot else F.one_hot(x.long(), self.n)
        return (codes.sum(0) + 1.0).log().masked_fill(~self.allowed, 0.0)


class MixtureFactor(Factor):
    """Real numbers: a mixture of M Gaussian, Laplace or logistic distributions.

        p(x_i) = sum_m w_m k((x_i - mu_m) / s_m) / s_m

    with the standard density k (Uria et al. 2013, arXiv:1306.0186, eq. 7-10 for Gaussians, and section 3 for Laplacians).

    Args:
        components: Number of components M.
        kind: Density of a component.
        scaled_means: Whether the gradient of a mean is multiplied by its scale (Uria et al. 2013, section 3.1), so that a
            narrow component does not receive gradients of unbounded size. The value of the density does not change.
        bound: Upper bound of |log s_m|; the smallest scale is exp(-bound).
        start_from: Means at the start: "grid" for even steps over the range of a batch, as in the paper; "quantiles" for the
            quantiles of the batch, which suit values with outliers.

    Raises:
        SpecError: There are no components, or the bound is not positive.
    """

    def __init__(
        self,
        components: int = 10,
        kind: Kind = "gaussian",
        *,
        scaled_means: bool = True,
        bound: float = 7.0,
        start_from: Literal["grid", "quantiles"] = "grid",
    ) -> None:
        super().__init__()
        if components < 1 or bound <= 0 or kind not in ("gaussian", "laplace", "logistic"):
            raise SpecError(
                "expected at least 1 component, a positive bound and the kind 'gaussian', 'laplace' or 'logistic', "
                f"got {components}, {bound} and {kind!r}"
            )
        self.components, self.kind, self.scaled_means, self.bound = components, kind, scaled_means, bound
        self.start_from = start_from
        self.n = 3 * components

    def check(self, space: Space) -> None:
        """Check that entries are real numbers."""
        if not isinstance(space, Real):
            raise SpecError(f"expected a space of real numbers, got {space}")

    def codes(self, x: Tensor, dtype: torch.dtype) -> Tensor:
        """Return the numbers, with one input each."""
        return x.unsqueeze(-1)

    def parts(self, p: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return log-weights, means and log-scales, each (..., M), from parameters (..., 3 M)."""
        weights, means, scales = p.chunk(3, -1)
        scales = soft_clip(scales, self.bound)
        if self.scaled_means:
            # The value is the mean; its gradient is multiplied by the scale.
            means = means.detach() + (means - means.detach()) * scales.detach().exp()
        return weights.log_softmax(-1), means, scales

    def each(self, x: Tensor, means: Tensor, log_scales: Tensor) -> Tensor:
        """Return the log-density of x (...) under every component, (..., M)."""
        u = (x.unsqueeze(-1) - means) * (-log_scales).exp()
        if self.kind == "gaussian":
            return -0.5 * (u.square() + math.log(2 * math.pi)) - log_scales
        if self.kind == "laplace":
            return -u.abs() - math.log(2.0) - log_scales
        return F.logsigmoid(u) + F.logsigmoid(-u) - log_scales

    def log_prob(self, x: Tensor, p: Tensor) -> Tensor:
        """Return the log-densities of the mixtures."""
        log_weights, means, log_scales = self.parts(p)
        return (log_weights + self.each(x, means, log_scales)).logsumexp(-1)

    def draw(self, i: int, p: Tensor, symbols: Symbols, at: tuple[int, ...]) -> tuple[Tensor, Tensor]:
        """Return numbers drawn from a random component, and their log-densities under the mixture."""
        x = self.sample(self.parts(p))
        return x, self.log_prob(x, p)

    def sample(self, parts: tuple[Tensor, Tensor, Tensor]) -> Tensor:
        """Return numbers (...) drawn from mixtures with these log-weights, means and log-scales, (..., M) each."""
        log_weights, means, log_scales = parts
        # Gumbel-max trick: the argmax of log-weights plus Gumbel noise, -log of exponential noise, picks the component.
        chosen = (log_weights - torch.empty_like(log_weights).exponential_().log()).argmax(-1, keepdim=True)
        mean, scale = (t.gather(-1, chosen).squeeze(-1) for t in (means, log_scales.exp()))
        return mean + scale * self._noise(mean)

    def _noise(self, like: Tensor) -> Tensor:
        if self.kind == "gaussian":
            return torch.randn_like(like)
        eps = torch.finfo(like.dtype).eps
        uniform = torch.rand_like(like).clamp(eps, 1 - eps)
        if self.kind == "logistic":
            return uniform.logit()
        # The quantile of a Laplace distribution at u is sign(u - 1/2) times the exponential quantile of |2 u - 1|.
        centred = 2 * uniform - 1
        return -centred.sign() * torch.log1p(-centred.abs())

    def start(self, x: Tensor) -> Tensor:
        """Return equal weights, means on a grid or at the quantiles of a batch, and the spacing of the means as scales."""
        m = self.components
        places = (torch.arange(m, device=x.device, dtype=x.dtype) + 0.5) / m
        deviation = x.std(0, unbiased=False)[..., None]
        if self.start_from == "grid":
            low, high = x.amin(0)[..., None], x.amax(0)[..., None]
            means = low + (high - low) * places
            spacing = ((high - low) / m).expand_as(means)
        else:
            means = x.quantile(places, 0).movedim(0, -1)
            gaps = means.diff(dim=-1)
            # The mean distance to both neighbours, but not less than a share of the deviation: values may be equal.
            spacing = (
                deviation
                if m == 1
                else (torch.cat([gaps[..., :1], gaps], -1) + torch.cat([gaps, gaps[..., -1:]], -1)) / 2
            )
            spacing = spacing.maximum(0.05 * deviation).expand_as(means)
        spacing = spacing.clamp_min(1e-3)
        raw = spacing.log().clamp(-0.9 * self.bound, 0.9 * self.bound)
        # The inverse of soft_clip, s / sqrt(1 + (s / bound)^2), so that the clipped value is `raw`.
        raw = raw * torch.rsqrt(1 - (raw / self.bound).square())
        return torch.cat([torch.zeros_like(means), means, raw], -1)


class LogisticLevelsFactor(Factor):
    """Levels 0 ... K - 1 of a pixel, from a mixture of logistic distributions rounded to levels.

        P(x) = sum_m w_m prod_c (sigmoid((x_c + 1/2 - mu_mc) / s_mc) - sigmoid((x_c - 1/2 - mu_mc) / s_mc))

    The first and the last level also have the probability of the tail beyond them. The means of later channels are linear in
    the earlier channels of the pixel, mu_mc + sum_{b < c} a_mcb x_b, with levels scaled to [-1, 1] (Salimans et al. 2017,
    arXiv:1701.05517, section 2.1 and 2.2).

    Args:
        levels: Number of levels K.
        components: Number of components M of a mixture.
        channels: Number of channels C of a pixel.
        bound: Upper bound of |log(s / (1 / 4))|, with s on the scale on which levels are in [-1, 1].

    Raises:
        SpecError: A count is too small.
    """

    discrete = True

    def __init__(self, levels: int = 256, components: int = 10, channels: int = 1, *, bound: float = 7.0) -> None:
        super().__init__()
        if levels < 2 or components < 1 or channels < 1:
            raise SpecError(
                f"expected at least 2 levels, 1 component and 1 channel, got {levels}, {components} and {channels}"
            )
        self.levels, self.components, self.channels, self.bound = levels, components, channels, bound
        self.pairs = channels * (channels - 1) // 2
        self.n = components * (1 + 2 * channels + self.pairs)
        self.width = channels
        self.entry = (channels,) if channels > 1 else ()

    def check(self, space: Space) -> None:
        """Check that entries are levels, and that pictures have the channels."""
        fits = isinstance(space, Integers) and space.interval == (0, self.levels - 1)
        if not fits or (self.channels > 1 and (len(space.shape) != 3 or space.shape[0] != self.channels)):
            raise SpecError(
                f"expected a space of {self.levels} levels with {self.channels} channels a pixel, got {space}"
            )

    def codes(self, x: Tensor, dtype: torch.dtype) -> Tensor:
        """Return the levels scaled to [-1, 1]."""
        scaled = 2 * x.to(dtype) / (self.levels - 1) - 1
        return scaled if self.entry else scaled.unsqueeze(-1)

    def _parts(self, p: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return log-weights (..., M), means and log-scales (..., C, M), and coefficients (..., pairs, M)."""
        m, c = self.components, self.channels
        weights, rest = p.split([m, p.shape[-1] - m], -1)
        means, scales, pairs = rest.unflatten(-1, (-1, m)).split([c, c, self.pairs], -2)
        # Means start on an even grid over the levels, because equal components would stay equal.
        grid = torch.linspace(-1, 1, 2 * m + 1, dtype=p.dtype, device=p.device)[1::2]
        return weights.log_softmax(-1), means + grid, soft_clip(scales, self.bound) - math.log(4.0), pairs.tanh()

    def _channel(self, c: int, x: Tensor, means: Tensor, log_scales: Tensor, pairs: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and log-scale in levels of channel c, (..., M), given the scaled channels before it, (..., C)."""
        mean = means[..., c, :]
        for b in range(c):
            mean = mean + pairs[..., c * (c - 1) // 2 + b, :] * x[..., b, None]
        half = (self.levels - 1) / 2
        return half * (mean + 1), log_scales[..., c, :] + math.log(half)

    def log_prob(self, x: Tensor, p: Tensor) -> Tensor:
        """Return the log-probabilities of pixels."""
        log_weights, *parts = self._parts(p)
        scaled = self.codes(x, p.dtype)
        pixel = x if self.entry else x.unsqueeze(-1)
        for c in range(self.channels):
            mean, log_scale = self._channel(c, scaled, *parts)
            log_weights = log_weights + logistic_levels(pixel[..., c, None], mean, log_scale, self.levels)
        return log_weights.logsumexp(-1)

    def draw(self, i: int, p: Tensor, symbols: Symbols, at: tuple[int, ...]) -> tuple[Tensor, Tensor]:
        """Return drawn pixels, one channel after the other, and their log-probabilities."""
        log_weights, *parts = self._parts(p)
        pixel = p.new_zeros(p.shape[0], self.channels)
        scaled, total = pixel.clone(), p.new_zeros(p.shape[0])
        levels = torch.arange(self.levels, dtype=p.dtype, device=p.device)[:, None]
        for c in range(self.channels):
            mean, log_scale = self._channel(c, scaled, *parts)
            each = logistic_levels(levels, mean[:, None], log_scale[:, None], self.levels)
            # The weights of the components given the channels before; their sum over components is the channel's probability.
            logp = (log_weights.log_softmax(-1)[:, None] + each).logsumexp(-1).log_softmax(-1)
            level, log_one = _label(logp, symbols, at[c])
            pixel[:, c], total = level.to(p.dtype), total + log_one
            scaled[:, c] = 2 * pixel[:, c] / (self.levels - 1) - 1
            log_weights = log_weights + each[torch.arange(len(level), device=p.device), level]
        return (pixel if self.entry else pixel[:, 0]), total


def label_factor(space: Space) -> Factor:
    """Return the factor of labels: bits for two labels everywhere, softmaxes otherwise.

    Raises:
        SpecError: The space has no labels.
    """
    if not isinstance(space, (Categories, OneHot, Integers)) or space.counts is None:
        raise SpecError(f"expected a space of labels or bounded whole numbers, got {space}")
    if set(space.counts) == {2} and not space.one_hot:
        return BernoulliFactor()
    return CategoricalFactor(space.counts, one_hot=space.one_hot)


def _label(logp: Tensor, symbols: Symbols, at: int) -> tuple[Tensor, Tensor]:
    """Return labels asked for with log-probabilities (B, K), and the log-probabilities of these labels (B,)."""
    label = symbols.labels(logp, at)
    return label, logp.gather(-1, label.unsqueeze(-1)).squeeze(-1)
