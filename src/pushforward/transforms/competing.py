"""Coupling of competing experts: a random winner maps each block of coordinates.

    generation  k_j ~ softmax(l_j(x_a)),   x_b = z_b exp(s_(b,k)) + t_(b,k) with the winner k of the block of b
    inference   q(k_j = u | x) ~ exp(l_(j,u) + sum_b [log N(z_(b,u); 0, 1) - s_(b,u)] + c_(j,u)(x))
                with the responses z_(b,u) = (x_b - t_(b,u)) exp(-s_(b,u))
    dlogp = sum_j [log p(k_j | x_a) - log q(k_j | x)] - sum_b s_(b,k)

The posterior is local: it sees the responses of the experts of its block, as the winner of a stochastic
local-winner-takes-all layer does (Panousis et al. 2019, arXiv:1805.07624). In the last layer before a normal base it is the
true posterior, and the bound is tight. In other layers the correction c, a network of all of x, can make up for what the later
layers do. Continuous indices with learned posteriors are those of Cornish et al. 2020, arXiv:1909.13833.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..core import CodeSource, Exactness, Space, Transform, context_space
from ..distributions.choice import Choice, draw_labels, label_log_prob
from ..functional.bounds import sum_events
from ..networks import MLP, make_conditioner
from .coupling import Network
from .experts import WINNERS, Experts, Parameters
from .masks import Mask


class WinnerCoupling(Transform):
    """Coupling whose maps x_b = z_b exp(s_k) + t_k belong to U competing experts, with a random winner k for each block.

    Args:
        space: Space of x and z, (D,) for vectors or (C, H, W) for pictures.
        mask: Booleans, True where a coordinate passes unchanged, as in `Coupling`.
        units: Number U of competing experts of each block.
        block: Number of mapped entries (or channels) that share a winner; the last block may be smaller.
        network: Network of x_a that gives the logits l, the log-scales s and the shifts t of all experts, as in `Coupling`.
        correction: Network of x, as in `Coupling`, that gives the correction c of the posterior; None for c = 0.
        context: Length of the context, 0 for none; or its space.
        spread: The shifts start evenly spaced in [-spread, spread], so that different experts win from the start.

    Raises:
        SpecError: There are fewer than two experts, a block is empty or too large, or the mask does not fit the space.
    """

    own = Exactness.NOISY | Exactness.LOWER

    made_by = {"network": "net", "correction": "correction"}

    def __init__(
        self,
        space: Space,
        mask: Mask,
        units: int = 4,
        network: Network | nn.Module = MLP,
        correction: Network | nn.Module | None = None,
        *,
        block: int = 1,
        context: int | Space = 0,
        spread: float = 2.0,
    ) -> None:
        super().__init__()
        self.context = context_space(context)
        length = self.context.shape[0] if self.context is not None else 0
        self.x_space = self.z_space = space
        self.experts = Experts(space, mask, units, block, network, context=length, spread=spread)
        self.prior = Choice(self.experts.winners_shape, units)
        self.correction = None
        if correction is not None:
            outputs = (units * self.experts.halves.outputs, *space.shape[1:])
            self.correction = make_conditioner(correction, space.shape[0], outputs, length)

    @property
    def net(self) -> nn.Module:
        """Network of the experts."""
        return self.experts.net

    def _posterior(self, x: Tensor, context: Tensor | None, parameters: Parameters) -> tuple[Tensor, Tensor]:
        """Return the logits of q(k|x), (B, blocks, ..., U), and the responses z of all experts, (B, outputs, ..., U)."""
        responses = self.experts.responses(x, parameters)
        score = parameters[0] + self.experts.by_block(-0.5 * responses.square() - parameters[1])
        if self.correction is not None:
            made = self.experts.halves.parameters_from(self.correction(x, context), self.experts.units)
            score = score + self.experts.by_block(made)
        return score, responses

    def forward_with_winners(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return z, log p(k|x_a) - sum s and log q(k|x), each (B,), and winners k (B, blocks, ...) drawn from q(k|x)."""
        parameters = self.experts.parameters_at(x, context)
        score, responses = self._posterior(x, context, parameters)
        winners = draw_labels(score)
        z = self.experts.halves.join(x, self.experts.of_winners(responses, winners))
        log_q = sum_events(label_log_prob(score, winners))
        return z, self.experts.log_joint(winners, parameters), log_q, winners

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return z for winners drawn from q(k|x), and log p(k|x_a) - log q(k|x) - sum s."""
        z, log_p, log_q, _ = self.forward_with_winners(x, context)
        return z, log_p - log_q

    def forward_aux(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """Return the results of `forward`, and log q(k|x) by the name `WINNERS`."""
        z, log_p, log_q, _ = self.forward_with_winners(x, context)
        return z, log_p - log_q, {WINNERS: log_q}

    def inverse(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return x for winners drawn from p(k|x_a), and log q(k|x) - log p(k|x_a) + sum s."""
        parameters = self.experts.parameters_at(z, context)
        winners = self.prior._sample(z.shape[0], parameters[0])[0]
        x = self.experts.generated(z, winners, parameters)
        log_q = sum_events(label_log_prob(self._posterior(x, context, parameters)[0], winners))
        return x, log_q - self.experts.log_joint(winners, parameters)

    def inverse_of_winners(self, z: Tensor, winners: Tensor, context: Tensor | None = None) -> Tensor:
        """Return the x that has the given winners, (B, blocks, ...): the exact inverse of `forward_with_winners`."""
        return self.experts.generated(z, winners, self.experts.parameters_at(z, context))

    def every_branch(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return z and log p(x, k | z) for all S = U^blocks combinations of winners: (S, B, *shape), (S, B)."""
        parameters = self.experts.parameters_at(x, context)
        responses = self.experts.responses(x, parameters)
        shape, each = self.experts.winners_shape, torch.arange(self.experts.units, device=x.device)
        images, joints = [], []
        for combination in torch.cartesian_prod(*[each] * self.prior.space.size).reshape(-1, *shape):
            winners = combination.expand(len(x), *shape)
            images.append(self.experts.halves.join(x, self.experts.of_winners(responses, winners)))
            joints.append(self.experts.log_joint(winners, parameters))
        return torch.stack(images), torch.stack(joints)

    @property
    def branches(self) -> int:
        """Number S of combinations of winners."""
        return int(self.experts.units**self.prior.space.size)

    def take_apart(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, list[Tensor]]:
        """Return z for winners drawn from q(k|x), and these winners; `put_together` then gives x back."""
        z, _, _, winners = self.forward_with_winners(x, context)
        return z, [winners]

    def put_together(self, z: Tensor, code_of: CodeSource, context: Tensor | None = None) -> Tensor:
        """Return x for z and the winners that `code_of` supplies."""
        parameters = self.experts.parameters_at(z, context)
        return self.experts.generated(z, code_of(self.prior, parameters[0]), parameters)
