"""Optimal transport between two batches of equal size: the best assignment, and pairs drawn from an entropic plan."""

from __future__ import annotations

import torch
from torch import Tensor


def costs(x: Tensor, z: Tensor) -> Tensor:
    """Return the squared distances of all pairs: (B, *E), (C, *E) -> (B, C)."""
    return torch.cdist(x.flatten(1), z.flatten(1)).square()


@torch.no_grad()
def assignment(x: Tensor, z: Tensor) -> Tensor:
    """Return the permutation p with the least sum of |x_i - z_(p_i)|^2, (B,) in int64, by shortest augmenting paths (SciPy).

    Args:
        x: Points, (B, *E).
        z: Points, (B, *E).

    Raises:
        ImportError: SciPy is not installed.
    """
    try:
        from scipy.optimize import linear_sum_assignment
    except ImportError:
        raise ImportError("optimal pairs need SciPy: pip install 'pushforward[ode]'") from None
    _, columns = linear_sum_assignment(costs(x, z).double().cpu().numpy())
    return torch.from_numpy(columns).to(x.device)


def assigned(x: Tensor, z: Tensor, most: int) -> Tensor:
    """Return the rows of z (B, *E) in the order of the rows of x to which they are assigned, `most` rows at a time."""
    return torch.cat([b[assignment(a, b)] for a, b in zip(x.split(most), z.split(most), strict=True)])


@torch.no_grad()
def entropic_pairs(x: Tensor, z: Tensor, regularisation: float, sweeps: int = 100) -> Tensor:
    """Return for each row of x the index of a row of z, drawn from the entropic transport plan: (B,) in int64.

    The plan P minimises <P, |x - z|^2> - r H(P) with uniform marginals. It is found by Sinkhorn iterations in log space
    (Cuturi 2013, arXiv:1306.0895; Peyre and Cuturi 2019, section 4.4).

    Args:
        x: Points, (B, *E).
        z: Points, (B, *E).
        regularisation: Weight r of the entropy.
        sweeps: Largest number of iterations over both marginals; fewer if the plan no longer changes.
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
