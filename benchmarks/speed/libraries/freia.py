"""FrEIA: invertible blocks in sequence; density and drawing are three lines of the user's own."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..work import Work
from .base import Absent, Library, Model, Plain, PlainConvolutions, Spline, standard_normal

FIRST = """
import torch, FrEIA.framework as Ff, FrEIA.modules as Fm
from torch import nn
def plain(a, b):
    return nn.Sequential(nn.Linear(a, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, b))
flow = Ff.SequenceINN(8)
for i in range(3):
    flow.append(Fm.GLOWCouplingBlock, subnet_constructor=plain)
flow(torch.randn(256, 8))
"""


class Freia(Model):
    """A SequenceINN and a standard normal."""

    notes: tuple[str, ...] = ("it has no base distribution: the standard normal's density and draws are added",)

    def __init__(self, flow: Any, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.flow, self.shape = flow, shape

    def log_prob(self, x: Tensor) -> Tensor:
        """The network's output under a standard normal, and its log-determinant."""
        z, log_det = self.flow(x)
        return standard_normal(z) + log_det

    def sample(self, n: int) -> Tensor:
        """Normal draws through the network in reverse."""
        return self.flow(self._noise(n), rev=True, jac=False)[0]

    def sample_and_log_prob(self, n: int) -> tuple[Tensor, Tensor]:
        """The same, with the log-determinant."""
        z = self._noise(n)
        x, log_det = self.flow(z, rev=True)
        return x, standard_normal(z) - log_det

    def _noise(self, n: int) -> Tensor:
        like = next(self.flow.parameters())
        return torch.randn(n, *self.shape, device=like.device, dtype=like.dtype)


def build(work: Work) -> Freia:
    """Couplings with one network for scale and shift; each block holds two, one for each half."""
    import FrEIA.framework as framework
    import FrEIA.modules as modules

    system, size = work.system, work.size
    if system.structure == "autoregressive":
        raise Absent("no autoregressive layers")
    if system.spline:
        raise Absent("no splines in the released version")
    flow = framework.SequenceINN(*size.shape)
    if system.structure == "image":
        for _ in range(system.layers):
            flow.append(
                modules.AllInOneBlock,
                subnet_constructor=lambda a, b: PlainConvolutions(a, b, size.width),
                permute_soft=True,
            )
        model = Freia(flow, size.shape)
        model.notes = (*Freia.notes, "the 1x1 convolution of its Glow block is a fixed rotation and is not trained")
        return model
    for _ in range(system.layers // 2):
        flow.append(modules.GLOWCouplingBlock, subnet_constructor=lambda a, b: Plain(a, b, size.width))
    return Freia(flow, size.shape)


def spline(work: Work) -> Spline:
    """None."""
    raise Absent("no splines in the released version")


LIBRARY = Library("FrEIA", "FrEIA", "FrEIA", build, spline, FIRST)
