"""NSF: neural spline flow, with coupling or autoregressive layers; for pictures with the steps of Glow."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Literal

from ..core import Flow, Real, Transform
from ..networks import ResNet
from ..transforms import LU, ActNorm, Coupling, PiecewiseSpline, RationalQuadratic, half_mask
from .picture_spec import ImageSpec, law_cases
from .scalar_map_spec import ScalarMapSpec


@dataclass(frozen=True, kw_only=True)
class NSF(ScalarMapSpec):
    """Neural spline flow: splines with parameters from a residual network, and LU layers.

    Args:
        spline: Kind of the splines: "rational-quadratic", "linear-rational", "cubic", "quadratic" or "linear".
        bins: Number of bins of each spline.
        bound: End of the splines, which act on [-bound, bound]; 5 suits standardised data. Outside, rational-quadratic
            splines are the identity, and the others are straight lines.
    """

    name = "nsf"
    family = "spline"
    paper = "Durkan, Bekasov, Murray, Papamakarios 2019, arXiv:1906.04032"

    spline: Literal["rational-quadratic", "linear-rational", "cubic", "quadratic", "linear"] = "rational-quadratic"
    bins: int = 8
    bound: float = 5.0

    def validate(self) -> None:
        """Check the sizes of the networks and splines."""
        super().validate()
        self._at_least("bins", 2)

    @property
    def scalar_map(self) -> RationalQuadratic | PiecewiseSpline:
        """Spline of each coordinate, which starts as the identity."""
        if self.spline != "rational-quadratic":
            return PiecewiseSpline(self.spline, self.bins, self.bound)
        return RationalQuadratic(self.bins, self.bound)

    @classmethod
    def cases(cls) -> Iterator[NSF]:
        """Yield specs with both structures, with a context, with a label and a mixture, with ten features and with one."""
        yield cls(features=2, layers=2, hidden=8, bins=4)
        yield cls(features=2, layers=2, hidden=8, bins=4, structure="coupling")
        yield cls(features=2, layers=2, hidden=8, bins=4, context=3)
        yield cls(features=3, layers=2, hidden=8, bins=3, structure="coupling", context=2)
        yield cls(features=10, layers=1, hidden=20, blocks=2, bins=3, bound=3.0)
        yield cls(features=1, layers=1, hidden=8, bins=4)
        yield cls(
            features=2, layers=1, hidden=8, bins=3, structure="coupling", classes=2, base="mixture", activation="elu"
        )
        yield cls(features=2, layers=1, hidden=8, bins=3, bound=3.0, structure="coupling", spline="cubic")


@dataclass(frozen=True, kw_only=True)
class ImageNSF(ImageSpec):
    """Neural spline flow of pictures: the scales and steps of Glow, with splines in place of affine maps.

    Args:
        scales: Number of scales; the picture is squeezed at each.
        steps: Number of steps at each scale: actnorm, 1 x 1 convolution, spline coupling of channel halves.
        hidden: Number of hidden channels of the residual networks.
        blocks: Number of residual blocks of each network.
        bins: Number of bins of the splines.
        bound: End of the splines, which act on [-bound, bound] and are the identity outside.
        dropout: Probability of dropping a hidden value of the networks in training.
    """

    name = "nsf-image"
    family = "images"
    paper = NSF.paper
    presets = {
        "tiny": {"scales": 1, "steps": 2, "hidden": 8, "blocks": 1},
        "small": {"scales": 2, "steps": 4, "hidden": 32, "blocks": 1},
        "paper": {"scales": 3, "steps": 7, "hidden": 96, "blocks": 3},
    }

    scales: int = 2
    steps: int = 4
    hidden: int = 32
    blocks: int = 1
    bins: int = 4
    bound: float = 3.0
    dropout: float = 0.0

    def build(self) -> Flow:
        """Return the flow; splines start as the identity, and the 1 x 1 convolutions as random rotations."""
        return self.multi_scale(self.scales, self.steps, self._step)

    def _step(self, space: Real, number: int) -> list[Transform]:
        scalar = RationalQuadratic(self.bins, self.bound)
        network = partial(ResNet, hidden=self.hidden, blocks=self.blocks, dropout=self.dropout)
        return [
            ActNorm(space, channels=True),
            LU(space, rotation=True),
            Coupling(scalar, space, half_mask(space.shape[0]), network, context=self.given),
        ]

    @classmethod
    def cases(cls) -> Iterator[ImageNSF]:
        """Yield specs with one scale, with a label, and with a picture."""
        yield from law_cases(cls, scales=1, steps=1, hidden=4, blocks=1, bins=3)
