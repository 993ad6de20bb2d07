"""`Fit`: a fitted approximation of a density, with its numbers and its verdict."""

from __future__ import annotations

import dataclasses
from typing import Any

import torch
from torch import Tensor

from ..core import Chain, Flow, Identity, Real
from ..errors import SpecError
from ..transforms import Reshape
from .coverage import Coverage
from .importance_weights import Number
from .summary_table import Summary
from .target import ONLY, Target, Values

CHAINS = 4
"""Number of chains into which the draws are split, because programs that read draws expect chains."""


@dataclasses.dataclass
class Fit:
    """Fitted approximation q of a density p, with numbers that show how good it is.

    Args:
        model: Flow q on unconstrained vectors.
        target: Log-density log p on unconstrained vectors, with the bijections to the parameters.
        elbo: Evidence lower bound, E log p - log q over draws of the flow, in nats; at most log Z.
        log_z: Log of the integral of p, in nats, by importance sampling from the flow and wider distributions (`Proposal`).
        ess: Effective sample size of the flow's own draws, as a share in (0, 1].
        k_hat: Tail shape of the weights, the larger of those of the flow's own draws and of all draws; above .5, errors may
            be larger than stated, and above .7 no result of the weights can be trusted.
        draws: Draws of p by importance resampling: arrays (chains, draws, *shape) by name, for
            `arviz.from_dict({"posterior": draws})`, or without the group's name before ArviZ 1.
        log_weights: Smoothed log-weights (N,) of the draws from which log Z and `draws` are computed; the weights sum to one.
        coverage: Report of the short chains; None if no chains were run.
        growth: Factor by which the spread of the draws grew in the second half of training.
        lacking: Share of the mass where p is over 20 times as dense as the flow; None for a flow with stochastic layers,
            whose density is not known.
        raised: Share of the flow's draws at which the log-density raised an error; they count as points without mass.
        history: State of the run at some steps: "step", "elbo", its "error", "gap" to log Z, and "width" (the largest
            standard deviation of the draws).
        verdict: One sentence that states whether the fit can be trusted, and why.
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
        """Whether no number speaks against the fit."""
        return self.verdict.startswith("Trust it")

    def sample(self, count: int) -> Tensor | Values:
        """Return draws of q itself, (count, *shape), or a dict of them; fast, and as accurate as q is."""
        with torch.no_grad():
            values, _ = self.target.constrain(self.model.sample(count))
        return values if self.target.named else values[ONLY]

    def log_prob(self, values: Tensor | Values) -> Tensor:
        """Return log q of parameters, (B,) in nats; a bound if the model has stochastic layers."""
        z = self.target.unconstrain(values if isinstance(values, dict) else {ONLY: values})
        return self.model.log_prob(z) - self.target.constrain(z)[1]

    @property
    def distribution(self) -> Flow:
        """Flow q on the space of the parameters; `distribution.at()` is a distribution of torch.

        Raises:
            SpecError: The parameters have names, and therefore no common space.
        """
        if self.target.named:
            raise SpecError("expected parameters in one space, got named ones; use `sample` and `log_prob`, or `model`")
        line = self.target.maps[0]
        if isinstance(line, Identity):
            return self.model
        return Flow(
            Chain(line, Reshape(Real(line.z_space.shape), (self.target.features,)), self.model.chain), self.model.base
        )

    def summary(self) -> Summary:
        """Return mean, deviation and quantiles of every parameter, from the weighted draws; print it to see a table."""
        count = self.draws[next(iter(self.draws))].shape[1] * CHAINS
        weights = self.log_weights.exp()
        return Summary(self.draws, min(count, float(weights.sum() ** 2 / weights.square().sum())))

    def __str__(self) -> str:
        """Return the numbers, one per line, and the verdict."""
        return (
            f"elbo   {self.elbo}\nlog Z  {self.log_z}\ness    {self.ess:.3f} of the draws\n"
            f"k-hat  {self.k_hat:.2f}\n{self.verdict}"
        )
