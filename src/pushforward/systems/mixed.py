"""Flows of vectors whose coordinates are of different kinds: numbers, angles and heights on a sphere."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import ClassVar, Literal

from ..core import Box, Chain, Circle, Distribution, Flow, Real, Space, Torus, product_of
from ..distributions import Normal, SideBySide, Uniform, UniformTorus
from ..errors import SpecError
from ..transforms import Affine, Elementwise, PerCoordinate, RationalQuadratic, Scalar
from .circle_spec import CircleSpec

AxisKind = Literal["number", "angle", "height"]
AXES: dict[str, Space] = {"number": Real((1,)), "angle": Circle(), "height": Box((1,), -1.0, 1.0)}
"""Space of a coordinate, by its kind."""


@dataclass(frozen=True, kw_only=True)
class MixedFlow(CircleSpec):
    """Flow of vectors with numbers, angles in radians, and heights in [-1, 1], such as the sine of a latitude.

    Each coordinate is first mapped on its own, and then by splines whose parameters depend on coordinates of every kind. The
    base is standard normal for numbers, and uniform for angles and heights.

    Args:
        kinds: Kind of each coordinate, "number", "angle" or "height"; empty if all are numbers.
        bound: End of the splines of numbers, which act on [-bound, bound] and are the identity outside.
    """

    name = "mixed"
    family = "manifold"
    paper = "Rezende et al. 2020, arXiv:2002.02428; Durkan et al. 2019, arXiv:1906.04032"
    sizes: ClassVar[tuple[str, ...]] = ("features", "context", "kinds")

    kinds: tuple[AxisKind, ...] = ()
    bound: float = 5.0

    def validate(self) -> None:
        """Check that there is a kind for each coordinate."""
        super().validate()
        if self.kinds and len(self.kinds) != self.features:
            raise SpecError(f"expected mixed.kinds of {self.features} coordinates, got {len(self.kinds)}")

    @property
    def axes(self) -> list[Space]:
        """Space of each coordinate."""
        return [AXES[kind] for kind in self.kinds or ("number",) * self.features]

    @property
    def space(self) -> Space:
        """Product of the spaces of the coordinates."""
        return product_of(self.axes)

    def build(self) -> Flow:
        """Return the flow, which starts as the identity or close to it."""
        maps: dict[str, Scalar] = {
            "number": RationalQuadratic(self.bins, self.bound),
            "angle": self.circle_map(),
            "height": RationalQuadratic(self.bins, low=-1.0, high=1.0),
        }
        space = self.space
        kinds = self.kinds or ("number",) * self.features
        scalar = PerCoordinate(tuple(maps[kind] for kind in kinds))
        # Splines of numbers act near zero only, so the numbers are first shifted and scaled.
        first = PerCoordinate(tuple(Affine() if kind == "number" else maps[kind] for kind in kinds))
        layers = [self.layer(scalar, space, i) for i in range(self.layers)]
        return Flow(Chain(Elementwise(first, space), *layers), base_of(space))

    @classmethod
    def cases(cls) -> Iterator[MixedFlow]:
        """Yield specs with numbers, angles and heights, in both structures, and with a context."""
        yield cls(features=3, layers=1, hidden=(8,), bins=3, kinds=("number", "angle", "height"))
        yield cls(features=2, layers=2, hidden=(8,), bins=3, kinds=("angle", "height"), structure="coupling", context=2)
        yield cls(
            features=3,
            layers=2,
            hidden=(9,),
            circle="moebius",
            components=2,
            bins=3,
            kinds=("angle", "number", "angle"),
        )


def base_of(space: Space, on_line: Callable[[Real], Distribution] = Normal) -> Distribution:
    """Return a base on a space of vectors: by default standard normal on the line, uniform on circles and intervals.

    Args:
        space: Space of vectors, or a product of such spaces, whose bases stand side by side.
        on_line: Function from real vectors to the distribution on them.

    Raises:
        SpecError: A part is another kind of space.
    """
    parts = getattr(space, "parts", None)
    if parts is not None:
        return SideBySide(*(base_of(part, on_line) for part in parts))
    if isinstance(space, Torus):
        return UniformTorus(space)
    if isinstance(space, Box):
        return Uniform(space)
    if not isinstance(space, Real):
        raise SpecError(f"expected numbers, angles or intervals, got {space}")
    return on_line(space)
