"""Distributions of labels: independent, or autoregressive, p(x) = prod_i p(x_i | x_<i, context) with softmax factors."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..core import Categories, Distribution, OneHot, Space, Symbols, context_space
from ..errors import SpecError
from ..networks import MaskedMLP
from .autoregressive_model import AutoregressiveModel
from .chance import Chance
from .factors import CategoricalFactor


class Categorical(Distribution):
    """Independent labels with learned probabilities: log p(x) = sum_i log softmax(l_i)[x_i].

    Args:
        space: Space of the labels, `Categories` with one dimension or `OneHot`.
    """

    def __init__(self, space: Categories | OneHot) -> None:
        super().__init__()
        self.space: Categories | OneHot = space
        self.factor = CategoricalFactor(space.counts, one_hot=space.one_hot)
        self.logits = nn.Parameter(torch.zeros(len(space.counts), self.factor.n))

    def init_from(self, x: Tensor, context: Tensor | None = None) -> None:
        """Set the logits from the frequencies of the labels in the batch, with one added to each count."""
        self.logits.data.copy_(self.factor.start(x))

    def _log_prob(self, x: Tensor, context: Tensor | None) -> Tensor:
        return self.factor.log_prob(x, self.logits.expand(x.shape[0], -1, -1)).sum(1)

    def _sample(self, n: int, context: Tensor | None) -> tuple[Tensor, Tensor]:
        chance = Chance()
        return self._generate(chance, n, context), torch.as_tensor(chance.logp)

    def _generate(self, symbols: Symbols, n: int, context: Tensor | None) -> Tensor:
        labels = symbols.labels(self.factor.normalised(self.logits).expand(n, -1, -1))
        return nn.functional.one_hot(labels, self.factor.n).to(self.dtype) if self.space.one_hot else labels


class AutoregressiveCategorical(AutoregressiveModel):
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
        factor = CategoricalFactor(classes.counts, one_hot=classes.one_hot)
        given = context_space(context)
        if net is None:
            net = MaskedMLP(
                len(classes.counts),
                factor.n,
                hidden=hidden,
                context=given.shape[0] if given is not None else 0,
                width=factor.n,
                dropout=dropout,
                order=order,
            )
        super().__init__(classes, factor, net, context=context)
