"""Density estimation by a network that learns the distribution function (Magdon-Ismail and Atiya 2002)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from torch import nn

from ..core import Distribution, Flow
from ..distributions.learned_cdf import FreeCDF, ProductCDF
from ..errors import SpecError
from ..functional.mixed_partials import LARGEST
from ..objectives.cdf_targets import CDFTargets, Targets
from ..transforms import Standardise
from .plain_spec import PlainSpec


@dataclass(frozen=True, kw_only=True)
class CDFNetwork(PlainSpec):
    """Network that learns the joint distribution function of one to three variables; the density is its derivative.

    Args:
        network: "monotone", sums of products of sigmoids, whose density is positive and has mass one; or "free", a network
            without restrictions, whose density can be negative in places and need not have mass one.
        targets: Targets at a row that is not below i of the N rows: "smooth", i / (N + 1), or "stochastic", the i-th of N
            sorted uniform numbers, drawn anew in each epoch.
        units: Number of hidden units of the monotone network.
        hidden: Widths of the hidden layers of the free network.
        penalty: Weight of the penalties of a free network: for negative densities, and for values at the ends of the box around
            the data that are not 0 and 1.
    """

    name = "cdf-network"
    family = "ancestors"
    paper = "Magdon-Ismail, Atiya 2002, IEEE Transactions on Neural Networks 13(3)"
    objective = "squared error of the distribution function"

    network: Literal["monotone", "free"] = "monotone"
    targets: Targets = "smooth"
    units: int = 16
    hidden: tuple[int, ...] = (32, 32)
    penalty: float = 0.1

    def validate(self) -> None:
        """Check the number of features and of units, and the weight."""
        super().validate()
        self._at_least("units", 1)
        self._at_least("penalty", 0)
        if self.features > LARGEST:
            raise SpecError(
                f"expected {self.name}.features <= {LARGEST}, the order of the derivative that is the density, got "
                f"{self.features}"
            )

    def build(self) -> Flow:
        """Return the model, behind a standardisation."""
        base = ProductCDF(self.space, self.units) if self.network == "monotone" else FreeCDF(self.space, self.hidden)
        return Flow(Standardise(self.space), base)

    def loss(self, model: Distribution) -> nn.Module:
        """Return the squared error of the distribution function, with penalties for a free network."""
        return CDFTargets(model, self.targets, penalty=self.penalty * (self.network == "free"))

    def exemptions(self) -> Mapping[str, str]:
        """Return the laws that a network without restrictions need not keep."""
        if self.network == "monotone":
            return {}
        reason = "the density is the derivative of a network that is no distribution function before training"
        return {"total_mass": reason, "samples_follow_density": reason}

    @classmethod
    def cases(cls) -> Iterator[CDFNetwork]:
        """Yield specs of two features with a monotone network, and of one with a free one."""
        yield cls(features=2, units=3)
        yield cls(features=1, network="free", hidden=(4,))
