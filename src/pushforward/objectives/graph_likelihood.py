"""Likelihood with a learned graph, which an augmented Lagrangian rids of cycles (arXiv:2006.02548, section 3)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..errors import SpecError
from ..networks import LearnedGraph
from .naming import likelihood_name
from .weighted_mean import weighted_mean

ACYCLIC = 1e-2
"""Cyclicity at which the graph is settled, if its likely edges have no cycle."""
START = 0.01
"""First weight of the squared cyclicity."""
STEEPEST = 1e6
"""Largest weight of the squared cyclicity."""


class GraphLikelihood(nn.Module):
    """Negative log-likelihood with penalties that remove edges and cycles of a learned graph.

        -1/B sum_b log p(x_b) + s sum_ij P_ij + l h(P) + m / 2 h(P)^2

    Here P are the probabilities of the edges, h is their cyclicity, s is the price of an edge. Every `every` steps the
    multiplier l rises by m h, and m is doubled unless h has fallen to a half. While the gates are soft there can be cycles, and
    the sum of log-slopes is not yet the log-determinant. As soon as h is small and the likely edges have no cycle, the graph is
    settled, and the rest of training is that of an exact likelihood. In evaluation mode the graph never has a cycle, and the
    loss is the negative log-likelihood.

    Args:
        model: Model with a `LearnedGraph`.
        sparsity: Price s of an edge, in nats.
        every: Number of steps between changes of the multipliers.
        free: Number of first steps without prices, in which the networks learn what each edge is worth.

    Raises:
        SpecError: The model has no learned graph.
    """

    likelihood = True

    def __init__(self, model: nn.Module, *, sparsity: float = 0.01, every: int = 50, free: int = 200) -> None:
        super().__init__()
        self.model, self.sparsity, self.every, self.free = model, sparsity, every, free
        self.graph = learned_graph(model)

    @property
    def minimises(self) -> str:
        """Name and unit of the loss."""
        return f"{likelihood_name(self.model)}, with prices of edges and cycles"

    @property
    def searching(self) -> bool:
        """Whether the graph is not settled yet; training then does not compare the scores of epochs."""
        return not bool(self.graph.settled)

    def forward(self, batch: tuple[Tensor, ...], weights: Tensor | None = None) -> Tensor:
        """Return the loss in nats per event, a scalar, for a batch (x,) or (x, context) of B rows and weights (B,)."""
        loss = -weighted_mean(self.model(*batch), weights)
        if not self.training or not self.searching:
            return loss
        steps, multiplier, weight, last = self.graph.search.tolist()
        steps, weight = steps + 1, weight or START
        if steps > self.free:
            cycles = self.graph.cyclicity
            loss = (
                loss
                + self.sparsity * self.graph.probabilities.sum()
                + multiplier * cycles
                + weight / 2 * cycles.square()
            )
            if steps % self.every == 0:
                found = float(cycles.detach())
                multiplier += weight * found
                weight = min(2 * weight, STEEPEST) if found > last / 2 else weight
                last = found
                self.graph.refresh()
                # The graph has every likely edge exactly if these have no cycle.
                if found < ACYCLIC and torch.equal(self.graph.edges, self.graph.logits >= 0):
                    self.graph.settle()
        self.graph.search.copy_(torch.tensor([steps, multiplier, weight, last]))
        return loss


def learned_graph(model: nn.Module) -> LearnedGraph:
    """Return the learned graph among the parts of a model.

    Raises:
        SpecError: The model has none.
    """
    found = next((part for part in model.modules() if isinstance(part, LearnedGraph)), None)
    if found is None:
        raise SpecError(f"expected a model with a learned graph, got {type(model).__name__}")
    return found
