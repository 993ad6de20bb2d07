"""Distributions of labels: independent, or autoregressive, p(x) = prod_i p(x_i | x_<i, context) with softmax factors."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..core import Categories, Distribution, OneHot, Space, Symbols, context_space
from ..errors import SpecError
from ..networks import CausalNetwork, MaskedMLP, as_conditioner
from .chance import Chance


class Labels(Distribution):
    """Base class of distributions of labels, which are `Categories`, or `OneHot` vectors that carry gradients.

    Args:
        space: Space of the labels.
    """

    allowed: Tensor

    def __init__(self, space: Categories | OneHot) -> None:
        super().__init__()
        self.space: Categories | OneHot = space
        self.most = max(space.counts)
        labels = torch.arange(self.most)
        self.register_buffer("allowed", labels[None] < torch.tensor(space.counts)[:, None], persistent=False)

    def _codes(self, x: Tensor) -> Tensor:
        """Return events as one-hot vectors (B, D, K)."""
        return x if self.space.one_hot else F.one_hot(x, self.most).to(self.dtype)

    def _events(self, labels: Tensor) -> Tensor:
        """Return labels (B, D) as events."""
        return F.one_hot(labels, self.most).to(self.dtype) if self.space.one_hot else labels

    def _normalised(self, logits: Tensor) -> Tensor:
        """Return log-probabilities from logits (..., D, K), -inf for labels that a coordinate does not have."""
        return logits.masked_fill(~self.allowed, -torch.inf).log_softmax(-1)

    def _chosen(self, logits: Tensor, codes: Tensor) -> Tensor:
        """Return the log-probability of the labels, linear in their one-hot codes: (B, D, K) twice -> (B,)."""
        # Inside the sum, -inf times a code of 0 would be NaN; those entries are set to 0.
        return (self._normalised(logits).masked_fill(~self.allowed, 0.0) * codes).flatten(1).sum(1)

    def _sample(self, n: int, context: Tensor | None) -> tuple[Tensor, Tensor]:
        chance = Chance()
        return self._generate(chance, n, context), torch.as_tensor(chance.logp)


class Categorical(Labels):
    """Independent labels with learned probabilities: log p(x) = sum_i log softmax(l_i)[x_i].

    Args:
        space: Space of the labels, `Categories` with one dimension or `OneHot`.
    """

    def __init__(self, space: Categories | OneHot) -> None:
        super().__init__(space)
        self.logits = nn.Parameter(torch.zeros(len(space.counts), self.most))

    def init_from(self, x: Tensor, context: Tensor | None = None) -> None:
        """Set the logits from the frequencies of the labels in the batch, with one added to each count."""
        self.logits.data.copy_((self._codes(x).sum(0) + 1).log().masked_fill(~self.allowed, 0.0))

    def _log_prob(self, x: Tensor, context: Tensor | None) -> Tensor:
        return self._chosen(self.logits, self._codes(x))

    def _generate(self, symbols: Symbols, n: int, context: Tensor | None) -> Tensor:
        return self._events(symbols.labels(self._normalised(self.logits).expand(n, -1, -1)))


class AutoregressiveCategorical(Labels):
    """Autoregressive distribution of labels; columns may have different numbers of classes.

    In a MaskedMLP, the one-hot code of each label occupies `max(classes)` inputs with the same position in the order.

    Args:
        classes: Number of labels of each coordinate, at least one coordinate and one label; or the space.
        context: Length of the context, 0 for none; or its space.
        hidden: Widths of the hidden layers of the MaskedMLP.
        dropout: Probability in [0, 1) with which hidden units are dropped in training.
        order: Order of the coordinates in the MaskedMLP.
        net: Another network, from codes (B, D, K) and the context to logits (B, D, K), where the logits of label i depend
            on the labels before it only: a `CausalNetwork`, or any network with this property. The latter draws with one
            pass per label.

    Raises:
        SpecError: There are no coordinates, or one has no labels.
    """

    def __init__(
        self,
        classes: tuple[int, ...] | Categories | OneHot,
        *,
        context: int | Space = 0,
        hidden: tuple[int, ...] = (64, 64),
        dropout: float = 0.0,
        order: tuple[int, ...] | None = None,
        net: nn.Module | None = None,
    ) -> None:
        if isinstance(classes, tuple):
            if not classes or min(classes) < 1:
                raise SpecError(f"expected at least one coordinate, each with at least one label, got {classes}")
            classes = Categories((len(classes),), tuple(classes))
        super().__init__(classes)
        self.context = context_space(context)
        if net is None:
            length = self.context.shape[0] if self.context is not None else 0
            net = MaskedMLP(
                len(classes.counts),
                self.most,
                hidden=hidden,
                context=length,
                width=self.most,
                dropout=dropout,
                order=order,
            )
        self.net = as_conditioner(net, (len(classes.counts), self.most), dim=-1)

    def init_from(self, x: Tensor, context: Tensor | None = None) -> None:
        """Set a fresh MaskedMLP's biases from the frequencies of the labels in the batch, with one added to each count."""
        if not isinstance(self.net, MaskedMLP) or bool(self.net.out.weight.any()):
            return
        counts = self._codes(x).sum(0) + 1
        self.net.out.bias.data.copy_(counts.to(self.dtype).log().masked_fill(~self.allowed, 0.0).mT.flatten())

    def _logits(self, codes: Tensor, context: Tensor | None) -> Tensor:
        return self.net(codes.flatten(1) if isinstance(self.net, MaskedMLP) else codes, context)

    def _log_prob(self, x: Tensor, context: Tensor | None) -> Tensor:
        codes = self._codes(x)
        return self._chosen(self._logits(codes, context), codes)

    def _generate(self, symbols: Symbols, n: int, context: Tensor | None) -> Tensor:
        found: dict[int, Tensor] = {}
        rows = torch.zeros(n, dtype=self.dtype, device=self.device)

        def step(i: int, logits: Tensor) -> Tensor:
            known = logits.masked_fill(~self.allowed[i], -torch.inf).log_softmax(-1)
            found[i] = symbols.labels(known, i)
            return F.one_hot(found[i], self.most).to(logits.dtype)

        width = len(self.space.counts)
        if isinstance(self.net, MaskedMLP):
            self.net.unroll(step, rows, context)
        elif isinstance(self.net, CausalNetwork):
            self.net.unroll(step, rows, width, context)
        else:
            codes = rows.new_zeros(n, width, self.most)
            for i in range(width):
                code = step(i, self._logits(codes, context)[:, i])
                codes = torch.cat([codes[:, :i], code[:, None], codes[:, i + 1 :]], 1)
        return self._events(torch.stack([found[i] for i in range(width)], 1))
