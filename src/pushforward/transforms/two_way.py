"""Two-way coupling: both halves of the coordinates are mapped, one after the other.

    v1 = u1 exp(s2(u2)) + t2(u2),    v2 = u2 exp(s1(v1)) + t1(v1)

These are two one-way couplings with opposite halves, so the log-determinant is the sum of all log-scales and the inverse costs
as much as the map (Ardizzone et al. 2019, arXiv:1808.04730, eq. 7-8).
"""

from __future__ import annotations

from ..core import Chain, Real, Space
from ..networks import MLP
from .coupling import Coupling, Network
from .masks import half_mask
from .scalar import ClampedAffine


def two_way(space: Real, network: Network = MLP, *, clamp: float = 2.0, context: int | Space = 0) -> Chain:
    """Return a two-way affine coupling.

    Args:
        space: Space of x and z, (D,). With D = 1 both couplings map the only coordinate, and a context is needed to vary them.
        network: Function (inputs, outputs, context=length) that returns a network; each half has its own.
        clamp: Upper bound c of the log-scales, which are c (2 / pi) atan(s / c).
        context: Length of the context that all networks see, 0 for none; or its space.
    """
    first, second = (half_mask(space.size, flip=flip) for flip in (True, False))
    return Chain(*(Coupling(ClampedAffine(clamp), space, mask, network, context=context) for mask in (first, second)))
