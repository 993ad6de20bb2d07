"""VariationalConfig: the options of a variational fit."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, Literal

import torch

from ..core import Distribution, Flow
from ..errors import SpecError, suggestion
from ..objectives.divergence import DIVERGENCES, Divergence
from ..systems.spec import Spec
from ..training.config import replaced
from .approximation import CHAINS
from .target import Target

Objective = Literal["reverse-kl", "path", "iwae", "forward-kl"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class VariationalConfig:
    """Options of a variational fit.

    Args:
        flow: Name of a system, a `Spec`, or your own flow on `Real((D,))`, D the number of unconstrained parameters, or on a
            curved space. Your own flow is trained in place; with restarts, copies of it are trained. By default it is "nsf",
            and "sphere" for unit vectors.
        layers: Number of layers of a flow given by its name.
        objective: Loss: "reverse-kl"; "path", the same with a gradient of smaller variance, for exact flows; "iwae", which
            covers more of the mass; "forward-kl", on importance-weighted draws; or a function of model and target that
            returns a `Divergence`.
        steps: Largest number of optimiser steps.
        samples: Number of draws in a step.
        lr: Learning rate of Adam, which falls to zero along a cosine.
        anneal: Share of the steps over which log p is multiplied by a temperature that rises from .01 to 1, if the Gaussian
            is far from the density.
        start: Start of the fit: "gaussian" searches for the mass and fits a Gaussian first; "wide" starts at a standard
            normal times `scale`. On a curved space "gaussian" first leads the flow to the mass, by a forward divergence with
            uniform draws, and "wide" does not.
        scale: Factor on the width of the region that is searched, or standard deviation of the wide start.
        langevin: Number of annealed Langevin layers after the flow (a stochastic normalizing flow), trained with it.
        restarts: Number of independent runs; the one with the largest evidence bound is kept.
        draws: Number of draws in `Fit.draws`, a multiple of 4; they are resampled from four times as many weighted draws.
        chains: Number of short chains that look for missed modes; 0 for none.
        tolerance: Training ends early if the bound is within this many nats of log Z, or within six times as many and no
            longer rising; 0 for never.
        seed: Seed of all random numbers; torch's random state is restored afterwards.
        dtype: Dtype of the model; torch's default dtype if None.

    Raises:
        SpecError: An option is out of range.
    """

    flow: str | Spec | Flow | None = None
    layers: int | None = None
    objective: Objective | Callable[[Distribution, Target], Divergence] = "reverse-kl"
    steps: int = 3000
    samples: int = 256
    lr: float = 5e-3
    anneal: float = 0.3
    start: Literal["gaussian", "wide"] = "gaussian"
    scale: float = 1.0
    langevin: int = 0
    restarts: int = 1
    draws: int = 4000
    chains: int = 128
    tolerance: float = 0.005
    seed: int = 0
    dtype: torch.dtype | None = None

    def __post_init__(self) -> None:
        """Check that the values are in range."""
        for name in ("steps", "samples", "restarts", "layers"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise SpecError(f"expected {name} >= 1, got {value}")
        ranges = self.langevin >= 0 and self.chains >= 0 and 0 <= self.anneal <= 1 and self.scale > 0
        if self.draws < 4 * CHAINS or self.draws % CHAINS or not ranges:
            raise SpecError(
                f"expected draws a multiple of {CHAINS}, langevin and chains >= 0, anneal in [0, 1] and scale > 0, got "
                f"{self.draws}, {self.langevin}, {self.chains}, {self.anneal} and {self.scale}"
            )
        if not callable(self.objective) and self.objective not in DIVERGENCES:
            known = suggestion(str(self.objective), sorted(DIVERGENCES), "known:")
            raise SpecError(f"expected a known objective, got {self.objective!r}; {known}")

    def replace(self, **fields: Any) -> VariationalConfig:
        """Return a copy with some fields replaced.

        Raises:
            SpecError: A field is unknown or out of range.
        """
        return replaced(self, "a variational fit", fields)

    @property
    def divergence(self) -> Callable[[Distribution, Target], Divergence]:
        """Function of model and target that returns the loss."""
        return self.objective if callable(self.objective) else DIVERGENCES[self.objective]
