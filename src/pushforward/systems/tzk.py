"""TzK: one flow, and types of knowledge that condition it one by one or together."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from torch import nn

from ..core import Chain, Distribution, Flow
from ..distributions import Knowledge
from ..distributions.knowledge import KNOWLEDGE
from ..errors import SpecError
from ..objectives import PenalisedLikelihood
from ..transforms import ActNorm
from .vector_spec import VectorSpec, member_flow, require_member


@dataclass(frozen=True, kw_only=True)
class TzK(VectorSpec):
    """Flow of vectors with types of knowledge: which exist for a vector, and with which attributes.

        p(x | k) = |det df/dx| N(f(x); 0, 1) prod_{i known to exist} phi_i(f(x) | c_i) / Z

    Conditions combine as a product of experts. Training maximises both factorisations of the joint likelihood, so the model
    also says which types exist, p(e_i = 1 | f(x)), and gives the density of x alone. `learn_more` adds a type to a trained
    model, whose flow stays as it is. For classes (labels), each class is a type.

    Args:
        member: System of the flow, such as "realnvp", "nsf" or "maf".
        layers: Number of layers of the flow.
        hidden: Widths of the hidden layers of each network.
        types: Names of the types of knowledge; by default their numbers.
        attributes: Number of attributes of each type.
        experts: Number of Gaussian factors of the expert of each type.
        dropout: Probability of dropping a hidden unit of the flow's networks in training.
    """

    name = "tzk"
    family = "mixture"
    paper = "Livne, Fleet 2019, arXiv:1902.01893"

    member: str = "realnvp"
    layers: int = 8
    hidden: tuple[int, ...] = (64, 64)
    types: tuple[str, ...] = ()
    attributes: int = 0
    experts: int = 1
    dropout: float = 0.0

    def validate(self) -> None:
        """Check the flow's system, and that the context has a number for each type and attribute."""
        super().validate()
        self._at_least("attributes", 0)
        self._at_least("experts", 1)
        require_member(self.member, "tzk.member", other_than=TzK)
        if self.base != "normal":
            raise SpecError("expected no base for tzk: it is a product of experts")
        if self.given % (1 + self.attributes):
            raise SpecError(
                f"expected a context of {1 + self.attributes} numbers for each type of knowledge, its existence and its "
                f"attributes, got a length of {self.given}"
            )
        if self.types and len(self.types) != self._count:
            raise SpecError(f"expected names of {self._count} types of knowledge, got {len(self.types)}")

    @property
    def _count(self) -> int:
        return self.given // (1 + self.attributes)

    def latent(self) -> Distribution:
        """Return the product of experts, or the standard normal distribution without types of knowledge."""
        if not self._count:
            return super().latent()
        names = self.types or tuple(map(str, range(self._count)))
        return Knowledge(
            self.space,
            names,
            attributes=self.attributes,
            components=self.experts,
            hidden=self.hidden[-1:],
            activation=self.activation,
        )

    def build(self) -> Flow:
        """Return the flow, whose layers see no context, with the product of experts as its base."""
        inner = member_flow(
            self.member,
            "tzk.member",
            features=self.features,
            layers=self.layers,
            hidden=self.hidden,
            activation=self.activation,
            dropout=self.dropout,
        )
        if inner.base.space != self.space:
            raise SpecError(f"expected a system of flows for tzk.member, got {self.member!r}")
        return self.flow(Chain(ActNorm(self.space), inner.chain))

    def loss(self, model: Distribution) -> nn.Module | None:
        """Return the likelihood of x and k in both factorisations; None for a model without types.

            1/2 [log p(x) + log p(k | x)] + 1/2 [log p(k) + log p(x | k)]

        The first bracket trains the encoders, the second the experts, and both the flow; no variational bound is needed
        (section 3 of the paper).
        """
        return PenalisedLikelihood(model, {KNOWLEDGE: -0.5}) if self._count else None

    def exemptions(self) -> Mapping[str, str]:
        """Return the exemption of the encoders from gradients of p(x | k), and of numbers that stay on one side of 1/2."""
        found = {"gradients": "the encoders belong to p(k | x) and the rates to p(k), not to p(x | k)"}
        if not self.attributes and not self.classes:
            found["context_matters"] = "a type exists for all numbers above 1/2"
        return found

    @classmethod
    def cases(cls) -> Iterator[TzK]:
        """Yield specs with two types, with attributes and mixtures, and with classes."""
        yield cls(features=2, context=2, layers=1, hidden=(8,))
        yield cls(features=2, context=4, attributes=1, experts=2, layers=1, hidden=(8,), types=("odd", "small"))
        yield cls(features=1, classes=3, layers=1, hidden=(8,), member="nsf")


def learn_more(model: Flow, name: str) -> Flow:
    """Return a copy of a TzK model with another type of knowledge; all parameters but those of the new type are frozen.

    Args:
        model: Trained model whose context is a vector.
        name: Name of the new type, which comes last in the context.

    Raises:
        SpecError: The model is another one, or the name is known.
    """
    spec = model.spec
    if not isinstance(spec, TzK) or not isinstance(model.base, Knowledge) or spec.classes:
        raise SpecError("expected a model of the system tzk whose context is a vector, got another one")
    new = copy.deepcopy(model).requires_grad_(requires_grad=False)
    base = new.base
    if not isinstance(base, Knowledge):
        raise SpecError("expected a flow whose base is Knowledge")
    base.add(name)
    for parts in (base.experts, base.encoders, base.rates):
        parts[-1].requires_grad_()
    base.to(model.dtype).to(model.device)
    grown = Flow(new.chain, base)
    context = spec.context + 1 + spec.attributes
    grown.spec = replace(spec, context=context, types=base.types)
    return grown
