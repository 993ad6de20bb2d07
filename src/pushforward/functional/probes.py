"""Random probes for the estimation of traces."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def signs(shape: Sequence[int], like: Tensor) -> Tensor:
    """Return independent random signs (Rademacher), with the dtype and device of another tensor."""
    return torch.randint(0, 2, tuple(shape), device=like.device).to(like.dtype).mul_(2).sub_(1)
