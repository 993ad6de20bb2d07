"""Piecewise invertible maps of each coordinate, with gated probabilities of the pieces (Dinh et al. 2019, arXiv:1903.07714).

    z = f(x), f continuous and piecewise linear with slopes of alternating sign,    p(x) = p(z) p(k(x) | z) |f'(x)|

with k(x) the piece in which x lies. Several pieces have the same image z, and p(k|z) decides between them when x is generated.
The gates make p(k|z) vanish where a piece ends, so the density is continuous; it is zero at the ends of the pieces.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from ..core import Real, Space
from ..errors import SpecError
from ..functional.bounds import positive, softplus_inverse, sum_events
from ..networks import MLP
from .branches import BranchSurjection
from .coupling import Network

IMPOSSIBLE = -1e4
"""Logit of a piece that does not contain z: its probability is exactly zero in floating point."""
CLUSTERING = 20
"""Number of steps of K-means at the start."""
FLAT = 1e-2
"""Smallest slope of a piece."""


class Zigzag(BranchSurjection):
    """Zigzag with K pieces in each coordinate, alternately rising and falling; the lost part is the piece k.

        z = h_j + s_j (x - b_j) (-1)^k,   logit of piece k = network_k(z) + log gate_k(z)

    with gate = 4 r (1 - r) for z at the share r of an inner piece's range, and d / (1 + d) at the distance d from the end of an
    outer one.

    Args:
        space: Space of x, vectors of real numbers.
        pieces: Number K of pieces, odd and at least 3, so that every z has a preimage.
        network: Network of z that gives the logits; None for equal ones.
        context: Length of the context of the network, 0 for none; or its space.

    Raises:
        SpecError: The number of pieces is even or below 3, or events are not vectors of real numbers.
    """

    def __init__(
        self, space: Space, pieces: int = 3, network: Network | nn.Module | None = MLP, *, context: int | Space = 0
    ) -> None:
        if type(space) is not Real or len(space.shape) != 1 or pieces < 3 or pieces % 2 == 0:
            raise SpecError(
                f"expected vectors of real numbers and an odd number of pieces >= 3, got {space} and {pieces}"
            )
        super().__init__(space, space, space.shape, pieces, network, context)
        size = space.shape[0]
        self.first = nn.Parameter(torch.full((size,), -1.0))
        self.widths = nn.Parameter(torch.zeros(size, pieces - 2))
        self.slopes = nn.Parameter(torch.zeros(size, pieces))
        self.height = nn.Parameter(torch.full((size,), 1.0))
        if pieces > 3:
            nn.init.constant_(self.widths, -1.0)

    def init_from(self, x: Tensor, context: Tensor | None = None) -> None:
        """Set the ends of the pieces half-way between the centres of clusters, and the slopes for a range of 2 of each piece.

        The clusters are those of K-means in each coordinate, which starts at quantiles.
        """
        levels = (torch.arange(self.labels, device=x.device, dtype=x.dtype) + 0.5) / self.labels
        centres = torch.quantile(x, levels, 0).mT
        for _ in range(CLUSTERING):
            nearest = (x.unsqueeze(2) - centres).abs().argmin(2)
            member = nn.functional.one_hot(nearest, self.labels).to(x.dtype)
            count = member.sum(0)
            means = (member * x.unsqueeze(2)).sum(0) / count.clamp_min(1)
            centres = torch.where(count > 0, means, centres)
        knots = (centres[:, 1:] + centres[:, :-1]) / 2
        widths = knots.diff(dim=1).clamp_min(1e-3)
        self.first.data.copy_(knots[:, 0])
        # `positive(p, floor)` is the softplus of p plus a constant, plus the floor.
        self.widths.data.copy_(softplus_inverse(widths)[0] - math.log(math.expm1(1.0)))
        inner = (2 / widths).clamp_min(2 * FLAT)
        slopes = torch.cat([inner[:, :1], inner, inner[:, -1:]], 1)
        self.slopes.data.copy_(softplus_inverse(slopes - FLAT)[0] - math.log(math.expm1(1.0 - FLAT)))
        self.height.data.fill_(1.0)

    def _pieces(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return the ends b (D, K - 1), the slopes with their signs (D, K), and the heights h = f(b) (D, K - 1)."""
        widths, slopes = positive(self.widths), positive(self.slopes, FLAT)
        knots = torch.cat([self.first[:, None], self.first[:, None] + widths.cumsum(1)], 1)
        signs = 1 - 2 * (torch.arange(self.labels, device=knots.device) % 2).to(knots.dtype)
        slopes = slopes * signs
        heights = torch.cat([self.height[:, None], self.height[:, None] + (slopes[:, 1:-1] * widths).cumsum(1)], 1)
        return knots, slopes, heights

    def _at(self, values: Tensor, k: Tensor) -> Tensor:
        """Return the entry of each coordinate's row that belongs to its index: (D, n), (B, D) -> (B, D)."""
        return values.expand(k.shape[0], -1, -1).gather(2, k.unsqueeze(2)).squeeze(2)

    def split(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return f(x), the pieces (B, D), and sum log |f'|."""
        knots, slopes, heights = self._pieces()
        k = (x.unsqueeze(2) > knots).sum(2)
        # The line of piece k goes through its left end, and that of the first piece through its right end.
        end, slope = (k - 1).clamp_min(0), self._at(slopes, k)
        z = self._at(heights, end) + slope * (x - self._at(knots, end))
        return z, k, sum_events(slope.abs().log())

    def merge(self, z: Tensor, lost: Tensor) -> tuple[Tensor, Tensor]:
        """Return the x of each piece, and sum log |f'| there."""
        knots, slopes, heights = self._pieces()
        end, slope = (lost - 1).clamp_min(0), self._at(slopes, lost)
        x = self._at(knots, end) + (z - self._at(heights, end)) / slope
        return x, sum_events(slope.abs().log())

    def given(self, z: Tensor, context: Tensor | None) -> Tensor:
        """Return the logits of the pieces with their gates, (B, D, K)."""
        return super().given(z, context) + self._gates(z)

    def _gates(self, z: Tensor) -> Tensor:
        """Return the logarithms of the gates; `IMPOSSIBLE` outside of a piece's range: (B, D) -> (B, D, K)."""
        _, _, heights = self._pieces()
        tiny = torch.finfo(z.dtype).tiny
        left, right = heights[:, :1] - z.unsqueeze(2), z.unsqueeze(2) - heights[:, -1:]
        one, other = heights[:, :-1], heights[:, 1:]
        share = (z.unsqueeze(2) - one) / (other - one)
        inside = torch.cat([left, 4 * share * (1 - share), right], 2)
        gate = torch.cat([left / (1 + left.abs()), 4 * share * (1 - share), right / (1 + right.abs())], 2)
        return torch.where(inside >= 0, gate.clamp_min(tiny).log(), IMPOSSIBLE)
