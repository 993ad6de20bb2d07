"""Deterministic gate of competing experts, given noise that the event carries along: an ablation of `WinnerCoupling`.

    k_j = argmax_u [l_(j,u)(x_a) + gumbel(g_u)],   z_b = (x_b - t_(b,k)) exp(-s_(b,k)),   gumbel(g) = -log(-log Phi(g))

The noise g, U standard normal numbers, comes from `Augment` and passes unchanged. The winner depends on x_a and g only, and not
on x_b. So the layer is a bijection, and given g the flow has the topology of any other bijection.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..core import Real, Transform, Undo, context_space
from ..functional.bounds import one_hot_through, sum_events
from ..networks import MLP
from .coupling import Network
from .experts import Experts
from .masks import Mask


class WinnerGate(Transform):
    """Coupling of U competing experts on (x, g), whose winners are functions of x_a and of the noise g.

    The gradient with respect to the logits is that of the softmax (straight-through estimator, arXiv:1308.3432).

    Args:
        features: Number D of entries of x; events have D + U entries.
        mask: Booleans, one for each entry of x, True where it passes unchanged.
        units: Number U of competing experts of each block, and of entries of g.
        block: Number of mapped entries that share a winner.
        network: Network of x_a, as in `Coupling`.
        context: Length of the context, 0 for none.
        spread: The shifts start evenly spaced in [-spread, spread].

    Raises:
        SpecError: There are fewer than two experts, a block is empty or too large, or the mask does not fit.
    """

    undo = Undo.BOTH

    made_by = {"network": "net"}

    def __init__(
        self,
        features: int,
        mask: Mask,
        units: int = 4,
        network: Network | nn.Module = MLP,
        *,
        block: int = 1,
        context: int = 0,
        spread: float = 2.0,
    ) -> None:
        super().__init__()
        self.context, self.features = context_space(context), features
        self.x_space = self.z_space = Real((features + units,))
        self.experts = Experts(Real((features,)), mask, units, block, network, context=context, spread=spread)

    @property
    def net(self) -> nn.Module:
        """Network of the experts."""
        return self.experts.net

    def _winning(self, v: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return log-scales and shifts of the winners, (B, outputs) each."""
        x, g = v[:, : self.features], v[:, self.features :]
        logits, scales, shifts = self.experts.parameters_at(x, context)
        gumbel = -(-torch.special.log_ndtr(g).clamp_max(-torch.finfo(g.dtype).tiny)).log()
        shares = self.experts.for_entries(one_hot_through(logits + gumbel.unsqueeze(1), 1.0))
        return torch.linalg.vecdot(shares, scales), torch.linalg.vecdot(shares, shifts)

    def _joined(self, v: Tensor, mapped: Tensor) -> Tensor:
        x, g = v[:, : self.features], v[:, self.features :]
        return torch.cat([self.experts.halves.join(x, mapped), g], 1)

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return (z, g) and -sum s of the winners: (B, D + U) -> (B, D + U), (B,) in nats."""
        scale, shift = self._winning(x, context)
        b = self.experts.halves.split(x[:, : self.features])[1]
        return self._joined(x, (b - shift) * (-scale).exp()), -sum_events(scale)

    def inverse(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return (x, g) and sum s of the winners, which are those of forward."""
        scale, shift = self._winning(z, context)
        b = self.experts.halves.split(z[:, : self.features])[1]
        return self._joined(z, b * scale.exp() + shift), sum_events(scale)
