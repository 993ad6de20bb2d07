"""Network whose graph of dependencies is learned: soft gates in training, a graph without cycles in evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from ..errors import SpecError
from .mlp import ACTIVATIONS, activation_named, check_hidden
from .network import Network

SPEED = 10.0
"""Factor between a parameter of the gates and its logit: gates move by whole logits while weights move by tenths."""


class LearnedGraph(Network):
    """Network from features (B, D) to parameters (B, D, n); which features enter those of x_i is learned.

        p_i = net_i(g_i * x),    training: g_ij = sigmoid((l_ij + e) / temperature), with logistic noise e

    Here l are learned logits (Wehenkel and Louppe 2021, arXiv:2006.02548, section 3). In evaluation mode the gates are the
    edges of a graph without cycles: the edges with l_ij >= 0, the most probable first, each unless it closes a cycle. `eval()`
    computes this graph, so densities of a model in evaluation mode are exact. The first layer has weights for each feature
    alone, the others are shared.

    Args:
        features: Number of features D.
        n: Number of parameters for each feature.
        hidden: Widths of the hidden layers.
        context: Length of the context, 0 for none; every output depends on it.
        activation: Name of the activation function.
        temperature: Temperature of the gates.

    Raises:
        SpecError: A width is not positive, the activation is unknown, or the temperature is not positive.
    """

    edges: Tensor
    settled: Tensor
    search: Tensor

    def __init__(
        self,
        features: int,
        n: int,
        *,
        hidden: Sequence[int] = (64, 64),
        context: int = 0,
        activation: str = "relu",
        temperature: float = 0.5,
    ) -> None:
        super().__init__()
        check_hidden(hidden, residual=False)
        activation_named(activation)
        if not temperature > 0:
            raise SpecError(f"expected a temperature > 0, got {temperature}")
        self.features, self.n, self.context = features, n, context
        self.activation, self.temperature = activation, temperature
        self.free = nn.Parameter(torch.zeros(features, features))
        inputs = features + context
        self.first = nn.Parameter((2 * torch.rand(features, hidden[0], inputs) - 1) * (3 / inputs) ** 0.5)
        self.first_bias = nn.Parameter(torch.zeros(features, hidden[0]))
        self.shared: Sequence[nn.Linear] = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(hidden))  # type: ignore[assignment]
        self.out = nn.Parameter(torch.zeros(features, n, hidden[-1]))
        self.out_bias = nn.Parameter(torch.zeros(features, n))
        # Bits, because averages of weights over training leave them as they are.
        self.register_buffer("edges", torch.zeros(features, features, dtype=torch.bool))
        self.register_buffer("settled", torch.zeros((), dtype=torch.bool))
        # State of the search, which belongs to the model so that a run can be continued: see `GraphLikelihood`.
        self.register_buffer("search", torch.zeros(4))
        self.refresh()

    @property
    def logits(self) -> Tensor:
        """Logits of the edges, (D, D); minus infinity on the diagonal."""
        eye = torch.eye(self.features, dtype=torch.bool, device=self.free.device)
        return (SPEED * self.free).masked_fill(eye, -torch.inf)

    @property
    def probabilities(self) -> Tensor:
        """Probability of each edge, (D, D): entry (i, j) is that of j as a parent of i; 0 on the diagonal."""
        return torch.sigmoid(self.logits)

    @property
    def cyclicity(self) -> Tensor:
        """Smooth measure of cycles, tr (I + P / D)^D - D for the matrix P of probabilities; 0 without cycles.

        Yu et al. 2019 (arXiv:1904.10098, eq. 13), after the trace of the exponential of Zheng et al. 2018 (arXiv:1803.01422).
        """
        eye = torch.eye(self.features, dtype=self.logits.dtype, device=self.logits.device)
        return (
            torch.linalg.matrix_power(eye + self.probabilities / self.features, self.features).trace() - self.features
        )

    @property
    def parents(self) -> tuple[tuple[int, ...], ...]:
        """Parents of each feature in the graph of evaluation mode."""
        return tuple(tuple(j for j, seen in enumerate(row) if seen) for row in self.edges.tolist())

    @torch.no_grad()
    def refresh(self) -> None:
        """Compute the graph of evaluation mode from the logits, unless it is settled."""
        if bool(self.settled):
            return
        # A tie, such as that of zeros at the start, goes to the edge from the earlier feature.
        wanted = self.logits.cpu()
        order = wanted.flatten().argsort(descending=True, stable=True).tolist()
        reaches = torch.eye(self.features, dtype=torch.bool)  # reaches[i, j]: a directed path leads from j to i
        edges = torch.zeros(self.features, self.features, dtype=torch.bool)
        for place in order:
            i, j = divmod(place, self.features)
            if not wanted[i, j] >= 0:
                break
            if not reaches[j, i]:
                edges[i, j] = True
                reaches |= reaches[:, i, None] & reaches[None, j]
        self.edges.copy_(edges)

    def settle(self) -> None:
        """Fix the graph: from now on training uses the edges, too, and the gates get no gradient."""
        self.refresh()
        self.settled.fill_(1)

    def train(self, mode: bool = True) -> LearnedGraph:  # noqa: FBT001, FBT002
        """Set the mode of training, or of evaluation with its graph."""
        if not mode and self.training:
            self.refresh()
        return super().train(mode)

    def _gates(self) -> Tensor:
        if not self.training or bool(self.settled):
            return self.edges.to(self.free.dtype)
        uniform = torch.rand_like(self.logits).clamp(1e-6, 1 - 1e-6)
        return torch.sigmoid((self.logits + torch.logit(uniform)) / self.temperature)

    def compute(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """Return the parameters: x (B, D), context (B, context) or None -> (B, D, n)."""
        weight = self.first[..., : self.features] * self._gates()[:, None]
        h = (x @ weight.flatten(0, 1).mT).unflatten(-1, weight.shape[:2]) + self.first_bias
        if context is not None and self.context:
            given = self.first[..., self.features :]
            h = h + (context @ given.flatten(0, 1).mT).unflatten(-1, given.shape[:2])
        act = ACTIVATIONS[self.activation]
        h = act(h)
        for layer in self.shared:
            h = act(layer(h))
        return torch.einsum("bih,inh->bin", h, self.out) + self.out_bias
