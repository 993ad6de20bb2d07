"""Optimal transport between two batches of equal size: the best pairs, and pairs drawn from an entropic plan."""

from __future__ import annotations

import torch
from torch import Tensor


def costs(x: Tensor, z: Tensor) -> Tensor:
    """Squared distances of all pairs: (B, *E), (C, *E) -> (B, C)."""
    return torch.cdist(x.flatten(1), z.flatten(1)).square()


@torch.no_grad()
def assignment(x: Tensor, z: Tensor) -> Tensor:
    """The permutation p with the least sum of |x_i - z_(p_i)|^2, by SciPy's shortest augmenting paths: (B,) int64.

    Args:
        x: (B, *E).
        z: (B, *E).

    Raises:
        ImportError: SciPy is not installed.
    """
    try:
        from scipy.optimize import linear_sum_assignment
    except ImportError:
        raise ImportError("optimal pairs need SciPy: pip install 'pushforward[ode]'") from None
    _, columns = linear_sum_assignment(costs(x, z).double().cpu().numpy())
    return torch.from_numpy(columns).to(x.device)


@torch.no_grad()
def entropic_pairs(x: Tensor, z: Tensor, regularisation: float, sweeps: int = 100) -> Tensor:
    """For each row of x a row of z, drawn from its share of the plan: (B,) int64.

    The plan P minimises <P, |x - z|^2> - r H(P) with uniform marginals; Sinkhorn's sweeps in log space
    (Cuturi 2013, arXiv:1306.0895; Peyre and Cuturi 2019, section 4.4).

    Args:
        x: (B, *E).
        z: (B, *E).
        regularisation: r.
        sweeps: over both marginals, at most; fewer when the plan no longer changes.
    """
    kernel = -costs(x, z) / regularisation
    g = torch.zeros(len(z), dtype=x.dtype, device=x.device)
    for _ in range(sweeps):
        f = -(kernel + g).logsumexp(1)
        new = -(kernel + f.unsqueeze(1)).logsumexp(0)
        if bool((new - g).abs().max() < 1e-4):
            break
        g = new
    return torch.multinomial((kernel + g).softmax(1), 1).squeeze(1)
