"""Random probes of traces."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def signs(shape: Sequence[int], like: Tensor) -> Tensor:
    """Independent random signs (Rademacher), in the type and on the device of another tensor."""
    return torch.randint(0, 2, tuple(shape), device=like.device).to(like.dtype).mul_(2).sub_(1)
