"""Graphical flow: an autoregressive layer over a directed graph, which is given, learned, or one of groups of features."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn

from ..core import Distribution, Flow, Transform
from ..errors import SpecError
from ..networks import GraphMLP, LearnedGraph, grouped_parents
from ..objectives import GraphLikelihood, learned_graph
from ..transforms import Affine, Autoregressive, RationalQuadratic
from .vector_spec import VectorSpec


@dataclass(frozen=True, kw_only=True)
class Graphical(VectorSpec):
    """Flow whose layers map each feature with parameters from its parents in a directed graph.

    With one layer the model is a Bayesian network: x_i depends on its parents alone, given those. With several layers it also
    depends on their parents.

    Args:
        graph: Kind of graph: "given" (see `edges`), "learned" (a graph without cycles is found in training), or "passes"
            (groups of neighbouring features, each after all earlier ones; the order is reversed between layers).
        edges: Edges of a given graph, such as "0>2" for feature 0 as a parent of feature 2.
        passes: Number of groups for "passes": 2 for couplings, D for full autoregression; the inverse takes as many passes.
        layers: Number of layers; one with a learned graph.
        map: Map of each feature: "spline" (rational-quadratic) or "affine".
        hidden: Widths of the hidden layers of the networks.
        bins: Number of bins of the splines.
        bound: End of the splines, which act on [-bound, bound] and are the identity outside.
        sparsity: Price of an edge of a learned graph, in nats.
        temperature: Temperature of the gates of a learned graph.
    """

    name = "graphical"
    family = "autoregressive"
    paper = "Wehenkel, Louppe 2021, arXiv:2006.02548"
    settles = True

    graph: Literal["given", "learned", "passes"] = "learned"
    edges: tuple[str, ...] = ()
    passes: int = 2
    layers: int = 1
    map: Literal["spline", "affine"] = "spline"
    hidden: tuple[int, ...] = (64, 64)
    bins: int = 8
    bound: float = 5.0
    sparsity: float = 0.01
    temperature: float = 0.5

    def validate(self) -> None:
        """Check the graph."""
        super().validate()
        self._at_least("bins", 2)
        self._at_least("sparsity", 0)
        if self.edges and self.graph != "given":
            raise SpecError(
                f"expected no edges for a graph that is {self.graph!r}, got {len(self.edges)}; set graph=given"
            )
        if self.graph == "learned" and self.layers > 1:
            raise SpecError(
                f"expected one layer with a learned graph, got {self.layers}; raise bins or the hidden widths"
            )
        self.parents()

    def parents(self, layer: int = 0) -> tuple[tuple[int, ...], ...]:
        """Return the parents of each feature in a layer; none for a learned graph.

        Raises:
            SpecError: An edge is not written like "0>2", or names an unknown feature.
        """
        if self.graph == "passes":
            return grouped_parents(self.features, min(self.passes, self.features), backwards=layer % 2 == 1)
        found: list[list[int]] = [[] for _ in range(self.features)]
        for edge in self.edges:
            match = re.fullmatch(r"\s*(\d+)\s*>\s*(\d+)\s*", edge)
            if match is None or max(map(int, match.groups())) >= self.features:
                raise SpecError(
                    f'expected edges such as "0>2" between features 0 ... {self.features - 1}, got {edge!r}'
                )
            found[int(match[2])].append(int(match[1]))
        return tuple(tuple(row) for row in found)

    def build(self) -> Flow:
        """Return the flow, which starts as the identity."""
        scalar = RationalQuadratic(self.bins, self.bound) if self.map == "spline" else Affine()
        layers: list[Transform] = []
        for i in range(self.layers):
            net: nn.Module
            if self.graph == "learned":
                net = LearnedGraph(
                    self.features,
                    scalar.n,
                    hidden=self.hidden,
                    context=self.given,
                    activation=self.activation,
                    temperature=self.temperature,
                )
            else:
                net = GraphMLP(
                    self.parents(i), scalar.n, hidden=self.hidden, context=self.given, activation=self.activation
                )
            layers.append(Autoregressive(scalar, self.space, net, context=self.given))
        return self.flow(layers)

    def loss(self, model: Distribution) -> nn.Module | None:
        """Return the likelihood with prices of edges and cycles for a learned graph."""
        return GraphLikelihood(model, sparsity=self.sparsity) if self.graph == "learned" else None

    def settle(self, model: Distribution, x: Tensor, context: Tensor | None = None) -> None:
        """Fix a learned graph."""
        if self.graph == "learned":
            learned_graph(model).settle()

    def findings(self, model: Distribution, names: Sequence[str]) -> list[str]:
        """Return the parents of each feature in a learned graph."""
        if self.graph != "learned":
            return []
        found = learned_graph(model).parents
        return [f"{names[i]} given {', '.join(names[j] for j in row) or 'nothing'}" for i, row in enumerate(found)]

    def exemptions(self) -> Mapping[str, str]:
        """Return the exemptions of a learned graph."""
        if self.graph != "learned":
            return {}
        return {
            "training_mode": "the gates of a learned graph are drawn anew at each call in training",
            "gradients": "the logits of the edges get gradients in training alone; then they set the graph",
        }

    @classmethod
    def cases(cls) -> Iterator[Graphical]:
        """Yield specs with a given graph, with groups and a context, and with a learned graph."""
        yield cls(features=3, graph="given", edges=("0>1", "2>1"), hidden=(6,), bins=3)
        yield cls(features=3, graph="passes", passes=2, layers=2, hidden=(6,), map="affine", context=2)
        yield cls(features=3, graph="learned", hidden=(6,), map="affine", classes=2)
