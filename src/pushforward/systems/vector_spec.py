"""Base class of systems of vectors: their sizes, their context and their base."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Self

import numpy as np
import torch

from ..core import Categories, Chain, Distribution, Flow, Real, Transform
from ..distributions import (
    AutoregressiveModel,
    FullGaussianMixture,
    GaussianMixture,
    Logistic,
    MixtureFactor,
    Normal,
    ResampledNormal,
    StudentT,
)
from ..errors import SpecError
from ..networks import MaskedMLP, OneHotCode
from .spec import Spec, label_classes, spec_from_dict

Base = Literal["normal", "student", "mixture", "full-mixture", "autoregressive-mixture", "logistic", "resampled"]


@dataclass(frozen=True, kw_only=True)
class VectorSpec(Spec, register=False):
    """Base class with the arguments of every system of vectors.

    Args:
        features: Number of features D of a vector.
        context: Length of the context vector; 0 for none.
        classes: Number of classes of a label that is the context, a whole number from 0; 0 for none.
        activation: Activation function of the networks, such as "relu", "silu" or "tanh".
        base: Distribution of the latent variables: "normal", "student" (Student t with learned degrees of freedom),
            "mixture" (learned Gaussians with diagonal covariances), "full-mixture" (Gaussians with full covariances, which
            start at a fit to the data and follow the context), "autoregressive-mixture" (Gaussian mixtures of each variable
            given those before it, from a masked network that also sees the context; MAF-MoG of Papamakarios et al. 2017),
            "logistic", or "resampled" (a standard normal whose draws a network accepts or rejects, so it can have several
            modes; Stimper et al. 2022); in Python also any distribution on vectors of length D.
        components: Number of Gaussians of the bases that are mixtures.
    """

    sizes: ClassVar[tuple[str, ...]] = ("features", "context", "classes")

    features: int
    context: int = 0
    classes: int = 0
    activation: str = "relu"
    base: Base | Distribution = "normal"
    components: int = 4

    def validate(self) -> None:
        """Check the sizes, and that there is at most one kind of context."""
        super().validate()
        self._at_least("features", 1)
        self._at_least("context", 0)
        self._at_least("classes", 0)
        self._at_least("components", 1)
        if self.context and self.classes:
            raise SpecError(f"expected {self.name}.context or {self.name}.classes, got both; leave one of them out")

    @property
    def space(self) -> Real:
        """Space of the vectors."""
        return Real((self.features,))

    @property
    def given(self) -> int:
        """Length of the context vector of the layers; a label becomes its one-hot code."""
        return self.classes or self.context

    @property
    def latent_space(self) -> Real:
        """Space of the latent variables: that of the vectors, unless a system has fewer latent variables."""
        return self.space

    def latent(self) -> Distribution:
        """Return the distribution of the latent variables, with fresh parameters."""
        space = self.latent_space
        if isinstance(self.base, Distribution):
            return copy.deepcopy(self.base)
        if self.base == "mixture":
            return GaussianMixture(space, self.components)
        if self.base == "full-mixture":
            return FullGaussianMixture(space, self.components, context=self.given)
        if self.base == "autoregressive-mixture":
            factor = MixtureFactor(self.components, scaled_means=False, start_from="quantiles")
            hidden = getattr(self, "hidden", ())
            network = MaskedMLP(
                space.size,
                factor.n,
                hidden=hidden if isinstance(hidden, tuple) and hidden else (64, 64),
                context=self.given,
                activation=self.activation,
            )
            return AutoregressiveModel(space, factor, network, context=self.given)
        if self.base == "resampled":
            return ResampledNormal(space)
        return {"normal": Normal, "student": StudentT, "logistic": Logistic}[self.base](space)

    def flow(self, layers: Transform | Sequence[Transform]) -> Flow:
        """Return the model of layers, from data to latent, and the base."""
        chain = layers if isinstance(layers, Transform) else Chain(*layers)
        if not self.classes:
            return Flow(chain, self.latent())
        return Flow(chain, self.latent(), embed=OneHotCode(self.classes), context=Categories((), self.classes))

    @classmethod
    def from_data(cls, x: Any, context: Any = None, **fields: Any) -> Self:
        """Return the spec for rows of numbers.

        Args:
            x: Rows of numbers, (N, D).
            context: Vectors (N, C) of numbers, or labels (N,) of whole numbers from 0; None for no context.
            **fields: Other arguments of the system.

        Raises:
            SpecError: The data have another shape, or an argument is out of range.
        """
        shape = np.shape(x)
        if len(shape) != 2:
            raise SpecError(f"expected rows of numbers, of shape (N, D), got shape {shape}")
        if context is None:
            return cls(features=shape[1], **fields)
        given = torch.as_tensor(context)
        if given.dim() == 2:
            return cls(features=shape[1], context=given.shape[1], **fields)
        classes = label_classes(given)
        if classes is None:
            raise SpecError(
                f"expected a context of numbers (N, C) or of labels (N,) from 0, got {given.dtype} and {tuple(given.shape)}"
            )
        return cls(features=shape[1], classes=classes, **fields)


def require_member(member: str, what: str, *, other_than: type[Spec]) -> None:
    """Check that a name is that of a system of vectors of which another system can be made.

    Args:
        member: Name of the system.
        what: Its part in the other system, for the message.
        other_than: The other system.

    Raises:
        SpecError: There is no such system, it does not model vectors, or it is the other system itself.
    """
    known = Spec.registry.get(member)
    if known is None or not issubclass(known, VectorSpec) or issubclass(known, other_than):
        raise SpecError(f"expected a system of vectors for {what}, such as realnvp, got {member!r}")


def member_flow(member: str, what: str, **arguments: Any) -> Flow:
    """Return a fresh flow of a system; arguments that this system does not have are left out.

    Raises:
        SpecError: The system is not one of flows.
    """
    known = Spec.registry[member].__dataclass_fields__
    spec = spec_from_dict({"system": member} | {name: value for name, value in arguments.items() if name in known})
    flow = spec.build()
    if not isinstance(flow, Flow):
        raise SpecError(f"expected a system of flows for {what}, got {member!r}")
    return flow
