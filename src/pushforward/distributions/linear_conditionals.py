"""Linear prediction of numbers from any other numbers, under a Gaussian with the moments of the training rows."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..recording import Recorded

RIDGE = 1e-4
"""Share of the variance that is added to every number, so that no number is an exact combination of others."""


class LinearConditionals(Recorded, nn.Module):
    """Means and standard deviations of numbers given any subset O of them, under a Gaussian N(mu, C).

        m_i = mu_i + C_iO C_OO^-1 (z_O - mu_O),    s_i^2 = C_ii - C_iO C_OO^-1 C_Oi

    The moments are set from a batch and are not trained. Before, they are those of independent standard normal numbers.

    Args:
        features: Number of numbers N.
    """

    mean: Tensor
    covariance: Tensor

    def __init__(self, features: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("covariance", torch.eye(features))

    @torch.no_grad()
    def start_at(self, numbers: Tensor, valued: Tensor) -> None:
        """Set the moments from numbers (B, N); those outside of the mask (B, N) count as the mean of their column."""
        numbers = numbers.double()
        count = valued.sum(0).clamp_min(1)
        mean = torch.where(valued, numbers, 0.0).sum(0) / count
        centred = torch.where(valued, numbers - mean, 0.0)
        # Each sum of products is divided by the root of both counts, which keeps the matrix positive.
        scale = count.double().rsqrt()
        covariance = (centred.mT @ centred) * scale * scale.unsqueeze(1)
        variance = covariance.diagonal().clamp_min(RIDGE)
        self.mean.copy_(mean)
        self.covariance.copy_(covariance + torch.diag(RIDGE * variance))

    def forward(self, numbers: Tensor, valued: Tensor, observed: Tensor) -> tuple[Tensor, Tensor]:
        """Return means and logarithms of the standard deviations of all numbers, given the observed ones.

        Args:
            numbers: Numbers (B, N).
            valued: Mask (B, N) of the entries that have a number; an observed entry without one is taken at its mean.
            observed: Mask (..., B or 1, N) of the observed entries.

        Returns:
            Means (..., B, N), and log-deviations (..., B or 1, N).
        """
        seen, covariance = observed.double(), self.covariance.double()
        # Rows and columns of entries that are not observed are those of the identity, so that one inverse serves all subsets.
        pairs = seen.unsqueeze(-1) * seen.unsqueeze(-2)
        inverse = torch.linalg.inv(covariance * pairs + torch.diag_embed(1 - seen)) * pairs
        weights = inverse @ covariance
        variance = covariance.diagonal() - (covariance * weights).sum(-2)
        # An entry that is not observed can have any value, even an infinite one, whose product with a weight of 0 is NaN.
        deviation = torch.where(observed & valued, numbers.double() - self.mean, 0.0)
        mean = self.mean + (deviation.unsqueeze(-2) @ weights).squeeze(-2)
        floor = RIDGE * covariance.diagonal()
        return mean.to(numbers.dtype), (0.5 * torch.maximum(variance, floor).log()).to(numbers.dtype)
