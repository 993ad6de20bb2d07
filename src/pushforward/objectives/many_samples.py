"""Bounds with several samples for models with random layers, with leave-one-out gradients of discrete choices.

With K samples of the random layers' choices k and f_i = log p(x, k_i) - log q(k_i | x),

    evidence bound              1/K sum_i f_i             <=  log p(x)
    importance-weighted bound   log 1/K sum_i exp(f_i)    <=  log p(x)

(Burda et al. 2016, arXiv:1509.00519, eq. 8). Layers with discrete choices report log q(k|x) in `forward_aux`. Its gradient is
weighted by how much better a sample is than the others, sum_i r_i grad log q(k_i | x), with

    evidence bound              r_i = 1/K (f_i - mean of the other f)                  (Kool, van Hoof, Welling 2019)
    importance-weighted bound   r_i = bound - bound with f_i replaced by that mean     (Mnih, Rezende 2016, arXiv:1602.06725)

Both have the mean of the true gradient, because r_i without its own term does not depend on k_i. All other gradients go
through the samples (Kingma, Welling 2014, arXiv:1312.6114).
"""

from __future__ import annotations

import math

from torch import Tensor, nn

from ..core import Distribution
from ..errors import SpecError
from ..transforms.experts import WINNERS
from .weighted_mean import weighted_mean


class ManySamples(nn.Module):
    """Loss -bound of K samples in nats per event; in evaluation mode the bound is importance-weighted.

    Args:
        model: Distribution with random layers, or a model of a table around it.
        samples: Number K of samples of each row.
        importance: Whether the bound is importance-weighted in training, too.

    Raises:
        SpecError: There are no samples.
    """

    likelihood = True

    def __init__(self, model: Distribution, *, samples: int = 4, importance: bool = False) -> None:
        super().__init__()
        if samples < 1:
            raise SpecError(f"expected at least 1 importance sample, got {samples}")
        self.model, self.samples, self.importance = model, samples, importance

    @property
    def minimises(self) -> str:
        """Name and unit of the loss."""
        name = "importance-weighted bound" if self.importance else "negative evidence bound"
        return f"{name} of {self.samples} samples, nats per row"

    def forward(self, batch: tuple[Tensor, ...], weights: Tensor | None = None) -> Tensor:
        """Return the loss in nats per event, a scalar, for a batch (x,) or (x, context) of B rows and weights (B,)."""
        k = self.samples
        f, penalties = self.model.log_prob_aux(*(t.repeat(k, *[1] * (t.dim() - 1)) for t in batch))
        f = f.reshape(k, -1)
        if self.importance or not self.training:
            value = f.logsumexp(0) - math.log(k)
        else:
            value = f.mean(0)
        if self.training and k > 1 and WINNERS in penalties:
            log_q = penalties[WINNERS].reshape(k, -1)
            surrogate = (self._advantage(f.detach()) * log_q).sum(0)
            value = value + surrogate - surrogate.detach()
        return -weighted_mean(value, weights)

    def _advantage(self, f: Tensor) -> Tensor:
        """Return r_i of every sample: (K, B) -> (K, B)."""
        k = self.samples
        others = (f.sum(0) - f) / (k - 1)
        if not self.importance:
            return (f - others) / k
        # Row i of the last-but-one dimension has f_i replaced by the mean of the others.
        replaced = f.expand(k, *f.shape).clone()
        replaced.diagonal(dim1=0, dim2=1).copy_(others.mT)
        return f.logsumexp(0) - replaced.logsumexp(1)
