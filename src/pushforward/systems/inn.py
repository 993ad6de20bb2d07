"""INN: an invertible network from unknowns to observations and latent variables, for inverse problems."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Literal

from torch import nn

from ..core import Chain, Distribution, Flow, Real, Transform
from ..distributions import Normal
from ..errors import SpecError
from ..networks import MLP
from ..objectives import InverseProblem
from ..transforms import ObservedOutput, Permutation, two_way
from ..transforms.masks import random_order
from .vector_spec import VectorSpec


@dataclass(frozen=True, kw_only=True)
class INN(VectorSpec):
    """Invertible network [x, u] <-> [y, z, v] of unknowns x and observations y, with paddings u and v; y is the context.

    A draw of x given y is the inverse at y, with noise, and z ~ N(0, 1). Its density is known,

        p(x, u | y) = N(f_y; y, s_y^2) N(f_z; 0, 1) N(f_v; 0, s_v^2) |det df|,

    exactly without padding of x and as a bound with it. It is the density of these draws, which training by discrepancies
    does not maximise. The design "likelihood" trains it; "conditional" is a flow of x whose networks see y.

    Args:
        design: Kind of the model and of its training: "discrepancy" (the INN of the paper), "likelihood" (the same network,
            trained by likelihood) or "conditional" (two-way couplings given y, trained by likelihood).
        layers: Number of two-way couplings, with a fixed random permutation between them.
        hidden: Widths of the hidden layers in each network.
        clamp: Upper bound of the log-scales of the couplings.
        latents: Length K of z; by default D - M for M observations, or D if there are at least D observations.
        width: Length of both sides with padding; by default the longer one of x and of y with z.
        noise: Standard deviation of the noise of standardised observations.
        padding: Standard deviation of the noise in the paddings.
        fit_weight: Weight of the squared error of f_y.
        latent_weight: Weight of the forward discrepancy.
        backward_weight: Weight of the backward discrepancy.
        padding_weight: Weight of the squared padding of both sides.
        reconstruction_weight: Weight of the reconstruction from the observation.
        ramp: Number of training steps over which the weight of the backward discrepancy rises.
        base: Distribution of the latent variables; only "normal".
        columns: Names of the columns of a table that are the observations; the other columns are the unknowns.
    """

    name = "inn"
    family = "simulation"
    objective = "discrepancies"
    symbol = "="
    paper = "Ardizzone, Kruse, Wirkert, Rahner, Pellegrini, Klessen, Maier-Hein, Rother, Koethe 2019, arXiv:1808.04730"
    spread = 0.3  # with larger weights the bounds of padded networks are too loose to be averaged

    design: Literal["discrepancy", "likelihood", "conditional"] = "discrepancy"
    layers: int = 6
    hidden: tuple[int, ...] = (64, 64)
    activation: str = "silu"
    clamp: float = 2.0
    latents: int | None = None
    width: int | None = None
    noise: float = 0.05
    padding: float = 0.05
    fit_weight: float = 100.0
    latent_weight: float = 300.0
    backward_weight: float = 400.0
    padding_weight: float = 100.0
    reconstruction_weight: float = 100.0
    ramp: int = 1000
    base: Literal["normal"] = "normal"
    columns: tuple[str, ...] = ()

    def validate(self) -> None:
        """Check that there are observations, and that the two sides of the network fit."""
        super().validate()
        if not self.given:
            raise SpecError(
                f"expected {self.name}.context or {self.name}.classes, the size of the observations, got neither; columns of a "
                "table are named with --given COLUMN"
            )
        for field in ("clamp", "noise", "padding"):
            if getattr(self, field) <= 0:
                raise SpecError(f"expected {self.name}.{field} > 0, got {getattr(self, field)}")
        for field in (
            "fit_weight",
            "latent_weight",
            "backward_weight",
            "padding_weight",
            "reconstruction_weight",
            "ramp",
        ):
            self._at_least(field, 0)
        if self.design == "conditional":
            return
        if self.latents is not None and self.given + self.latents < self.features:
            raise SpecError(
                f"expected {self.name}.latents >= {self.features - self.given}, because {self.features} unknowns do not fit "
                f"into {self.given} observations and {self.latents} latent variables"
            )
        if self.width is not None and self.width < self.least_width:
            raise SpecError(f"expected {self.name}.width >= {self.least_width}, the longer side, got {self.width}")

    @property
    def latent_size(self) -> int:
        """Length K of the latent variables."""
        if self.latents is not None:
            return self.latents
        return self.features - self.given if self.given < self.features else self.features

    @property
    def least_width(self) -> int:
        """Length of the longer side without padding."""
        return max(self.features, self.given + self.latent_size)

    def latent(self) -> Normal:
        """Return the standard normal distribution of the residuals."""
        return Normal(self.space if self.design == "conditional" else Real((self.width or self.least_width,)))

    def build(self) -> Flow:
        """Return the flow of the unknowns given the observations."""
        network = partial(MLP, hidden=self.hidden, activation=self.activation)
        if self.design == "conditional":
            return self.flow(self._blocks(self.space, network, self.given))
        both = Real((self.width or self.least_width,))
        layer = ObservedOutput(
            self.space,
            Chain(*self._blocks(both, network, 0)),
            observed=self.given,
            latent=self.latent_size,
            noise=self.noise,
            padding=self.padding,
        )
        return self.flow([layer])

    def _blocks(self, space: Real, network: partial[MLP], context: int) -> list[Transform]:
        blocks: list[Transform] = []
        for i in range(self.layers):
            blocks.append(two_way(space, network, clamp=self.clamp, context=context))
            blocks.append(Permutation(space, random_order(space.size, seed=i)))
        return blocks[:-1]

    def loss(self, model: Distribution) -> nn.Module | None:
        """Return the weighted discrepancies; None, the likelihood, for the other designs."""
        if self.design != "discrepancy":
            return None
        return InverseProblem(
            model,
            fit=self.fit_weight,
            latent=self.latent_weight,
            backward=self.backward_weight,
            padding=self.padding_weight,
            reconstruction=self.reconstruction_weight,
            ramp=self.ramp,
        )

    @classmethod
    def cases(cls) -> Iterator[INN]:
        """Yield specs without padding, with padding on both sides, with labels, and with y as the context of all networks."""
        small = {"layers": 2, "hidden": (6,)}
        yield cls(features=2, context=1, noise=0.5, ramp=10, **small)  # type: ignore[arg-type]
        yield cls(features=2, context=1, width=4, noise=0.5, padding=0.5, ramp=10, **small)  # type: ignore[arg-type]
        yield cls(features=2, classes=3, design="conditional", **small)  # type: ignore[arg-type]
