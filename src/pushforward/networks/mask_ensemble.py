"""Ensemble of masks: one set of weights with several orders of the features and several assignments of the hidden units.

Germain et al. 2015, arXiv:1502.03509, section 4: training cycles through the masks, so that the weights serve every order
("order-agnostic") and every connectivity ("connectivity-agnostic"). Here the assignments are random permutations of the equal
shares of `MaskedMLP`, so no mask leaves a degree without units.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional as F

from ..errors import SpecError
from .masked import MaskedLinear, MaskedMLP, hidden_degrees
from .mlp import ACTIVATIONS, through
from .network import Network


class MaskEnsemble(Network):
    """Masked network with S sets of masks on the same weights.

    Mask 0 is that of a `MaskedMLP` with the given order. The others have random orders, unless they keep it, and random
    assignments of the hidden units.

    Args:
        features: Number of features D.
        n: Number of parameters for each feature.
        masks: Number of masks S.
        shuffle: Whether every mask has its own order of the features.
        width: Number of inputs that form one feature.
        hidden: Widths of the hidden layers.
        context: Length of the context, 0 for none.
        order: Rank of each feature under mask 0; None is 0, 1, ..., D - 1.
        activation: Name of the activation function.
        dropout: Probability in [0, 1) of dropping a hidden unit in training.
        direct: Whether there are direct connections from the features to later outputs.
        seed: Seed of the random masks.

    Raises:
        SpecError: There is no mask, or the order or the widths do not fit.
    """

    orders: Tensor

    def __init__(
        self,
        features: int,
        n: int,
        *,
        masks: int = 2,
        shuffle: bool = True,
        width: int = 1,
        hidden: Sequence[int] = (64, 64),
        context: int = 0,
        order: Sequence[int] | None = None,
        activation: str = "relu",
        dropout: float = 0.0,
        direct: bool = False,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if masks < 1:
            raise SpecError(f"expected at least 1 mask, got {masks}")
        self.features, self.n, self.width, self.masks = features, n, width, masks
        self.hidden, self.context, self.activation, self.with_direct = tuple(hidden), context, activation, direct
        self.net = MaskedMLP(
            features,
            n,
            width=width,
            hidden=hidden,
            context=context,
            order=order,
            activation=activation,
            dropout=dropout,
            direct=direct,
        )
        random = torch.Generator().manual_seed(seed)
        first = self.net.order
        orders = [torch.randperm(features, generator=random) if shuffle and s else first for s in range(masks)]
        self.register_buffer("orders", torch.stack(orders), persistent=False)
        for layer, size in enumerate(hidden):
            degree = hidden_degrees(size, features, given=context > 0)
            mixed = [degree[torch.randperm(size, generator=random)] if s else degree for s in range(masks)]
            self.register_buffer(f"degrees{layer}", torch.stack(mixed), persistent=False)

    def _degrees(self, layer: int, which: int) -> Tensor:
        """Return the degrees of a layer's units under one mask, (units,)."""
        found: Tensor = getattr(self, f"degrees{layer}")[which]
        return found

    def compute(self, x: Tensor, context: Tensor | None = None, which: int = 0) -> Tensor:
        """Return the parameters under one mask: x (B, D width), context (B, context) or None -> (B, D, n)."""
        net, rank = self.net, self.orders[which]
        before, layers = rank.repeat_interleave(self.width), []
        for i, layer in enumerate(net.hidden):
            degree = self._degrees(i, which)
            layers.append(partial(_masked, layer, degree[:, None] >= before[None]))
            before = degree
        added = None if net.embed is None else net.embed(context)
        act = ACTIVATIONS[self.activation]
        h = through(layers, x, act, net.dropout, residual=False, added=added)  # type: ignore[arg-type]
        ranks = rank.repeat(self.n)[:, None]
        made = _masked(net.out, ranks > before[None], h)
        if net.direct is not None:
            made = made + _masked(net.direct, ranks > rank.repeat_interleave(self.width)[None], x)
        return made.unflatten(-1, (self.n, self.features)).mT

    def forward(self, x: Tensor, context: Tensor | None = None, which: int = 0) -> Tensor:
        """Return `compute` under mask `which`, in the chosen precision."""
        if self.precision is None:
            return self.compute(x, context, which)
        with torch.autocast(x.device.type, self.precision):
            result = self.compute(x, context, which)
        return result.to(x.dtype)

    def start_at(self, values: Tensor) -> None:
        """Set the biases of the last layer to `values` (D, n), if its weights are still zero."""
        self.net.start_at(values)

    @torch.no_grad()
    def member(self, which: int) -> MaskedMLP:
        """Return a copy of the network under one mask, whose features can be computed one after the other."""
        shared = self.net
        made = MaskedMLP(
            self.features,
            self.n,
            width=self.width,
            hidden=self.hidden,
            context=self.context,
            order=self.orders[which].tolist(),
            activation=self.activation,
            direct=self.with_direct,
        ).to(shared.out.weight)
        columns: Tensor | slice = slice(None)
        for i, (own, layer) in enumerate(zip(made.hidden, shared.hidden, strict=True)):
            # A MaskedMLP has its units sorted by degree.
            units = self._degrees(i, which).argsort(stable=True)
            own.weight.copy_(layer.weight[units][:, columns])
            own.bias.copy_(layer.bias[units])
            if i == 0 and made.embed is not None and shared.embed is not None:
                made.embed.weight.copy_(shared.embed.weight[units])
            columns = units
        made.out.weight.copy_(shared.out.weight[:, columns])
        made.out.bias.copy_(shared.out.bias)
        if made.direct is not None and shared.direct is not None:
            made.direct.weight.copy_(shared.direct.weight)
        return made.eval()


def _masked(layer: MaskedLinear, mask: Tensor, x: Tensor) -> Tensor:
    """Return the result of a linear layer under another mask than its own."""
    return F.linear(x, layer.weight * mask, layer.bias)
