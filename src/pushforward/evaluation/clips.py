"""Continuation and scores of clips: further frames after those that are given, and log-likelihoods."""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor

from ..core import Distribution
from ..errors import ShapeError, SpecError
from ..systems.clip_spec import ClipSpec, LaterFrames, of_length
from ..training.evaluate import evaluating
from ..training.random_state import isolated
from .latent import decode, encode
from .scores import Bits, bits_from, log_likelihoods


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
    spec = _spec(model)
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


def clip_log_likelihoods(
    model: Distribution, x: Tensor, *, samples: int = 1, seed: int = 0, batch_size: int = 64
) -> Tensor:
    """Return the log-likelihood of every clip; of the frames after the given ones, if the model has such.

    Args:
        model: Model of a system of clips.
        x: Clips (N, T, C, H, W).
        samples: Number of draws whose exp(log_prob) is averaged for each clip.
        seed: Seed of the draws; the random state of torch is restored afterwards.
        batch_size: Number of clips that are computed together.

    Returns:
        Log-likelihoods (N,) in nats, float64, on the CPU.

    Raises:
        SpecError: The model is another one.
    """
    given = _spec(model).given
    if not given:
        return log_likelihoods(model, x, samples=samples, seed=seed, batch_size=batch_size)
    scorer = LaterFrames(model, given)
    draws = []
    with isolated(model.device, seed), evaluating(scorer):
        for _ in range(samples):
            pieces = x.to(model.device, model.dtype).split(batch_size)
            draws.append(torch.cat([scorer(piece) for piece in pieces]).double().cpu())
    return torch.stack(draws).logsumexp(0) - math.log(samples)


def clip_bits(model: Distribution, log_prob: Tensor, samples: int = 1) -> Bits:
    """Return the bits per dimension of log-likelihoods from `clip_log_likelihoods`: for each number of the scored frames.

    Raises:
        SpecError: The model is not one of clips.
    """
    spec, bits = _spec(model), bits_from(model, log_prob, samples)
    share = spec.frames / (spec.frames - spec.given)
    return replace(bits, value=bits.value * share, error=bits.error * share)


def _spec(model: Distribution) -> ClipSpec:
    if not isinstance(model.spec, ClipSpec):
        raise SpecError("expected a model of clips, such as one of the system videoflow, got another one")
    return model.spec
