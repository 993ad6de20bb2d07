"""Distance between rows and their reconstructions, for models whose decoder inverts an encoder only approximately."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from ..core import Distribution
from ..training.evaluate import evaluating
from ..training.random_state import isolated
from ..transforms.free_form_layer import EncoderDecoder

ROWS = 2048
"""Largest number of rows that are checked."""


@dataclass(frozen=True)
class ReconstructionCheck:
    """Distance between rows and their reconstructions g(f(x)).

    Args:
        error: Root of the mean squared distance of a coordinate, in standard deviations.
    """

    error: float

    @property
    def sentence(self) -> str:
        """The check as one sentence."""
        return f"reconstructions miss the rows by {self.error:.2g} standard deviations per column (root mean square)"


@torch.no_grad()
def check_reconstruction(model: Distribution, x: Any) -> ReconstructionCheck | None:
    """Return the error of the reconstruction of some rows.

    Args:
        model: Distribution without a context.
        x: Events (N, *space.shape); the first `ROWS` are used.

    Returns:
        The error; None for a model without an encoder and a decoder of this kind.
    """
    layer = next((m for m in model.modules() if isinstance(m, EncoderDecoder)), None)
    if layer is None:
        return None
    with evaluating(model), isolated(model.device, 0):
        _, penalties = model.log_prob_aux(torch.as_tensor(x[:ROWS]).to(model.device))
    if "reconstruction" not in penalties:
        return None
    return ReconstructionCheck(float((penalties["reconstruction"].mean() / layer.x_space.size).sqrt()))
