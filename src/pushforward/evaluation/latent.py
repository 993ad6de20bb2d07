"""Latent codes: what events become in a model's bases, and what can be done with them there.

A multi-scale model has several bases: each `Slice` leaves a part of the event to a conditional model of its own, with its own
base. The code of an event is the list of all of them, finest first, the last base of the chain last. For bijections (and
dequantised ones) decoding a code gives the event back.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor

from ..core import Distribution, Real
from ..errors import ShapeError, SpecError
from ..training.evaluate import evaluating

Codes = list[Tensor]
"""One tensor (N, *shape) for each base, finest first."""


def encode(model: Distribution, x: Tensor, context: Tensor | None = None) -> Codes:
    """The codes of events; those of a dequantised model depend on the noise drawn.

    Args:
        model: a flow.
        x: (N, *event).
        context: (N, *context) or (*context), or None.
    """
    x, context, batch = model._flatten(x, context)
    if len(batch) != 1:
        raise ShapeError(f"expected events with one batch dimension, got batch shape {batch}")
    with evaluating(model):
        return model._take_apart(x, context)


def decode(model: Distribution, codes: Sequence[Tensor | None], context: Tensor | None = None) -> Tensor:
    """The events with these codes.

    Args:
        model: a flow.
        codes: Codes that `encode` gives; None for a part that is to be drawn.
        context: (N, *context) or (*context), or None.

    Returns:
        (N, *event).

    Raises:
        ShapeError: the number of codes, or one of their shapes, does not fit.
    """
    left = list(codes)
    given = [code for code in left if code is not None]
    if not given:
        raise ShapeError("expected at least one code to decode, got none; use `draw` for new events")
    count = len(given[0])

    def next_code(base: Distribution, context: Tensor | None) -> Tensor:
        if not left:
            raise ShapeError(f"expected a code for each base of the model, got {len(codes)}, fewer than it has")
        code = left.pop()
        if code is None:
            return base._sample(count, context)[0]
        if tuple(code.shape) != (count, *base.space.shape):
            raise ShapeError(f"expected a code of shape {(count, *base.space.shape)}, got {tuple(code.shape)}")
        return code

    with evaluating(model):
        x = model._put_together(next_code, _rows(model, context, count))
    if left:
        raise ShapeError(f"expected a code for each base of the model, got {len(codes)}, more than it has")
    return x


def draw(model: Distribution, count: int, context: Tensor | None = None, *, temperature: float = 1.0) -> Tensor:
    """New events, from codes drawn from the bases and multiplied by a temperature.

    Below 1 they are more typical and less diverse. For a standard normal base that is N(0, T^2), and samples of p^(1/T^2) up
    to a constant if the model preserves volume (Kingma and Dhariwal 2018, arXiv:1807.03039, section 6).

    Args:
        model: any distribution.
        count: Number of events.
        context: (count, *context) or (*context), or None.
        temperature: T >= 0.

    Raises:
        SpecError: a temperature other than 1 for a base that is not on the real line.
    """
    if not (temperature >= 0 and math.isfinite(temperature)):
        raise SpecError(f"expected a temperature >= 0, got {temperature}")

    def fresh(base: Distribution, context: Tensor | None) -> Tensor:
        code = base._sample(count, context)[0]
        if temperature == 1:
            return code
        if type(base.space) is not Real:
            raise SpecError(f"expected temperature 1 for a model whose base lives in {base.space}, got {temperature}")
        return temperature * code

    with evaluating(model):
        return model._put_together(fresh, _rows(model, context, count))


def interpolate(a: Codes, b: Codes, steps: int, *, spherical: bool = True) -> Codes:
    """Codes on the way from one event's to another's, both ends included.

    Spherical: with u, v the codes as vectors of length |u|, |v| and the angle w between them,

        (sin((1 - t) w) u / |u| + sin(t w) v / |v|) / sin w  times  (1 - t) |u| + t |v|,

    which keeps the length that draws of a normal have; linear otherwise, (1 - t) u + t v, and where a code is zero or the two
    point the same or opposite ways (White 2016, arXiv:1609.04468).

    Args:
        a: the codes of one event, (1, *shape) each.
        b: Codes of the other event.
        steps: Number of steps, at least 2.
        spherical: whether on the sphere.

    Raises:
        SpecError: fewer than 2 steps.
        ShapeError: other than one event, or codes of different models.
    """
    if steps < 2:
        raise SpecError(f"expected at least 2 steps, got {steps}")
    if [t.shape for t in a] != [t.shape for t in b] or any(len(t) != 1 for t in a):
        raise ShapeError("expected the codes of one event each, of the same model")
    u, v = (torch.cat([t.flatten() for t in codes]).double() for codes in (a, b))
    t = torch.linspace(0, 1, steps, dtype=u.dtype, device=u.device)[:, None]
    path = (1 - t) * u + t * v
    if spherical:
        length, other = u.norm(), v.norm()
        cosine = (u @ v / (length * other).clamp_min(torch.finfo(u.dtype).tiny)).clamp(-1, 1)
        angle = cosine.arccos()
        if float(angle.sin()) > 1e-6 and min(float(length), float(other)) > 0:
            direction = ((1 - t) * angle).sin() * u / length + (t * angle).sin() * v / other
            path = direction / angle.sin() * ((1 - t) * length + t * other)
    return _like(path, a)


def attribute(codes: Codes, labels: Tensor) -> Codes:
    """The mean code of events with a label minus that of those without (Kingma and Dhariwal 2018, arXiv:1807.03039, section 6).

    Args:
        codes: Codes of N events.
        labels: (N,) booleans.

    Returns:
        One tensor (1, *shape) for each base.

    Raises:
        SpecError: all events have the label, or none.
    """
    labels = labels.bool()
    if bool(labels.all()) or not bool(labels.any()):
        raise SpecError(
            f"expected events with and without the attribute, got {int(labels.sum())} of {len(labels)} with it"
        )
    return [code[labels].mean(0, keepdim=True) - code[~labels].mean(0, keepdim=True) for code in codes]


def shift(codes: Codes, direction: Codes, strength: float) -> Codes:
    """The codes plus a multiple of a direction, such as an `attribute`."""
    return [code + strength * part for code, part in zip(codes, direction, strict=True)]


def resample(model: Distribution, x: Tensor, keep: int, context: Tensor | None = None) -> Tensor:
    """Events that share the coarsest codes of x, with everything finer drawn anew.

    Args:
        model: a flow of several scales.
        x: (N, *event).
        keep: Number of codes to keep, from the coarsest; all of them give x back.
        context: Context of the events, see `encode`.

    Raises:
        SpecError: there are not so many codes.
    """
    codes = encode(model, x, context)
    if not 1 <= keep <= len(codes):
        raise SpecError(f"expected to keep 1 to {len(codes)} codes of this model, got {keep}")
    return decode(model, [*[None] * (len(codes) - keep), *codes[len(codes) - keep :]], context)


def nearest(x: Tensor, among: Tensor, count: int = 1) -> tuple[Tensor, Tensor]:
    """The events closest to each of x, by the root of the mean squared difference.

    Args:
        x: (N, *event).
        among: (M, *event), such as the training events.
        count: Number of neighbours, at most M.

    Returns:
        their numbers (N, count), closest first, and distances (N, count).
    """
    if not 1 <= count <= len(among):
        raise SpecError(f"expected 1 to {len(among)} neighbours, got {count}")
    flat, others = x.flatten(1).double(), among.flatten(1)
    best: list[tuple[Tensor, Tensor]] = []
    for chunk in flat.split(64):
        distance = torch.cat([torch.cdist(chunk, part.double()) for part in others.split(4096)], 1)
        found = distance.topk(count, 1, largest=False)
        best.append((found.indices, found.values / math.sqrt(max(1, flat.shape[1]))))
    return torch.cat([i for i, _ in best]), torch.cat([d for _, d in best])


def _rows(model: Distribution, context: Tensor | None, count: int) -> Tensor | None:
    """A context for each event."""
    context = model._checked_context(context)
    if context is None or model.context is None:
        return None
    return context.expand(count, *model.context.shape)


def _like(flat: Tensor, codes: Codes) -> Codes:
    """Vectors (n, D) taken apart as some codes are."""
    ends = torch.tensor([0, *(t[0].numel() for t in codes)]).cumsum(0).tolist()
    return [
        flat[:, start:end].reshape(-1, *t.shape[1:]).to(t.dtype)
        for t, (start, end) in zip(codes, pairwise(ends), strict=True)
    ]
