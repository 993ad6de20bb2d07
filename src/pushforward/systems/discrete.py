"""Discrete flows: bijections of labels by modular shifts and scales, or by ranks, that networks compute."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from torch import nn

from ..core import Chain, Distribution, Flow, OneHot, Transform
from ..distributions import AutoregressiveCategorical, Categorical
from ..errors import SpecError
from ..networks import (
    AutoregressiveTable,
    BidirectionalLSTM,
    CausalLSTM,
    CausalTransformer,
    LabelMLP,
    LabelSequence,
    LabelTable,
    LabelTransformer,
    MaskedMLP,
)
from ..objectives.expected_choices import ExpectedChoices
from ..transforms import (
    Autoregressive,
    Coupling,
    LabelMap,
    Modular,
    Permutation,
    RankedLabels,
    ToOneHot,
    alternating_mask,
    residue_mask,
)
from .label_spec import LabelSpec

Base = Literal["factorised", "autoregressive"]
NetworkName = Literal["mlp", "table", "lstm", "transformer"]


@dataclass(frozen=True, kw_only=True)
class Discrete(LabelSpec):
    """Discrete flow: z_i = (m_i + s_i x_i) mod K_i, or the rank of x_i, given other labels; p(x) = p(z).

    A bijection of labels only permutes the states. On a base of independent labels, the flow is limited to what
    permutations can express. An autoregressive base alone can model any distribution of labels, if its network is large enough.

    Args:
        layers: Number of layers of the flow; 0 leaves only the base.
        structure: Dependence of the parameters: with "bipartite" every other label determines the parameters of the rest,
            so sampling is as fast as scoring; with "autoregressive" all labels before a label determine its parameters.
        base: Distribution of the latent labels: independent ("factorised"), or "autoregressive" in the order opposite to
            that of the last layer.
        bijection: Map of one label: "shift" is (m + s x) mod K; with "ranks" a network predicts the label, and z is the number
            of labels that are likelier. For one layer on independent labels no bijection is better than "ranks".
        scale: Whether there is a scale s, coprime with K; for "shift".
        groups: Number of groups of places of the structure "bipartite": layer i maps the places i, i + groups, ... modulo the
            number of labels, given all others.
        learning: Gradient for the choices of m and s: with "expected" that of exact expectations over all choices
            (`objectives.ExpectedChoices`); with "straight-through" that of a softmax in place of the argmax.
        warmup: Number of steps in which "expected" passes from predicting each label to lowering the expected loss.
        temperature: Temperature of the softmax in the straight-through gradient, and weight of the entropies of the choices in
            the expected loss of shifts with scales.
        network: Kind of network: "mlp" (a MaskedMLP if autoregressive); "table", with a row for each combination of labels,
            for few combinations; "lstm" or "transformer" for sequences of labels from one alphabet.
        hidden: Widths of the hidden layers; for "lstm" and "transformer" the first one is the width, and their number is
            the number of layers.
        heads: Number of heads of the attention of a transformer.
        dropout: Probability of dropping a hidden unit in training, for an autoregressive "mlp".
    """

    name = "discrete"
    family = "labels"
    paper = "Tran, Vafa, Agrawal, Dinh, Poole 2019, arXiv:1905.10347"

    layers: int = 2
    structure: Literal["bipartite", "autoregressive"] = "autoregressive"
    base: Base = "autoregressive"
    bijection: Literal["shift", "ranks"] = "shift"
    scale: bool = False
    groups: int = 2
    learning: Literal["expected", "straight-through"] = "expected"
    warmup: int = 300
    temperature: float = 0.1
    network: NetworkName = "mlp"
    hidden: tuple[int, ...] = (128, 128)
    heads: int = 4
    dropout: float = 0.0

    def validate(self) -> None:
        """Check the arguments."""
        self.require_classes()
        self._at_least("layers", 0)
        self._at_least("groups", 2)
        self._at_least("warmup", 0)
        if self.groups > max(2, len(self.classes)):
            raise SpecError(
                f"expected {self.name}.groups <= {len(self.classes)}, the number of labels, got {self.groups}"
            )
        if self.bijection == "ranks" and (self.scale or self.learning == "straight-through"):
            other = "a scale" if self.scale else "straight-through gradients"
            raise SpecError(f"expected {self.name}.bijection 'shift' for {other}, got 'ranks'")
        if self.temperature <= 0:
            raise SpecError(f"expected {self.name}.temperature > 0, got {self.temperature}")
        if self.network != "mlp" and len(set(self.classes)) > 1:
            raise SpecError(
                f"expected network 'mlp' for coordinates with different numbers of labels, got {self.network!r}"
            )
        if not self.hidden or min(self.hidden) < 1:
            raise SpecError(f"expected {self.name}.hidden to be widths >= 1, at least one, got {self.hidden}")

    def build(self) -> Flow:
        """Return the flow; its layers start as the identity."""
        front = ToOneHot(self.space)
        codes = front.codes
        layers: list[Transform] = [front]
        for i in range(self.layers):
            layers += self._coupling(codes, i) if self.structure == "bipartite" else self._autoregressive(codes, i)
        return Flow(Chain(*layers), self._base(codes))

    def loss(self, model: Distribution) -> ExpectedChoices | None:
        """Return the likelihood with the expected costs of the layers' choices; None for straight-through gradients."""
        if self.learning == "straight-through" or not self.layers:
            return None
        return ExpectedChoices(model, warmup=self.warmup)

    def _scalar(self, codes: OneHot) -> LabelMap:
        if self.bijection == "ranks":
            return RankedLabels(codes.classes)
        return Modular(codes.classes, self.scale, self.temperature)

    def _coupling(self, codes: OneHot, i: int) -> list[Transform]:
        scalar = self._scalar(codes)
        features, classes = codes.shape
        if self.groups == 2:
            mask = alternating_mask(features, flip=i % 2 == 1)
        else:
            mask = residue_mask(features, self.groups, i % self.groups)
        if self.network == "mlp":
            network: Any = partial(LabelMLP, classes=classes, hidden=self.hidden)
        elif self.network == "table":
            network = partial(LabelTable, classes=classes)
        else:
            network = partial(LabelSequence, n=scalar.n, make=self._sequence, classes=classes, groups=self.groups)
        return [Coupling(scalar, codes, mask, network)]

    def _sequence(self, inputs: int, outputs: int, length: int) -> nn.Module:
        width, depth = self.hidden[0], len(self.hidden)
        if self.network == "lstm":
            return BidirectionalLSTM(inputs, outputs, hidden=width, layers=depth)
        return LabelTransformer(inputs, outputs, length=length, hidden=width, blocks=depth, heads=self.heads)

    def _causal(self, codes: OneHot, outputs: int, order: list[int] | None) -> nn.Module:
        """Return an autoregressive network; all but the MaskedMLP take the labels in the order in which they are given."""
        features, classes = codes.shape
        width, depth = self.hidden[0], len(self.hidden)
        if self.network == "mlp":
            return MaskedMLP(features, outputs, width=classes, hidden=self.hidden, order=order, dropout=self.dropout)
        if self.network == "table":
            return AutoregressiveTable(features, outputs, classes=classes)
        if self.network == "lstm":
            return CausalLSTM(classes, outputs, hidden=width, layers=depth)
        return CausalTransformer(classes, outputs, length=features, hidden=width, blocks=depth, heads=self.heads)

    def _order(self, codes: OneHot, i: int) -> tuple[list[int] | None, list[Transform]]:
        """Return layer i's order for a MaskedMLP, or a permutation before the layer; the order is reversed between layers."""
        if self.network == "mlp":
            ranks = list(range(codes.shape[0]))
            return (ranks if i % 2 == 0 else ranks[::-1]), []
        return None, [Permutation(codes)] if i else []

    def _autoregressive(self, codes: OneHot, i: int) -> list[Transform]:
        scalar = self._scalar(codes)
        order, turn = self._order(codes, i)
        return [*turn, Autoregressive(scalar, codes, self._causal(codes, scalar.n, order))]

    def _base(self, codes: OneHot) -> Distribution:
        if self.base == "factorised":
            return Categorical(codes)
        order, turn = self._order(codes, self.layers if self.structure == "autoregressive" else 0)
        base = AutoregressiveCategorical(codes, net=self._causal(codes, codes.shape[1], order))
        return Flow(Chain(*turn), base) if turn else base

    def exemptions(self) -> Mapping[str, str]:
        """Return the reason why ranks have no gradient in the likelihood."""
        reason = "ranks learn by the costs of their choices, in the objective of the system"
        return dict.fromkeys(("gradients", "gradient_straight_through"), reason) if self.bijection == "ranks" else {}

    @classmethod
    def cases(cls) -> Iterator[Discrete]:
        """Yield specs with unequal numbers of labels, with every structure and base, with tables, and with one label."""
        yield cls(classes=(3, 2), hidden=(8,), scale=True)
        yield cls(classes=(3, 4, 2), hidden=(8,), structure="bipartite", base="factorised", scale=True)
        yield cls(classes=(5, 5), structure="bipartite", base="factorised", network="table", scale=True)
        yield cls(classes=(3, 3, 3), network="table", layers=2)
        yield cls(classes=(4,), hidden=(8,), layers=1, base="factorised", learning="straight-through")
        yield cls(classes=(3, 2, 4), hidden=(8,), layers=3, structure="bipartite", groups=3, bijection="ranks")
