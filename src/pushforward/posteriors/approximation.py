"""`Fit`: a fitted approximation of a density, its numbers and its verdict."""

from __future__ import annotations

import dataclasses
from typing import Any

import torch
from torch import Tensor

from ..core import Chain, Flow, Real
from ..errors import SpecError
from ..transforms import Reshape
from .coverage import Coverage
from .importance_weights import Number
from .summary_table import Summary
from .target import ONLY, Target, Values

CHAINS = 4
"""Number of parts of the draws, as programs that read draws expect."""


@dataclasses.dataclass
class Fit:
    """A fitted approximation q of a density p, with the evidence for and against it.

    Args:
        model: The flow q on unconstrained vectors.
        target: log p there, and the bijections.
        elbo: E log p - log q over draws of the flow, in nats; at most log Z.
        log_z: log of the integral of p, in nats, by importance sampling from the flow and wider distributions (`Proposal`).
        ess: Effective share of the flow's own draws, in (0, 1].
        k_hat: Tail shape of the weights, the larger of those of the flow's own draws and of all draws; above .5, errors may be
            larger than stated, above .7 nothing that comes of the weights is to be trusted.
        draws: Draws of p by importance resampling: arrays (chains, draws, *shape) by name, for
            `arviz.from_dict({"posterior": draws})`, or without a group's name before its version 1.
        log_weights: Smoothed log-weights (N,) of the draws that log Z and `draws` are made of; the weights add up to one.
        coverage: Report of the short chains; None when none were run.
        growth: Factor by which the draws spread in the second half of training.
        lacking: Share of the mass where p is over 20 times as dense as the flow; None for a flow with stochastic layers,
            which has no density to compare.
        raised: Share of the flow's draws at which the log-density raised an error, which count as points without mass.
        history: States of the run at some steps: "step", "elbo", its "error", "gap" to log Z, and "width" (the largest
            deviation of the draws).
        verdict: One sentence: whether to trust it, and why.
    """

    model: Flow
    target: Target
    elbo: Number
    log_z: Number
    ess: float
    k_hat: float
    draws: dict[str, Any]
    log_weights: Tensor
    coverage: Coverage | None
    growth: float
    lacking: float | None
    raised: float
    history: list[dict[str, float]]
    verdict: str

    @property
    def trustworthy(self) -> bool:
        """Whether nothing speaks against it."""
        return self.verdict.startswith("Trust it")

    def sample(self, count: int) -> Tensor | Values:
        """Draws of q itself, (count, *shape), or a dict of them: fast, and as wrong as q is."""
        with torch.no_grad():
            values, _ = self.target.constrain(self.model.sample(count))
        return values if self.target.named else values[ONLY]

    def log_prob(self, values: Tensor | Values) -> Tensor:
        """log q of parameters, (B,) nats; a bound where the model has stochastic layers."""
        z = self.target.unconstrain(values if isinstance(values, dict) else {ONLY: values})
        return self.model.log_prob(z) - self.target.constrain(z)[1]

    @property
    def distribution(self) -> Flow:
        """q on the space of the parameters, a flow like any other; `distribution.at()` is one of torch's distributions.

        Raises:
            SpecError: The parameters have names, and so no common space.
        """
        if self.target.named:
            raise SpecError("expected parameters in one space, got named ones; use `sample` and `log_prob`, or `model`")
        line = self.target.maps[0]
        return Flow(
            Chain(line, Reshape(Real(line.z_space.shape), (self.target.features,)), self.model.chain), self.model.base
        )

    def summary(self) -> Summary:
        """Return mean, deviation and quantiles of every parameter, from the weighted draws; print it for a table."""
        count = self.draws[next(iter(self.draws))].shape[1] * CHAINS
        weights = self.log_weights.exp()
        return Summary(self.draws, min(count, float(weights.sum() ** 2 / weights.square().sum())))

    def __str__(self) -> str:
        """Return the numbers, one a line, and the verdict."""
        return (
            f"elbo   {self.elbo}\nlog Z  {self.log_z}\ness    {self.ess:.3f} of the draws\n"
            f"k-hat  {self.k_hat:.2f}\n{self.verdict}"
        )
