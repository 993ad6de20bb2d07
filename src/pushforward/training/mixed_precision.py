"""Mixed precision in training: the precision of the networks, chosen by `autocast`, and the loss scale for float16."""

from __future__ import annotations

import logging

import torch
from torch import Tensor, nn

from ..errors import SpecError
from ..networks.network import networks_in
from .config import TrainConfig
from .data import placement

logger = logging.getLogger("pushforward.training")

DTYPES = {"off": None, "bf16": torch.bfloat16, "fp16": torch.float16}
START = 2.0**12
"""First loss scale: gradients up to 16 then fit in float16, and those above 1e-11 do not vanish."""
GROWTH_STEPS = 2_000
"""Number of steps without an overflow after which the loss scale is doubled."""


def autocast_dtype(config: TrainConfig, model: nn.Module) -> torch.dtype | None:
    """Return the precision of matrix products in networks while training; None for that of the weights.

    Raises:
        SpecError: The model is not in float32, or its device does not support that precision.
    """
    dtype = DTYPES[config.autocast]
    if dtype is None:
        return None
    networks = networks_in(model)
    for network in networks:
        for parameter in network.parameters():
            if parameter.dtype != torch.float32:
                raise SpecError(
                    f"expected a model in float32 for autocast={config.autocast!r}, got one in "
                    f"{str(parameter.dtype).removeprefix('torch.')}; use model.float() or autocast='off'"
                )
    device, _ = placement(model)
    if device.type == "cuda" and dtype == torch.bfloat16 and not torch.cuda.is_bf16_supported():
        raise SpecError("expected a GPU that computes in bfloat16 for autocast='bf16', got one without; use 'fp16'")
    if not networks:
        logger.warning("autocast=%r changes nothing: the model has no network that it could act on", config.autocast)
    return dtype


class LossScale:
    """Loss scale: a factor on the loss that keeps small gradients from vanishing in float16, and is then divided out.

    If a gradient overflows, the scale is halved and the step is skipped; after many good steps the scale is doubled
    (Micikevicius et al. 2018, arXiv:1710.03740, section 3.2). At scale 1 an overflow comes from the model itself. All
    numbers stay on the device. torch's GradScaler cannot be used here: it skips steps with the optimiser flag
    `found_inf`, which the training loop already uses for losses that are not finite.

    Args:
        device: Device that the loss is on.
    """

    def __init__(self, device: torch.device) -> None:
        self.value = torch.tensor(START, device=device)
        self.good = torch.zeros((), device=device)
        self.overflow = torch.zeros((), dtype=torch.bool, device=device)

    def scaled(self, loss: Tensor) -> Tensor:
        """Return the scaled loss, which is to be differentiated."""
        return loss * self.value

    @torch.no_grad()
    def unscale(self, gradients: list[Tensor]) -> None:
        """Divide gradients by the scale, in place."""
        torch._foreach_mul_(gradients, 1 / self.value)

    @torch.no_grad()
    def judge(self, loss: Tensor, norm: Tensor) -> Tensor:
        """Set `overflow`, and the scale for the next step.

        Args:
            loss: Loss of the step, not scaled.
            norm: Norm of its unscaled gradient.

        Returns:
            The norm, or 0 if the gradient overflowed only because of the scale.
        """
        self.overflow = loss.isfinite() & ~norm.isfinite() & (self.value > 1)
        self.good = torch.where(self.overflow, 0, self.good + 1)
        grown = self.good >= GROWTH_STEPS
        self.good = torch.where(grown, 0, self.good)
        factor = torch.where(self.overflow, 0.5, torch.where(grown, 2.0, 1.0))
        self.value = self.value * factor
        return torch.where(self.overflow, 0, norm)

    def state(self) -> dict[str, Tensor]:
        """Return the values that a checkpoint keeps."""
        return {"value": self.value, "good": self.good}

    def load(self, state: dict[str, Tensor]) -> None:
        """Set the values returned by `state`."""
        self.value, self.good = state["value"].to(self.value.device), state["good"].to(self.good.device)
