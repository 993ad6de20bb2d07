"""Laws about the losses with which systems are trained."""

from __future__ import annotations

import math

import torch

from ..core import Distribution
from .cases import Case, draw_context
from .violations import NotApplicable, require

BATCHES, ROWS = 40, 64
"""Number of batches, and number of events in a batch, from which the mean of a loss is estimated."""


@torch.no_grad()
def law_loss_bounds_the_likelihood(case: Case) -> None:
    """Check on samples of a model that a loss which counts as a likelihood is at least -log_prob in the mean.

    Such a loss is -log q(x) of some density q, or a bound of it. In the mean over events from p, no density has a larger
    logarithm than p itself (Gibbs' inequality). For a model that is a bound, the log-density that comes with its samples
    takes the place of log_prob, because it is at least log p(x) in the mean.
    """
    node = case.build()
    objective = case.spec.loss(node) if case.spec is not None and isinstance(node, Distribution) else None
    if objective is None or not getattr(objective, "likelihood", False) or not isinstance(node, Distribution):
        raise NotApplicable("no loss of its own that counts as a likelihood")
    objective.eval()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(9)
        given = draw_context(node, 1, torch.float64)
        gaps = []
        for _ in range(BATCHES):
            x, upper = node.sample_and_log_prob(ROWS, None if given is None else given[0])
            batch = (x,) if given is None else (x, given.expand(ROWS, *given.shape[1:]))
            # A loss of several samples may be closer to log p than log_prob, if that is a bound.
            logp = upper if node.exactness else node.log_prob(*batch)
            gaps.append(objective(batch) + logp.mean())
    gap = torch.stack(gaps).double()
    mean, error = float(gap.mean()), float(gap.std()) / math.sqrt(BATCHES)
    require(mean > -4 * error - 1e-6, f"the loss is {-mean:.4f} +- {error:.4f} nats below -log_prob")
    require(mean < 10 * max(2, node.space.size), f"the loss is {mean:.1f} nats above -log_prob")
