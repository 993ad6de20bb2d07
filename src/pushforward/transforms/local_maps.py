"""Chain of elementary local maps that is grown from data by ascent of the likelihood (Tabak and Turner 2013).

Each step standardises the coordinates, and then moves the points near one centre y_0 towards it or away from it:

    y = (x - m) / s,    z = y + b h(|y - y_0| / a) (y - y_0)

in the direction of a normal distribution (`functional.radial_profiles` has the profile h). Along random axes the same map moves
the projection of y on a unit vector w, and nothing else.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..core import Real, Transform
from ..functional.bounds import positive, softplus_inverse
from ..functional.radial_profiles import local_root, profile
from .planar_layers import vectors

Form = Literal["rational", "erf", "axis"]
"""Kind of map: radial with one of two profiles, or rational along a random axis."""
FLOOR = 1e-3
"""Smallest value of 1 + b."""
WIDEST = 8.0
"""Largest width a of a map that the growth makes, in deviations."""
OCTAVES = 4
"""Number of halvings of the share of rows in the ball of a map."""


class LocalMaps(Transform):
    """Chain of M local maps, each behind a standardisation; `initialise` grows it from the data.

    Each step draws some centres, rows of the data or normal numbers, and a width for each: the radius of the ball around it
    that holds a share of the rows, if these are normal. One Newton step gives the strength, since the likelihood is concave in
    it. The candidate with the largest gain stays. The likelihood of the batch never falls from one map to the next.

    Args:
        space: Space of x and z, of shape (D,).
        maps: Number M of maps.
        form: "rational" or "erf" for radial maps with these profiles, "axis" for rational maps along random axes.
        share: Largest share of the rows in the ball of a map; each candidate has it or a half, a quarter, ... of it.
        candidates: Number of candidates for each map.
        most: Largest |b| of a map.
        trained: Whether training changes the maps after the start.

    Raises:
        SpecError: Events are not vectors.
    """

    standardises = False
    start_rows = 20_000
    started: Tensor
    curve: Tensor

    def __init__(
        self,
        space: Real,
        maps: int,
        *,
        form: Form = "rational",
        share: float = 0.2,
        candidates: int = 8,
        most: float = 0.5,
        trained: bool = False,
    ) -> None:
        super().__init__()
        size = vectors(space)
        self.x_space = self.z_space = space
        self.form, self.share, self.candidates, self.most = form, share, candidates, most
        self.profile = "erf" if form == "erf" else "rational"
        self.centre = nn.Parameter(torch.randn(maps, size))
        self.axis = nn.Parameter(F.normalize(torch.randn(maps, size), dim=1)) if form == "axis" else None
        self.log_width, self.strength = nn.Parameter(torch.zeros(maps)), nn.Parameter(torch.zeros(maps))
        self.shift, self.log_scale = nn.Parameter(torch.zeros(maps, size)), nn.Parameter(torch.zeros(maps, size))
        for p in self.parameters():
            p.requires_grad_(trained)
        self.register_buffer("started", torch.zeros(1, dtype=torch.bool))
        self.register_buffer("curve", torch.zeros(maps))

    def _map(self, i: int) -> tuple[Tensor, Tensor, Tensor | None]:
        """Return the width a, the strength b and the unit vector w of a map."""
        axis = None if self.axis is None else F.normalize(self.axis[i], dim=0)
        return self.log_width[i].exp(), positive(self.strength[i], FLOOR) - 1, axis

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return z and dlogp: (B, D) -> (B, D), (B,) in nats."""
        dlogp = self._nothing(x) - self.log_scale.sum()
        for i in range(len(self.strength)):
            y = (x - self.shift[i]) * (-self.log_scale[i]).exp()
            a, b, axis = self._map(i)
            away = _along(y - self.centre[i], axis)
            h, g = profile(torch.linalg.vector_norm(away, dim=-1) / a, self.profile)  # type: ignore[arg-type]
            x = y + (b * h).unsqueeze(-1) * away
            dlogp = dlogp + self._log_slopes(b, h, g)
        return x, dlogp

    def inverse(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return x and dlogp, from one root for each map: (B, D) -> (B, D), (B,) in nats."""
        dlogp = self._nothing(z) + self.log_scale.sum()
        for i in reversed(range(len(self.strength))):
            a, b, axis = self._map(i)
            moved = _along(z - self.centre[i], axis)
            s = local_root(torch.linalg.vector_norm(moved, dim=-1) / a, b, self.profile)  # type: ignore[arg-type]
            h, g = profile(s, self.profile)  # type: ignore[arg-type]
            y = z - (b * h / (1 + b * h)).unsqueeze(-1) * moved
            z = y * self.log_scale[i].exp() + self.shift[i]
            dlogp = dlogp - self._log_slopes(b, h, g)
        return z, dlogp

    def _log_slopes(self, b: Tensor, h: Tensor, g: Tensor) -> Tensor:
        across = 0 if self.axis is not None else self.x_space.size - 1
        return across * torch.log1p(b * h) + torch.log1p(b * g)

    @torch.no_grad()
    def init_from(self, x: Tensor, context: Tensor | None = None) -> None:
        """Grow all maps from the batch, unless already started, and keep the mean log-likelihood after each map in `curve`."""
        if bool(self.started):
            return
        x = x[: self.start_rows].double()
        volume = x.new_zeros(())
        for i in range(len(self.strength)):
            shift, scale = x.mean(0), x.std(0, unbiased=False).clamp_min(1e-9)
            y = (x - shift) / scale
            volume = volume - scale.log().sum()
            centre, axis, width, b, dlogp, x = self._grown(y)
            volume = volume + dlogp
            normal = -0.5 * (x.square().sum(1).mean() + x.shape[1] * math.log(2 * math.pi))
            self.shift[i], self.log_scale[i], self.centre[i] = shift, scale.log(), centre
            self.log_width[i] = width.log()
            # The inverse of `positive(., FLOOR)`.
            self.strength[i] = softplus_inverse(1 + b - FLOOR)[0] - math.log(math.expm1(1 - FLOOR))
            if self.axis is not None and axis is not None:
                self.axis[i] = axis
            self.curve[i] = normal + volume
        self.started.fill_(value=True)

    def _grown(self, y: Tensor) -> tuple[Tensor, Tensor | None, Tensor, Tensor, Tensor, Tensor]:
        """Return the centre, axis, width and strength of the best candidate, its mean log-determinant, and the moved rows."""
        n, d = y.shape
        count = self.candidates
        rows = y[torch.randint(n, (count,), device=y.device)]
        centres = torch.where(torch.rand(count, 1, device=y.device) < 0.5, rows, torch.randn_like(rows))
        axes = None if self.axis is None else F.normalize(torch.randn_like(rows), dim=1)
        dimension = d if axes is None else 1
        places = centres if axes is None else (centres * axes).sum(1, keepdim=True)
        shares = self.share * 0.5 ** torch.randint(OCTAVES, (count,), device=y.device)
        # A share of normal rows is in a ball of volume V a^D around y_0, if V a^D (2 pi)^(-D/2) exp(-|y_0|^2 / 2) is this
        # share.
        ball = math.pi ** (dimension / 2) / math.gamma(dimension / 2 + 1)
        widths = math.sqrt(2 * math.pi) * (shares / ball) ** (1 / dimension)
        widths = (widths * (places.square().sum(1) / (2 * dimension)).exp()).clamp_max(WIDEST)
        if axes is None:
            square, distance = y.square().sum(1, keepdim=True), torch.cdist(y, centres)
            towards = square - y @ centres.mT
        else:
            along = y @ axes.mT
            distance, towards = (along - places[:, 0]).abs(), along * (along - places[:, 0])
        h, g = profile(distance / widths, self.profile)  # type: ignore[arg-type]
        # First and second derivative, at b = 0, of the mean of -|y + b h (y - y_0)|^2 / 2 + log det.
        slope = (-h * towards + (dimension - 1) * h + g).mean(0)
        curvature = (h.square() * (distance.square() + dimension - 1) + g.square()).mean(0)
        b = (slope / curvature).clamp(-self.most, self.most)
        gain = self._gain(b, h, g, distance, towards)
        for _ in range(3):
            # The likelihood is concave in b, so a shorter step in the same direction is never worse than none for ever.
            b = torch.where(gain > 0, b, b / 2)
            gain = self._gain(b, h, g, distance, towards)
        b = torch.where(gain > 0, b, 0.0)
        best = int(gain.argmax())
        axis = None if axes is None else axes[best]
        away = _along(y - centres[best], axis)
        moved = y + (b[best] * h[:, best])[:, None] * away
        return (
            centres[best],
            axis,
            widths[best],
            b[best],
            self._log_slopes(b[best], h[:, best], g[:, best]).mean(),
            moved,
        )

    def _gain(self, b: Tensor, h: Tensor, g: Tensor, distance: Tensor, towards: Tensor) -> Tensor:
        """Return the gain in mean log-likelihood of each candidate, (C,)."""
        push = b * h
        return (self._log_slopes(b, h, g) - push * towards - 0.5 * push.square() * distance.square()).mean(0)


def _along(v: Tensor, axis: Tensor | None) -> Tensor:
    """Return the part of the vectors along a unit vector, or all of them without one."""
    return v if axis is None else (v @ axis).unsqueeze(-1) * axis
