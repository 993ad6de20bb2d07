"""VariationalConfig: every option of a variational fit."""

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
        flow: Name of a system, a `Spec`, or a flow of your own on `Real((D,))`, D the number of unconstrained parameters,
            which is then trained as it is; with restarts, copies of it are.
        layers: Number of layers of a flow given by its name.
        objective: "reverse-kl"; "path", the same with a gradient of less variance, for exact flows; "iwae", which covers
            more; "forward-kl", on importance-weighted draws; or a function of model and target that makes a `Divergence`.
        steps: Number of steps of the optimiser at most.
        samples: Number of draws in a step.
        lr: Learning rate of Adam; it falls to zero along a cosine.
        anneal: Share of the steps over which log p is multiplied by a temperature that rises from .01 to 1, where the Gaussian
            is far from the density.
        start: "gaussian" searches for the mass and fits a Gaussian first; "wide" starts at a standard normal times `scale`.
        scale: Factor on the width of the region that is searched, or deviation of the wide start.
        langevin: Number of annealed Langevin layers after the flow (a stochastic normalizing flow), trained along.
        restarts: Number of independent runs, of which the one with the largest evidence bound is kept.
        draws: Number of draws kept in `Fit.draws`, a multiple of 4; the weights are those of four times as many.
        chains: Number of short chains that look for missed modes; 0 for none.
        tolerance: Training ends early when the bound is within so many nats of log Z, or within six times as many and no longer
            rises; 0 for never.
        seed: Seed of everything random; torch's random state is the same after as before.
        dtype: Type of the model's numbers; torch's default by default.

    Raises:
        SpecError: An option is out of range.
    """

    flow: str | Spec | Flow = "nsf"
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
        """Refuse values out of range."""
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
            raise SpecError(f"unknown objective {self.objective!r}; {known}")

    def replace(self, **fields: Any) -> VariationalConfig:
        """Return a copy with some fields replaced.

        Raises:
            SpecError: A field is unknown or out of range.
        """
        return replaced(self, "a variational fit", fields)

    @property
    def divergence(self) -> Callable[[Distribution, Target], Divergence]:
        """Function of model and target that makes the loss."""
        return self.objective if callable(self.objective) else DIVERGENCES[self.objective]
