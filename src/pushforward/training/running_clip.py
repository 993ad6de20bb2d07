"""Clipping of gradients relative to their running mean, for losses of unknown scale, with a limit on bad steps."""

from __future__ import annotations

import math

from ..errors import TrainingError

SHARE = 0.02
"""Weight of a new norm in the running mean."""


class RunningClip:
    """Gradient clipping at a multiple of the running mean of earlier norms.

    Args:
        factor: The multiple.
        limit: Number of steps in a row without a finite gradient at which training ends.

    Attributes:
        mean: Running mean of the clipped norms; 0 before the first step.
    """

    def __init__(self, factor: float, limit: int = 10) -> None:
        self.factor, self.limit = factor, limit
        self.mean, self.bad = 0.0, 0

    @property
    def largest(self) -> float:
        """Largest norm of the next gradient; infinite for the first one."""
        return self.factor * self.mean if self.mean else math.inf

    def accepts(self, norm: float) -> bool:
        """Record the norm of a gradient before clipping, and return whether to take the step.

        Raises:
            TrainingError: The gradient was not finite for too many steps in a row.
        """
        if math.isfinite(norm):
            self.mean = (1 - SHARE) * self.mean + SHARE * min(norm, self.largest) if self.mean else norm
            self.bad = 0
            return True
        self.bad += 1
        if self.bad >= self.limit:
            raise TrainingError(
                f"the gradient was not finite for {self.limit} steps in a row; lower lr, or look at log_density"
            )
        return False
