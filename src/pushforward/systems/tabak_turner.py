"""Density estimation by elementary maps that are composed one after the other (Tabak and Turner 2013)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ..core import Chain, Flow
from ..distributions import Normal
from ..errors import SpecError
from ..transforms import ActNorm, LocalMaps
from ..transforms.local_maps import Form
from .plain_spec import PlainSpec


@dataclass(frozen=True, kw_only=True)
class TabakTurner(PlainSpec):
    """Composition of many local maps, each from one step of ascent of the likelihood; the start grows it from the data.

    Args:
        maps: Number of maps.
        form: Kind of map: "axis" for maps along random axes, "rational" or "erf" for radial maps with these profiles.
        share: Largest share of the rows in the ball of a map, if the rows are normal; some maps have a half, a quarter, ... of
            it.
        candidates: Number of centres that are tried for each map.
        most: Largest strength of a map, below 1; a small value makes small steps.
        trained: Whether training changes the maps by their gradient after the start. Otherwise it changes the last
            standardisation alone.
    """

    name = "tabak-turner"
    family = "ancestors"
    paper = "Tabak, Turner 2013, Communications on Pure and Applied Mathematics 66(2)"

    maps: int = 200
    form: Form = "axis"
    share: float = 0.5
    candidates: int = 32
    most: float = 0.5
    trained: bool = False

    def validate(self) -> None:
        """Check the numbers, the share and the largest strength."""
        super().validate()
        self._at_least("maps", 1)
        self._at_least("candidates", 1)
        for name in ("share", "most"):
            if not 0 < getattr(self, name) < 1:
                raise SpecError(f"expected {self.name}.{name} between 0 and 1, got {getattr(self, name)}")
        if self.maps > 10_000:
            raise SpecError(f"expected {self.name}.maps <= 10000, got {self.maps}")

    def build(self) -> Flow:
        """Return the flow."""
        maps = LocalMaps(
            self.space,
            self.maps,
            form=self.form,
            share=self.share,
            candidates=self.candidates,
            most=self.most,
            trained=self.trained,
        )
        return Flow(Chain(maps, ActNorm(self.space)), Normal(self.space))

    @classmethod
    def cases(cls) -> Iterator[TabakTurner]:
        """Yield specs of two features with radial maps, and along axes."""
        yield cls(features=2, maps=2, form="rational", trained=True)
        yield cls(features=2, maps=1, form="axis", trained=True)
