"""Surjections that lose labels: the absolute value, and the fold of competing units.

    absolute value   z = |x|,                    lost: the sign of each entry
    fold             y = max_u x_u in a block,   kept: y and e_u = g(y - x_u) of the losers;  lost: the winner

(Nielsen et al. 2020, arXiv:2007.02731, section 3.2 and appendix D.) The fold keeps the gaps, so it loses the winner's index
only. A fold of blocks of two is an absolute value up to a rotation by 45 degrees.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..core import Box, Real, Space, context_space
from ..distributions.choice import Choice
from ..errors import SpecError
from ..functional.bounds import sum_events
from ..functional.half_normal import GAPS, Gaps
from ..networks import MLP, make_conditioner
from .coupling import Network
from .surjective import Surjection


class BranchSurjection(Surjection):
    """Base class of surjections that lose labels, with probabilities from a network of z, or equal ones.

    Args:
        x_space: Space of x.
        z_space: Space of z.
        shape: Shape of the labels, which differs from that of z in the first dimension only.
        labels: Number of labels.
        network: Network of z that gives the logits, as in `Coupling`; None for equal probabilities.
        context: Length of the context, 0 for none; or its space.
    """

    made_by = {"network": "net"}

    def __init__(
        self,
        x_space: Space,
        z_space: Space,
        shape: tuple[int, ...],
        labels: int,
        network: Network | nn.Module | None,
        context: int | Space = 0,
    ) -> None:
        super().__init__()
        self.x_space, self.z_space, self.labels = x_space, z_space, labels
        self.context = context_space(context) if network is not None else None
        self.rest = Choice(shape, labels)
        self.net = None
        if network is not None:
            length = self.context.shape[0] if self.context is not None else 0
            self.net = make_conditioner(network, z_space.shape[0], (labels * shape[0], *shape[1:]), length)

    def given(self, z: Tensor, context: Tensor | None) -> Tensor:
        """Return the logits of the labels, (B, *shape, labels)."""
        if self.net is None:
            return z.new_zeros(z.shape[0], *self.rest.context.shape)  # type: ignore[union-attr]
        return self.net(z, context).unflatten(1, (self.labels, -1)).movedim(1, -1)

    def codes(self, x: Tensor) -> Tensor:
        """Return the labels that are lost, a discrete code of each event: (B, *x_space.shape) -> (B, *shape) in int64."""
        return self.split(x)[1]


class AbsoluteValue(BranchSurjection):
    """Absolute value z = |x| of every entry; the signs are labels, 1 for x > 0, with a probability that depends on z.

    Follow it by `Log` or `Logit`, which map the half-line to the line.

    Args:
        space: Space of x, of real numbers.
        network: Network of z that gives the logits of the signs; None for symmetric densities, with equal probabilities.
        context: Length of the context of the network, 0 for none; or its space.

    Raises:
        SpecError: Events are not real arrays.
    """

    def __init__(self, space: Space, network: Network | nn.Module | None = MLP, *, context: int | Space = 0) -> None:
        if type(space) is not Real or not space.shape:
            raise SpecError(f"expected real arrays for an absolute value, got {space}")
        super().__init__(space, Box(space.shape, 0.0, float("inf")), space.shape, 2, network, context)

    def split(self, x: Tensor) -> tuple[Tensor, Tensor, float]:
        """Return |x|, the signs and 0."""
        return x.abs(), (x > 0).long(), 0.0

    def merge(self, z: Tensor, lost: Tensor) -> tuple[Tensor, float]:
        """Return z with the signs, and 0."""
        return torch.where(lost > 0, z, -z), 0.0


class WinnerFold(BranchSurjection):
    """Fold of blocks of U competing units: each keeps the largest value y and the gaps of the losers behind it.

        z = (y of every block, e of every loser, remaining entries),  e_u = g(y - x_u)
        dlogp = sum_u log g'(y - x_u) + sum_blocks log p(winner | z)

    The likelihood is exact. `gaps` decides whether its density may be positive where two units tie.

    Args:
        space: Space of x, real of shape (D, ...); blocks lie in the first dimension.
        units: Number U of units in a block; the last D mod U entries pass unchanged.
        network: Network of z that gives the logits of the winners; None for equal probabilities.
        context: Length of the context of the network, 0 for none; or its space.
        gaps: Map g: "normal" maps the half-normal distribution to the normal one, so that units may tie; "softplus" is the
            inverse softplus, with which the density of ties is zero.

    Raises:
        SpecError: A block has fewer than two units, or more than the event has entries, or events are not real arrays.
    """

    def __init__(
        self,
        space: Space,
        units: int = 2,
        network: Network | nn.Module | None = MLP,
        *,
        context: int | Space = 0,
        gaps: Gaps = "normal",
    ) -> None:
        size = space.shape[0] if space.shape else 0
        if type(space) is not Real or not 2 <= units <= size:
            raise SpecError(
                f"expected blocks of 2 to {max(size, 2)} competing units of real numbers, got {units} on {space}"
            )
        blocks = size // units
        super().__init__(space, space, (blocks, *space.shape[1:]), units, network, context)
        self.units, self.blocks, self.gaps = units, blocks, gaps

    def split(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return z, the winners (B, blocks, ...), and sum_u log g'(y - x_u)."""
        competing, others = x[:, : self.blocks * self.units], x[:, self.blocks * self.units :]
        h = competing.unflatten(1, (self.blocks, self.units)).movedim(2, -1)
        winners = h.argmax(-1)
        y = h.gather(-1, winners.unsqueeze(-1))
        gaps, slopes = GAPS[self.gaps][0](y - h.gather(-1, self._losers(winners)))
        z = torch.cat([y.squeeze(-1), gaps.movedim(-1, 2).flatten(1, 2), others], 1)
        return z, winners, sum_events(slopes)

    def merge(self, z: Tensor, lost: Tensor) -> tuple[Tensor, Tensor]:
        """Return x, in which the winner has y and the losers have y - g^-1(e), and the log-determinant."""
        y, flat, others = z.tensor_split((self.blocks, self.blocks * self.units), 1)
        e = flat.unflatten(1, (self.blocks, self.units - 1)).movedim(2, -1)
        y = y.unsqueeze(-1)
        gaps, slopes = GAPS[self.gaps][1](e)
        behind = y - gaps
        both, places = torch.cat([y, behind], -1), torch.cat([lost.unsqueeze(-1), self._losers(lost)], -1)
        h = both.gather(-1, places.argsort(-1))
        x = torch.cat([h.movedim(-1, 2).flatten(1, 2), others], 1)
        return x, -sum_events(slopes)

    def _losers(self, winners: Tensor) -> Tensor:
        """Return the indices of the losers in rising order: (B, blocks, ...) -> (B, blocks, ..., U - 1)."""
        each = torch.arange(self.units - 1, device=winners.device)
        return each + (each >= winners.unsqueeze(-1)).long()
