"""Continuation of clips: further frames, drawn one after the other, after those that are given."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ..core import Distribution
from ..errors import ShapeError, SpecError
from ..systems.clip_spec import ClipSpec, of_length
from .latent import decode, encode


def continue_clips(
    model: Distribution, frames: int, given: Tensor | None = None, *, count: int = 1, temperature: float = 1.0
) -> Tensor:
    """Return clips whose first frames are given and whose further frames are drawn.

    Codes of a frame do not depend on later frames. So the codes of the given frames are kept, those of further frames are
    drawn and multiplied by the temperature T, and all are decoded together: z_t = mu_t + T sigma_t e_t.

    Args:
        model: Model of a system of clips.
        frames: Number of frames that are drawn, after the given ones.
        given: First frames (N, g, C, H, W), whole numbers; None for none.
        count: Number of clips where no frames are given; otherwise there are N.
        temperature: Temperature T >= 0 of the frames that are drawn.

    Returns:
        Clips (N, g + frames, C, H, W), whose first frames are those given.

    Raises:
        SpecError: The model is another one, a number is out of range, or the temperature is negative or not finite.
        ShapeError: The given frames have another size than those of the model.
    """
    spec = model.spec
    if not isinstance(spec, ClipSpec):
        raise SpecError("expected a model of clips, such as one of the system videoflow, got another one")
    if frames < 1 or count < 1:
        raise SpecError(f"expected at least one frame to draw and one clip, got {frames} and {count}")
    if not (temperature >= 0 and math.isfinite(temperature)):
        raise SpecError(f"expected a temperature >= 0, got {temperature}")
    if given is not None and (given.dim() != 5 or tuple(given.shape[2:]) != spec.shape or not given.shape[1]):
        raise ShapeError(f"expected given frames (N, g, {', '.join(map(str, spec.shape))}), got {tuple(given.shape)}")
    first = 0 if given is None else given.shape[1]
    rows = count if given is None else len(given)
    longer = of_length(model, first + frames)
    with torch.no_grad():
        # Codes of a scale are (N, C, T, H, W); those of an event of noise have the right shapes for any length.
        codes = encode(longer, torch.zeros(rows, *longer.space.shape, dtype=model.dtype, device=model.device))
        codes = [temperature * torch.randn_like(code) for code in codes]
        if given is not None:
            known = encode(of_length(model, first), given.to(model.dtype))
            codes = [torch.cat([a, b[:, :, first:]], 2) for a, b in zip(known, codes, strict=True)]
        clips = decode(longer, codes)
    return clips if given is None else torch.cat([given.to(clips), clips[:, first:]], 1)
