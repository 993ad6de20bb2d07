"""Latent codes of events: encoding, decoding, interpolation, attributes and resampling.

A multi-scale model has several bases: each `Slice` layer splits off a part of the event, which has a conditional model with its
own base. The code of an event is a list with one tensor for each base, from the finest scale to the coarsest; the last is that
of the last base of the chain. For a bijection, also after dequantisation, decoding a code gives the event back.
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
"""One tensor (N, *shape) for each base, from the finest scale to the coarsest."""


def encode(model: Distribution, x: Tensor, context: Tensor | None = None) -> Codes:
    """Return the codes of events; the codes of a dequantised model depend on the noise that is drawn.

    Args:
        model: Flow.
        x: Events (N, *event).
        context: Context (N, *context) or (*context), or None.

    Raises:
        ShapeError: The events do not have exactly one batch dimension.
    """
    x, context, batch = model._flatten(x, context)
    if len(batch) != 1:
        raise ShapeError(f"expected events with one batch dimension, got batch shape {batch}")
    with evaluating(model):
        return model._take_apart(x, context)


def decode(model: Distribution, codes: Sequence[Tensor | None], context: Tensor | None = None) -> Tensor:
    """Return the events with these codes.

    Args:
        model: Flow.
        codes: Codes from `encode`; None in place of a code that is drawn from its base.
        context: Context (N, *context) or (*context), or None.

    Returns:
        Events (N, *event).

    Raises:
        ShapeError: The number of codes, or the shape of a code, does not fit the model.
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
    """Return new events from codes that are drawn from the bases and multiplied by a temperature T.

    With T < 1 the events are more typical and less diverse. The codes of a standard normal base then follow N(0, T^2). If the
    model preserves volume, the events follow a density proportional to p(x)^(1/T^2) (Kingma and Dhariwal 2018,
    arXiv:1807.03039, section 6).

    Args:
        model: Distribution of any kind.
        count: Number of events.
        context: Context (count, *context) or (*context), or None.
        temperature: Temperature T >= 0.

    Raises:
        SpecError: The temperature is negative or not finite, or it is not 1 and a base is not on the real line.
    """
    if not (temperature >= 0 and math.isfinite(temperature)):
        raise SpecError(f"expected a temperature >= 0, got {temperature}")

    def fresh(base: Distribution, context: Tensor | None) -> Tensor:
        code = base._sample(count, context)[0]
        if temperature == 1:
            return code
        if type(base.space) is not Real:
            raise SpecError(f"expected temperature 1 for a model with a base on {base.space}, got {temperature}")
        return temperature * code

    with evaluating(model):
        return model._put_together(fresh, _rows(model, context, count))


def interpolate(a: Codes, b: Codes, steps: int, *, spherical: bool = True) -> Codes:
    """Return codes on a path from the code of one event to the code of another, with both ends.

    Spherical interpolation: with the codes as vectors u and v, the angle w between them, and t from 0 to 1,

        (sin((1 - t) w) u / |u| + sin(t w) v / |v|) / sin w  times  (1 - t) |u| + t |v|.

    In high dimension, draws from a normal base all have nearly the same length. The spherical path keeps this length, whereas
    the points of a straight line are shorter and untypical (White 2016, arXiv:1609.04468). Linear interpolation,
    (1 - t) u + t v, is used without `spherical`, and where the angle is undefined: if a code is zero or both lie on one line.

    Args:
        a: Codes of one event, (1, *shape) each.
        b: Codes of the other event.
        steps: Number of points on the path, at least 2.
        spherical: Whether to interpolate on the sphere.

    Raises:
        SpecError: There are fewer than 2 steps.
        ShapeError: The codes do not belong to one event each, or belong to different models.
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
    """Return the mean code of events with an attribute minus the mean code of events without it.

    See Kingma and Dhariwal 2018, arXiv:1807.03039, section 6.

    Args:
        codes: Codes of N events.
        labels: Booleans (N,); True for events with the attribute.

    Returns:
        One tensor (1, *shape) for each base.

    Raises:
        SpecError: All events have the attribute, or no event has it.
    """
    labels = labels.bool()
    if bool(labels.all()) or not bool(labels.any()):
        raise SpecError(
            f"expected events with and without the attribute, got {int(labels.sum())} of {len(labels)} with it"
        )
    return [code[labels].mean(0, keepdim=True) - code[~labels].mean(0, keepdim=True) for code in codes]


def shift(codes: Codes, direction: Codes, strength: float) -> Codes:
    """Return the codes plus a multiple of a direction, such as an `attribute`."""
    return [code + strength * part for code, part in zip(codes, direction, strict=True)]


def resample(model: Distribution, x: Tensor, keep: int, context: Tensor | None = None) -> Tensor:
    """Return events with the coarsest codes of x and new draws of all finer codes.

    Args:
        model: Flow with several scales.
        x: Events (N, *event).
        keep: Number of codes to keep, counted from the coarsest; keeping all codes gives x back.
        context: Context of the events, see `encode`.

    Raises:
        SpecError: The model has fewer codes than `keep`, or `keep` is below 1.
    """
    codes = encode(model, x, context)
    if not 1 <= keep <= len(codes):
        raise SpecError(f"expected to keep 1 to {len(codes)} codes of this model, got {keep}")
    return decode(model, [*[None] * (len(codes) - keep), *codes[len(codes) - keep :]], context)


def nearest(x: Tensor, among: Tensor, count: int = 1) -> tuple[Tensor, Tensor]:
    """Return the nearest events to each event of x; the distance is the root of the mean squared difference.

    Args:
        x: Events (N, *event).
        among: Events to search, (M, *event), such as the training events.
        count: Number of neighbours, at most M.

    Returns:
        The numbers (N, count) of the neighbours, nearest first, and their distances (N, count).

    Raises:
        SpecError: The number of neighbours is below 1 or above M.
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
    """Return the context of each event, (count, *context); None for a model without context."""
    context = model._checked_context(context)
    if context is None or model.context is None:
        return None
    return context.expand(count, *model.context.shape)


def _like(flat: Tensor, codes: Codes) -> Codes:
    """Return vectors (n, D) split into tensors of the shapes of some codes."""
    ends = torch.tensor([0, *(t[0].numel() for t in codes)]).cumsum(0).tolist()
    return [
        flat[:, start:end].reshape(-1, *t.shape[1:]).to(t.dtype)
        for t, (start, end) in zip(codes, pairwise(ends), strict=True)
    ]
