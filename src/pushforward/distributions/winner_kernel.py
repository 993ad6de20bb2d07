"""Step of a stochastic local-winner-takes-all layer: in each block of units a random winner responds, with Gaussian noise.

    k_j ~ softmax(l_j(c)),   x_j ~ N(m_(j,k)(c), diag s_(j,k)(c)^2)
    p(x|c) = prod_j sum_u softmax(l_j)_u N(x_j; m_(j,u), diag s_(j,u)^2)

With `zeroed` it is the original layer of Panousis et al. 2019 (arXiv:1805.07624): a block has as many units as entries, the
entry of the winner has its response m, and the entries of the losers are zero, up to the noise.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ..core import Distribution, Real
from ..errors import SpecError
from ..functional.bounds import soft_clip
from ..networks import MLP
from .choice import draw_labels, label_log_prob


class WinnerKernel(Distribution):
    """Distribution of x given a vector c, a product over blocks of mixtures of U Gaussians, one for each winner.

    The responses are m = c_(1..D) + A c + m_0: the first D entries of the context pass where the network's result is zero.

    Args:
        space: Space of x, vectors of length D.
        context: Length of c, at least D.
        units: Number U of units of a block.
        block: Number of entries of a block, a divisor of D.
        hidden: Widths of the hidden layers of the network of c; () for the linear units of the original layer.
        zeroed: Whether entries of losers are zero; then U is the number of entries of a block.
        scale: Standard deviation of the noise at the start.
        spread: The shifts m_0 of the units start evenly spaced in [-spread, spread].

    Raises:
        SpecError: A block has fewer than two units, does not divide D, or has another number of units if losers are zero.
    """

    starts: Tensor
    kept: Tensor

    def __init__(
        self,
        space: Real,
        context: int,
        units: int = 2,
        *,
        block: int = 1,
        hidden: tuple[int, ...] = (),
        zeroed: bool = False,
        scale: float = 0.3,
        spread: float = 1.0,
        activation: str = "relu",
    ) -> None:
        super().__init__()
        size = space.size
        if units < 2 or len(space.shape) != 1 or not 1 <= block <= size or size % block or context < size:
            raise SpecError(
                f"expected at least 2 units, blocks that divide {size} entries, and a context of at least {size} numbers, "
                f"got {units} units, blocks of {block} on {space}, and {context} numbers"
            )
        if zeroed and units != block:
            raise SpecError(
                f"expected as many units as entries of a block where losers are zero, got {units} and {block}"
            )
        self.space, self.context = space, Real((context,))
        self.units, self.block, self.blocks, self.start = units, block, size // block, math.log(scale)
        self.net = MLP(context, units * (self.blocks + 2 * size), hidden=hidden or (1,), activation=activation)
        if not hidden:
            self.net = torch.nn.Linear(context, units * (self.blocks + 2 * size))  # type: ignore[assignment]
            torch.nn.init.zeros_(self.net.weight)  # type: ignore[arg-type]
            torch.nn.init.zeros_(self.net.bias)  # type: ignore[arg-type]
        self.register_buffer("starts", torch.linspace(-spread, spread, units)[:, None], persistent=False)
        self.register_buffer("kept", torch.eye(units) if zeroed else torch.ones(units, block), persistent=False)

    def _units(self, context: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return logits (B, blocks, U), and means and log-scales (B, blocks, U, block)."""
        made = self.net(context)
        n, size = self.units * self.blocks, self.units * self.space.size
        logits, means, scales = made.tensor_split((n, n + size), 1)
        shape = (self.blocks, self.units, self.block)
        passed = context[:, : self.space.size].unflatten(1, (self.blocks, 1, self.block))
        means = (means.unflatten(1, shape) + passed + self.starts) * self.kept
        return logits.unflatten(1, shape[:2]), means, soft_clip(scales, 4.0).unflatten(1, shape) + self.start

    def _of(self, x: Tensor, units: tuple[Tensor, Tensor, Tensor]) -> Tensor:
        logits, means, scales = units
        u = (x.unflatten(1, (self.blocks, 1, self.block)) - means) * (-scales).exp()
        each = (-0.5 * (u.square() + math.log(2 * math.pi)) - scales).sum(-1)
        return (logits.log_softmax(-1) + each).logsumexp(-1).sum(1)

    def _log_prob(self, x: Tensor, context: Tensor | None) -> Tensor:
        return self._of(x, self._units(context))  # type: ignore[arg-type]

    def _sample(self, n: int, context: Tensor | None) -> tuple[Tensor, Tensor]:
        return self.drawn(context)[:2]  # type: ignore[arg-type]

    def drawn(self, context: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return draws, their log-densities, and the log-probabilities of the winners: (B, C) -> (B, D), (B,), (B,)."""
        logits, means, scales = units = self._units(context)
        winners = draw_labels(logits)
        each = winners[:, :, None, None].expand(-1, -1, 1, self.block)
        mean, scale = (values.gather(2, each).flatten(1) for values in (means, scales))
        x = mean + scale.exp() * torch.randn_like(mean)
        return x, self._of(x, units), label_log_prob(logits, winners).sum(1)
