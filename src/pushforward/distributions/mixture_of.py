"""Mixture of any distributions on one space."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..core import Categories, Distribution, Space
from ..core.chain import common_context, starts
from ..errors import ShapeError, SpecError
from ..functional.k_means import k_means
from ..networks import OneHotCode, head

SHARE = 0.1
"""Share of an equal weight below which a component counts as dead."""


class MixtureOf(Distribution):
    """Mixture p(x | c) = sum_k w_k(c) p_k(x | c) of any distributions on one space, such as flows.

    Draws carry the gradients of the component from which they come, and none of the weights; `objectives.StratifiedKL`
    trains the weights, too.

    Args:
        *components: Distributions on the same space; those with a context have the same one.
        gated: Whether the weights are a function of the context.
        hidden: Widths of the hidden layers of the network of the weights.

    Raises:
        ShapeError: The components have different spaces.
        ContextError: The components have different contexts.
        SpecError: There is no component, or gated weights have no vector or label as context.
    """

    def __init__(self, *components: Distribution, gated: bool = False, hidden: tuple[int, ...] = (32,)) -> None:
        super().__init__()
        if not components:
            raise SpecError("expected at least one component")
        for other in components[1:]:
            if other.space != components[0].space:
                raise ShapeError(f"expected components on {components[0].space}, got one on {other.space}")
        self.components = nn.ModuleList(components)
        self.space, self.context = components[0].space, common_context(components)
        self.logits = nn.Parameter(torch.zeros(len(components)))
        self.gate: nn.Module | None = None
        if gated:
            self.gate = _gate(self.context, len(components), hidden)

    def log_weights(self, context: Tensor | None, rows: int) -> Tensor:
        """Return the logarithms of the weights, (B, K)."""
        logits = self.logits.expand(rows, -1)
        return (logits if self.gate is None else logits + self.gate(context)).log_softmax(-1)

    def log_joint(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """Return log w_k + log p_k(x) of every component: (B, K)."""
        each = [part._log_prob(x, _of(part, context)) for part in self.components]  # type: ignore[operator, arg-type]
        return self.log_weights(context, x.shape[0]) + torch.stack(each, 1)

    def dead(self, x: Tensor, context: Tensor | None = None) -> list[int]:
        """Return the numbers of the components that are responsible for less than a tenth of an equal share of rows."""
        with torch.no_grad():
            share = self.log_joint(x, context).softmax(1).mean(0) * len(self.components)
        return (share < SHARE).nonzero()[:, 0].tolist()

    def _log_prob(self, x: Tensor, context: Tensor | None) -> Tensor:
        return self.log_joint(x, context).logsumexp(1)

    def _sample(self, n: int, context: Tensor | None) -> tuple[Tensor, Tensor]:
        if not n:
            x = self.components[0]._sample(0, _of(self.components[0], context))[0]  # type: ignore[operator, arg-type]
            return x, self._log_prob(x, context)
        chosen = torch.multinomial(self.log_weights(context, n).exp(), 1)[:, 0]
        parts, places = [], []
        for k, part in enumerate(self.components):
            at = (chosen == k).nonzero()[:, 0]
            given = None if context is None else context[at]
            parts.append(part._sample(len(at), _of(part, given))[0])  # type: ignore[operator, arg-type]
            places.append(at)
        x = torch.cat(parts)[torch.cat(places).argsort()]
        return x, self._log_prob(x, context)

    @property
    def has_start(self) -> bool:
        """Whether there are data-dependent starting values: True."""
        return True

    def init_from(self, x: Tensor, context: Tensor | None = None) -> None:
        """Start each component from one cluster of the rows, found by k-means, and the weights from the sizes of clusters."""
        cluster = k_means(x.flatten(1), len(self.components))
        sizes = torch.bincount(cluster, minlength=len(self.components)).to(self.logits)
        self.logits.data.copy_(((sizes + 1) / (sizes + 1).sum()).log())
        for k, part in enumerate(self.components):
            at = (cluster == k).nonzero()[:, 0]
            if len(at) > 1 and starts(part):  # type: ignore[arg-type]
                part.init_from(x[at], None if context is None else _of(part, context[at]))  # type: ignore[operator, arg-type]


def _gate(context: Space | None, components: int, hidden: tuple[int, ...]) -> nn.Module:
    """Return the network of the weights, for a vector or a label as context."""
    if isinstance(context, Categories) and context.shape == ():
        classes = context.counts[0]
        return nn.Sequential(OneHotCode(classes), head(classes, components, hidden, "relu"))
    if context is None or context.discrete or len(context.shape) != 1:
        raise SpecError(f"expected a vector or a label as the context of gated weights, got {context}")
    return head(context.size, components, hidden, "relu")


def _of(part: Distribution, context: Tensor | None) -> Tensor | None:
    return None if part.context is None else context
