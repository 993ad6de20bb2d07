"""Layers that map the numeric columns of a table from raw units to the space of a flow, and back.

All layers before the last compute in float64. A column such as 1.7e9 +- 1e4 would lose its digits in float32. NaN stands for a
missing value. It passes through the layers unchanged and adds nothing to dlogp, until `FillMissing` replaces it. The layers
are, in this order:

    DequantiseColumns     y = x - low + u, u ~ U[0, 1):    dlogp = 0 since q(u) = 1; inverse: x = floor(y) + low
    CurveColumns angle:         z = 2 pi (x - low) / p,    log dz/dx = log(2 pi / p) with the period p
                 latitude:      z = sin a,                 log dz/dx = log cos a + log(pi / (high - low))
                                with a = pi (x - low) / (high - low) - pi / 2
    Unbound      low < x < high: z = log v - log w,        log dz/dx = -log v - log w - log(high - low)
                                 with v = (x - low) / (high - low) and w = 1 - v
                 low < x:        z = log(x - low),         log dz/dx = -z
                 x < high:       z = -log(high - x),       log dz/dx = z
    StandardiseColumns    z = (x - m) / s:                 dlogp = -log s
    FillMissing  z = e ~ N(0, 1) if x is missing:          dlogp = -log N(e; 0, 1); inverse: NaN where the context has bit 0;
                 for angles and heights, e is uniform instead
    Cast         float64 to the dtype of the model:        dlogp = 0

Bounds are removed by logarithms and not by softplus: a change of the units of a column then only shifts z, whereas softplus
depends on the units.

Why dequantisation gives a lower bound: for a whole number x, P(x) = int_0^1 p(x + u) du >= exp E_u[log p(x + u)] by Jensen's
inequality (Theis et al. 2016, arXiv:1511.01844, eq. 3-5). Why a fill gives a lower bound: e is a variable that the data do not
have, so p(x) = int p(x, e) de = E_q[p(x, e) / q(e)] for draws e from q, and Jensen's inequality bounds its logarithm again
(Huang et al. 2020, arXiv:2002.07101; Nielsen et al. 2020, arXiv:2007.02731, table 1).
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from ..core import Exactness, Real, Space, Sphere, Transform
from ..errors import DataError
from ..functional.hand_gradients import eager
from .curved_layers import CurveColumns, constant_rows, space_of_axes
from .row_space import Column, TableSpace


class DequantiseColumns(Transform):
    """Dequantisation of integer columns: y = x - low + u with u ~ U[0, 1). Other columns are unchanged.

    Args:
        columns: Numeric columns.
    """

    own = Exactness.NOISY | Exactness.LOWER

    def __init__(self, columns: Sequence[Column]) -> None:
        super().__init__()
        self.x_space = TableSpace(columns)
        self.z_space = TableSpace([interval(column) for column in columns])
        self.at = [i for i, column in enumerate(columns) if column.kind == "integer"]
        self.limits = [column.support for column in columns if column.kind == "integer"]

    def _index_and_limits(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        limits = torch.tensor(self.limits, dtype=x.dtype, device=x.device)
        return torch.tensor(self.at, device=x.device), limits[:, 0], limits[:, 1]

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return x - low + u, and 0."""
        at, low, _ = self._index_and_limits(x)
        whole = x[:, at] - low
        # A whole number k becomes a uniform draw from [k, k + 1). The log-density of the draw is, by Jensen's inequality, on
        # average at most log P(k), so it is a lower bound. The draw has density 1 on its cell, so the contribution is 0.
        return x.index_copy(1, at, whole + torch.rand_like(whole)), x.new_zeros(x.shape[0])

    def inverse(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return floor(y) + low, and 0."""
        at, low, high = self._index_and_limits(z)
        whole = torch.minimum(z[:, at].floor().clamp_min(0), high - low)
        return z.index_copy(1, at, whole + low), z.new_zeros(z.shape[0])


class Unbound(Transform):
    """Map of bounded columns to the whole line, by a logit or a logarithm. Other columns are unchanged.

    Args:
        columns: Continuous columns.
    """

    def __init__(self, columns: Sequence[Column]) -> None:
        super().__init__()
        self.x_space = TableSpace(columns)
        self.z_space = TableSpace(
            [dataclasses.replace(c, low=None, high=None, edge=0.0) if c.axis == "number" else c for c in columns]
        )
        self.groups: list[tuple[_Map, _Map, list[int], list[tuple[float, float, float]]]] = []
        for forward, inverse, bounded_below, bounded_above in (
            (_logit, _logit_inverse, True, True),
            (_log_above, _log_above_inverse, True, False),
            (_log_below, _log_below_inverse, False, True),
        ):
            wanted = (bounded_below, bounded_above)
            at = [
                i
                for i, c in enumerate(columns)
                if c.axis == "number" and (c.low is not None, c.high is not None) == wanted
            ]
            if at:
                constants = [(*columns[i].support, columns[i].edge) for i in at]
                self.groups.append((forward, inverse, at, constants))

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return the logits or logarithms of the distances to the bounds, and the sum of the log-slopes."""
        z, log_slopes = self.images(x)
        return z, log_slopes.nansum(1)

    def images(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the images of all entries and the log-slopes of the map there, each (B, C); NaN for missing values."""
        z, log_slopes = x, torch.zeros_like(x)
        for forward, _, at, constants in self.groups:
            index = torch.tensor(at, device=x.device)
            # A value exactly on a bound would have an infinite image; the map first moves it inside by `edge`.
            image, log_slope = forward(x[:, index], *constant_rows(constants, x))
            z, log_slopes = z.index_copy(1, index, image), log_slopes.index_copy(1, index, log_slope)
        return z, log_slopes

    def inverse(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return values strictly inside the bounds, and minus the sum of the log-slopes."""
        x, dlogp = z, z.new_zeros(z.shape[0])
        for _, inverse, at, constants in self.groups:
            index = torch.tensor(at, device=z.device)
            low, high, edge = constant_rows(constants, z)
            image, log_slope = inverse(z[:, index], low, high, edge)
            # Rounding can give the bound itself, whose image is infinite. The value is moved to the next number inside.
            image = torch.maximum(image, low.nextafter(high)).minimum(high.nextafter(low))
            x, dlogp = x.index_copy(1, index, image), dlogp - log_slope.nansum(1)
        return x, dlogp


class StandardiseColumns(Transform):
    """Standardisation z = (x - loc) / scale with constants of the columns, which stay float64 if the model changes its dtype.

    Args:
        columns: Continuous columns without bounds.
    """

    def __init__(self, columns: Sequence[Column]) -> None:
        super().__init__()
        self.x_space = TableSpace(columns)
        self.z_space = TableSpace([dataclasses.replace(column, loc=0.0, scale=1.0) for column in columns])
        self.constants = [(c.loc, c.scale) if c.axis == "number" else (0.0, 1.0) for c in columns]

    def _loc_scale_and_slope(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        loc, scale = constant_rows(self.constants, x)
        return loc, scale, torch.where(x.isnan(), 0.0, -scale.log()).sum(1)

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return (x - loc) / scale, and -sum log scale over the values that are not missing."""
        loc, scale, log_slope = self._loc_scale_and_slope(x)
        return (x - loc) / scale, log_slope

    def inverse(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return z scale + loc, and sum log scale over the values that are not missing."""
        loc, scale, log_slope = self._loc_scale_and_slope(z)
        return z * scale + loc, -log_slope


class FillMissing(Transform):
    """Fill of the entries without an ordinary number, which are missing or spikes, by draws.

    The draws are standard normal for numbers, and uniform for angles in [0, 2 pi) and heights in [-1, 1].

    The inverse reads in the context which entries these are, and sets them to NaN.

    Args:
        columns: Continuous, unbounded, standardised columns.
        context: Length of the context.
        bits: Index in the context, for each column, of the bit that is 1 for an ordinary number and 0 for a missing value or a
            spike; -1 for a column without such a bit.
    """

    own = Exactness.NOISY | Exactness.LOWER

    def __init__(self, columns: Sequence[Column], context: int, bits: Sequence[int]) -> None:
        super().__init__()
        self.x_space = TableSpace(columns)
        self.z_space = TableSpace([dataclasses.replace(column, missing=False) for column in columns])
        self.context = Real((context,))
        self.at = [i for i, bit in enumerate(bits) if bit >= 0]
        self.bits = [bit for bit in bits if bit >= 0]
        self.limits = [(0.0, 0.0) if c.axis == "number" else c.support for c in columns]

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return x with draws e for NaN, and -sum log N(e)."""
        # The flow needs a number everywhere. The draw e has density q(e), which the model must explain beside the others, so
        # its log is subtracted: log p(x, e) - log q(e) is on average a lower bound of log p(x).
        missing, draws = x.isnan(), torch.randn_like(x)
        low, high = constant_rows(self.limits, x)
        if any(low < high for low, high in self.limits):
            draws = torch.where(high > low, low + (high - low) * torch.rand_like(x), draws)
        return torch.where(missing, draws, x), -self._log_noise(draws, missing)

    def inverse(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return z with NaN for the entries whose bits are zero, and the sum of log N(z) over these entries."""
        given = context[:, torch.tensor(self.bits, device=z.device)] < 0.5  # type: ignore[index]
        missing = torch.zeros_like(z, dtype=torch.bool).index_copy(1, torch.tensor(self.at, device=z.device), given)
        return z.masked_fill(missing, math.nan), self._log_noise(z, missing)

    def _log_noise(self, z: Tensor, where: Tensor) -> Tensor:
        """Return the log-density of the draws z (B, F) in some places: (B,)."""
        low, high = constant_rows(self.limits, z)
        normal = -0.5 * (z.square() + math.log(2 * math.pi))
        log_q = torch.where(high > low, -(high - low).clamp_min(1e-300).log(), normal)
        return torch.where(where, log_q, 0.0).sum(1)


class Cast(Transform):
    """Conversion from float64 to the dtype of the model, and back.

    Args:
        columns: Columns after all layers before this one.
    """

    anchor: Tensor

    def __init__(self, columns: Sequence[Column]) -> None:
        super().__init__()
        self.x_space, self.z_space = TableSpace(columns), space_of_axes(columns)
        self.register_buffer("anchor", torch.zeros(1), persistent=False)

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return x in the dtype of the model, and 0."""
        # An angle just below a full turn can round to the full turn, which is the angle 0.
        return self.z_space.nearest(x.to(self.anchor.dtype)), x.new_zeros(x.shape[0])

    def inverse(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return z in float64, and 0."""
        return z.double(), z.new_zeros(z.shape[0], dtype=torch.float64)


class OnSurface(Transform):
    """Map of rows in float64 to the nearest points of a curved space in the dtype of the model, and back.

    Densities are densities of the points, with respect to the measure of the space.

    Args:
        columns: Columns of the coordinates.
        space: Curved space, of shape (len(columns),).

    Raises:
        DataError: A column is not continuous, has bounds, or can have missing values.
    """

    anchor: Tensor

    def __init__(self, columns: Sequence[Column], space: Space) -> None:
        super().__init__()
        for column in columns:
            if column.kind != "continuous" or column.missing or column.support != (-math.inf, math.inf):
                raise DataError(
                    f"expected columns of continuous numbers without bounds and missing values, the coordinates of a point on "
                    f"{space}, got {column.name!r}; leave the column out or declare it continuous"
                )
        self.x_space, self.z_space = TableSpace(columns), space
        self.register_buffer("anchor", torch.zeros(1), persistent=False)

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return the nearest points, and 0.

        Raises:
            DataError: A row is not a point of the space.
        """
        if eager(x) and not bool((near := self.z_space.near(x)).all()):
            row = int((~near).nonzero()[0])
            values = ", ".join(f"{v:g}" for v in x[row].tolist()[:5])
            away = float((x[row : row + 1] - self.z_space.nearest(x[row : row + 1])).norm())
            advice = "; divide each row by its length" if isinstance(self.z_space, Sphere) else ""
            raise DataError(
                f"expected the coordinates of a point on {self.z_space} in every row, got ({values}), which is {away:.3g} away "
                f"from it; {int((~near).sum())} of {len(x)} rows are more than 0.001 away{advice}"
            )
        return self.z_space.nearest(x.to(self.anchor.dtype)), self._nothing(x)

    def inverse(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return the points in float64, and 0."""
        return z.double(), z.new_zeros(z.shape[0], dtype=torch.float64)


def column_layers(columns: Sequence[Column], context: int = 0, bits: Sequence[int] = ()) -> list[Transform]:
    """Return the layers that numeric columns need, from raw rows to `space_of_axes(columns)`.

    Args:
        columns: Numeric columns.
        context: Length of the context, 0 for none.
        bits: Indices of the bits in the context, see `FillMissing`; needed if a value can be missing.

    Raises:
        DataError: A column is not numeric.
    """
    for column in columns:
        if not column.numeric:
            raise DataError(f"expected numeric columns, got {column.name!r}, which is {column.kind}")
    layers: list[Transform] = []
    if any(column.kind == "integer" for column in columns):
        layers.append(DequantiseColumns(columns))
    columns = [interval(column) for column in columns]
    if any(column.axis != "number" for column in columns):
        layers.append(CurveColumns(columns))
        columns = layers[-1].z_space.columns  # type: ignore[attr-defined]
    if any(column.axis == "number" and column.support != (-math.inf, math.inf) for column in columns):
        layers.append(Unbound(columns))
        columns = layers[-1].z_space.columns  # type: ignore[attr-defined]
    layers.append(StandardiseColumns(columns))
    columns = layers[-1].z_space.columns  # type: ignore[attr-defined]
    if any(column.missing for column in columns):
        layers.append(FillMissing(columns, context, bits))
        columns = layers[-1].z_space.columns  # type: ignore[attr-defined]
    return [*layers, Cast(columns)]


def unbounded(column: Column, x: Tensor) -> Tensor:
    """Return the unbounded coordinate (B,) of values (B,) of a numeric column; an integer x is taken as x + 1/2."""
    if column.kind == "integer":
        x = x - column.support[0] + 0.5
    return Unbound((dataclasses.replace(interval(column), axis="number"),))(x[:, None])[0][:, 0]


_Map = Callable[[Tensor, Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]


def interval(column: Column) -> Column:
    """Return the continuous column after `DequantiseColumns`; an integer column has the range 0 < y < high - low + 1."""
    if column.kind != "integer":
        return column
    low, high = column.support
    return dataclasses.replace(column, kind="continuous", low=0.0, high=high - low + 1, edge=0.5)


def _inside(distance: Tensor, edge: Tensor) -> Tensor:
    """Return a distance to a bound, or `edge` for values on the bound, whose logarithm would be infinite."""
    return torch.where(distance <= 0, edge, distance)


def _logit(x: Tensor, low: Tensor, high: Tensor, edge: Tensor) -> tuple[Tensor, Tensor]:
    log_width = (high - low).log()
    below, above = _inside(x - low, edge).log(), _inside(high - x, edge).log()
    return below - above, log_width - below - above


def _logit_inverse(z: Tensor, low: Tensor, high: Tensor, edge: Tensor) -> tuple[Tensor, Tensor]:
    width = high - low
    # The value is computed from the nearer bound, so that no digits are lost near either bound.
    x = torch.where(z < 0, low + width * z.sigmoid(), high - width * (-z).sigmoid())
    return x, -F.logsigmoid(z) - F.logsigmoid(-z) - width.log()


def _log_above(x: Tensor, low: Tensor, high: Tensor, edge: Tensor) -> tuple[Tensor, Tensor]:
    z = _inside(x - low, edge).log()
    return z, -z


def _log_above_inverse(z: Tensor, low: Tensor, high: Tensor, edge: Tensor) -> tuple[Tensor, Tensor]:
    return low + z.exp(), -z


def _log_below(x: Tensor, low: Tensor, high: Tensor, edge: Tensor) -> tuple[Tensor, Tensor]:
    z = -_inside(high - x, edge).log()
    return z, z


def _log_below_inverse(z: Tensor, low: Tensor, high: Tensor, edge: Tensor) -> tuple[Tensor, Tensor]:
    return high - (-z).exp(), z
