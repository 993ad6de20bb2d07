"""The work that every library is given: systems, sizes, and the networks that make the maps' parameters."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

BINS = 8
BOUND = 5.0
HIDDEN = 2
"""Hidden layers of every network, plain, with ReLU between them."""

Structure = Literal["coupling", "autoregressive", "image"]


@dataclass(frozen=True)
class Size:
    """How large one model and its batch are.

    Args:
        name: as on the command line and in the stored results.
        shape: of one event.
        batch: rows.
        width: hidden units of each layer of a network; channels for images.
    """

    name: str
    shape: tuple[int, ...]
    batch: int
    width: int

    @property
    def features(self) -> int:
        """Numbers in one event."""
        return math.prod(self.shape)

    def __str__(self) -> str:
        if len(self.shape) == 1:
            return f"{self.shape[0]}, {self.batch}, {self.width}"
        return f"{' x '.join(map(str, self.shape))}, {self.batch}, {self.width}"


VECTORS = {
    size.name: size
    for size in (
        Size("8", (8,), 256, 64),
        Size("43", (43,), 512, 256),
        Size("64", (64,), 4096, 256),
        Size("256", (256,), 512, 512),
    )
}
IMAGES = {"image": Size("image", (12, 16, 16), 32, 128)}
"""A 3 x 32 x 32 image after its pixels have been squeezed into channels."""

SIZES = VECTORS | IMAGES


@dataclass(frozen=True)
class System:
    """One kind of flow.

    Args:
        name: as on the command line and in the stored results.
        title: as in the report.
        structure: which coordinates the parameters of the others come from.
        spline: whether the map is a rational-quadratic spline; else it is affine.
        layers: of the flow.
        inverted: whether drawing is the direction of one pass (IAF), and the training step a reverse-KL step.
    """

    name: str
    title: str
    structure: Structure
    spline: bool
    layers: int
    inverted: bool = False

    @property
    def n(self) -> int:
        """Parameters of the map of one coordinate."""
        return 3 * BINS - 1 if self.spline else 2

    @property
    def one_pass_draws(self) -> bool:
        """Whether a peer draws in one pass of its networks."""
        return self.inverted or self.structure != "autoregressive"


SYSTEMS = {
    system.name: system
    for system in (
        System("realnvp", "RealNVP", "coupling", spline=False, layers=6),
        System("maf", "MAF", "autoregressive", spline=False, layers=5),
        System("iaf", "IAF", "autoregressive", spline=False, layers=5, inverted=True),
        System("nsf-coupling", "NSF, coupling", "coupling", spline=True, layers=6),
        System("nsf-ar", "NSF, autoregressive", "autoregressive", spline=True, layers=5),
        System("glow", "Glow block", "image", spline=False, layers=4),
    )
}


@dataclass(frozen=True)
class Work:
    """A system at a size."""

    system: System
    size: Size

    @property
    def name(self) -> str:
        """For messages."""
        return f"{self.system.title} at ({self.size})"

    def mask(self, layer: int) -> list[bool]:
        """Which coordinates (channels) of a coupling pass unchanged: one half, then the other."""
        count = self.size.shape[0]
        first = layer % 2 == 0
        return [(i < count // 2) == first for i in range(count)]

    @property
    def networks(self) -> list[tuple[int, int]]:
        """Inputs and outputs of the network of each layer; channels for images."""
        if self.system.structure == "autoregressive":
            features = self.size.features
            return [(features, features * self.system.n)] * self.system.layers
        masks = [self.mask(layer) for layer in range(self.system.layers)]
        return [(sum(mask), (len(mask) - sum(mask)) * self.system.n) for mask in masks]


def works(systems: Collection[str] | None = None, sizes: Collection[str] | None = None) -> list[Work]:
    """Every system at every size that is its own, or those of some names."""
    found = []
    for system in SYSTEMS.values():
        for size in (IMAGES if system.structure == "image" else VECTORS).values():
            if (systems is None or system.name in systems) and (sizes is None or size.name in sizes):
                found.append(Work(system, size))
    return found
