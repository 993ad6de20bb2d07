"""Pushforward's own flows."""

from __future__ import annotations

from functools import partial
from typing import Any

from torch import Tensor

from ..work import BINS, BOUND, Work
from .base import Library, Model, Spline

FIRST = """
import torch, pushforward as pf
flow = pf.build("maf", features=8, layers=5, hidden=(64, 64))
flow.log_prob(torch.randn(256, 8))
"""


class Own(Model):
    """A Pushforward distribution."""

    notes: tuple[str, ...] = (
        "a training step calls the flow as the training loop does, which leaves out `log_prob`'s look for numbers that are not "
        "finite",
    )

    def __init__(self, flow: Any) -> None:
        super().__init__()
        self.flow = flow

    def log_prob(self, x: Tensor) -> Tensor:
        """As the library's."""
        return self.flow.log_prob(x)

    def sample(self, n: int) -> Tensor:
        """As the library's."""
        return self.flow.sample(n)

    def sample_and_log_prob(self, n: int) -> tuple[Tensor, Tensor]:
        """The one with gradients."""
        return self.flow.rsample_and_log_prob(n)

    def forward(self, x: Tensor) -> Tensor:
        """The flow called as a module, as training does: `log_prob` without its look for numbers that are not finite."""
        return self.flow(x)


def build(work: Work) -> Own:
    """Couplings or autoregressive layers with the plain networks that all libraries are given, or steps of Glow."""
    from pushforward.core import Chain, Flow, Inverse, Real
    from pushforward.distributions import Normal
    from pushforward.networks import MLP, ConvNet, MaskedMLP
    from pushforward.transforms import LU, ActNorm, Affine, Autoregressive, Coupling, RationalQuadratic

    system, size = work.system, work.size
    space = Real(size.shape)
    scalar = RationalQuadratic(BINS, BOUND) if system.spline else Affine()
    hidden = (size.width, size.width)
    layers: list[Any] = []
    for i in range(system.layers):
        if system.structure == "image":
            layers += [ActNorm(space, channels=True), LU(space)]
            layers.append(Coupling(scalar, space, work.mask(i), partial(ConvNet, hidden=size.width)))
        elif system.structure == "coupling":
            layers.append(Coupling(scalar, space, work.mask(i), partial(MLP, hidden=hidden)))
        else:
            order = range(size.features)[:: -1 if i % 2 else 1]
            layer = Autoregressive(scalar, space, MaskedMLP(size.features, scalar.n, hidden=hidden, order=order))
            layers.append(Inverse(layer) if system.inverted else layer)
    return Own(Flow(Chain(*layers), Normal(space)))


def spline(work: Work) -> Spline:
    """The function, for either structure."""
    from pushforward.functional.splines import rational_quadratic_tails

    return lambda x, p: rational_quadratic_tails(x, p, BOUND)


LIBRARY = Library("Pushforward", "pushforward", "pushforward", build, spline, FIRST)
