"""Competing experts: affine maps of the coordinates of a coupling, of which one wins in each block of coordinates."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..core import Space
from ..distributions.choice import label_log_prob
from ..errors import SpecError
from ..functional.bounds import soft_clip, sum_events
from ..networks import MLP, make_conditioner
from .coupling import Network
from .masks import Mask, parts_of

WINNERS = "log-probability of winners"
"""Name under which `forward_aux` reports the log-probability of random winners, from which gradients are estimated."""

Parameters = tuple[Tensor, Tensor, Tensor]
"""Logits of the winners (B, blocks, ..., U), log-scales s and shifts t of the experts (B, outputs, ..., U)."""


class Experts(nn.Module):
    """Maps x_b = z_b exp(s_u) + t_u of U experts for each mapped coordinate, with logits of the winner of each block.

    Args:
        space: Space of events, (D,) for vectors or (C, H, W) for pictures.
        mask: Booleans, True where a coordinate passes unchanged, as in `Coupling`.
        units: Number U of experts of each block.
        block: Number of mapped entries (or channels) that share a winner; the last block may be smaller.
        network: Network of the coordinates that pass, as in `Coupling`.
        context: Length of the context, 0 for none.
        spread: The shifts start evenly spaced in [-spread, spread], so that different experts win from the start.
        bound: Upper bound of |s|.

    Raises:
        SpecError: There are fewer than two experts, a block is empty or too large, or the mask does not fit the space.
    """

    starts: Tensor

    def __init__(
        self,
        space: Space,
        mask: Mask,
        units: int,
        block: int,
        network: Network | nn.Module = MLP,
        *,
        context: int = 0,
        spread: float = 2.0,
        bound: float = 4.0,
    ) -> None:
        super().__init__()
        self.halves = parts_of(space, mask)
        passed, mapped, outputs = len(self.halves.passed), len(self.halves.mapped), self.halves.outputs
        if not mapped or (not passed and not (len(space.shape) == 1 and (space.size == 1 or context))):
            raise SpecError(f"expected a mask with both True and False, got {passed} of {passed + mapped} True")
        if units < 2 or not 1 <= block <= outputs:
            raise SpecError(
                f"expected at least 2 competing experts and blocks of 1 to {outputs} mapped entries, "
                f"got {units} experts and blocks of {block}"
            )
        self.units, self.block, self.bound, self.blocks = units, block, bound, -(-outputs // block)
        positions = self.halves.split(torch.zeros(1, *space.shape))[1].shape[2:]
        self.winners_shape = (self.blocks, *positions)
        # Without a coordinate that passes, the network of a single number sees a zero.
        self.net = make_conditioner(
            network, max(self.halves.inputs, 1), (3 * units * outputs, *space.shape[1:]), context
        )
        self.register_buffer("starts", torch.linspace(-spread, spread, units), persistent=False)

    def parameters_at(self, v: Tensor, context: Tensor | None) -> Parameters:
        """Return the logits, log-scales and shifts for events x or z, whose coordinates that pass are the same."""
        seen = self.halves.split(v)[0] if len(self.halves.passed) else v.new_zeros(v.shape[0], 1)
        logits, scales, shifts = self.halves.parameters_from(self.net(seen, context), 3 * self.units).chunk(3, -1)
        return self.by_block(logits), soft_clip(scales, self.bound), self.starts + shifts

    def by_block(self, values: Tensor) -> Tensor:
        """Return the sums over the entries of each block: (B, outputs, ..., U) -> (B, blocks, ..., U)."""
        if self.block == 1:
            return values
        missing = self.blocks * self.block - values.shape[1]
        if missing:
            values = torch.cat([values, values.new_zeros(values.shape[0], missing, *values.shape[2:])], 1)
        return values.unflatten(1, (self.blocks, self.block)).sum(2)

    def for_entries(self, of_blocks: Tensor) -> Tensor:
        """Return the value of each entry's block: (B, blocks, ...) -> (B, outputs, ...)."""
        return of_blocks if self.block == 1 else of_blocks.repeat_interleave(self.block, 1)[:, : self.halves.outputs]

    def of_winners(self, values: Tensor, winners: Tensor) -> Tensor:
        """Return the values of each entry's winner: (B, outputs, ..., U), (B, blocks, ...) -> (B, outputs, ...)."""
        return values.gather(-1, self.for_entries(winners).unsqueeze(-1)).squeeze(-1)

    def responses(self, x: Tensor, parameters: Parameters) -> Tensor:
        """Return z_u = (x_b - t_u) exp(-s_u) of all experts: (B, *shape) -> (B, outputs, ..., U)."""
        _, scales, shifts = parameters
        return (self.halves.split(x)[1].unsqueeze(-1) - shifts) * (-scales).exp()

    def generated(self, z: Tensor, winners: Tensor, parameters: Parameters) -> Tensor:
        """Return the x that the winners (B, blocks, ...) make of z."""
        scale, shift = (self.of_winners(values, winners) for values in parameters[1:])
        return self.halves.join(z, self.halves.split(z)[1] * scale.exp() + shift)

    def log_joint(self, winners: Tensor, parameters: Parameters) -> Tensor:
        """Return log p(k | x_a) - sum_b s_(b,k), the logarithm of p(x, k | z): (B,) in nats."""
        logits, scales, _ = parameters
        return sum_events(label_log_prob(logits, winners)) - sum_events(self.of_winners(scales, winners))
