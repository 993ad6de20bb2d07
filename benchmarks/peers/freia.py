"""FrEIA: a sequence of invertible blocks, data to latent by usage. It has no base; the adapter adds a standard normal."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from ..speed.work import Work
from .case import Case
from .library import Absent, Library, Model, Plain, PlainConvolutions, lacking, standard_normal

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
    """A `SequenceINN` and a standard normal."""

    notes: tuple[str, ...] = ("it has no base distribution: the standard normal's density and draws are added",)

    def _run(self, v: Tensor, c: Tensor | None, **direction: bool) -> tuple[Tensor, Tensor]:
        image, log_det = self.module(v, c=None if c is None else [c], **direction)
        # A volume-preserving sequence gives the number 0.
        return image, v.new_full(v.shape[:-1], log_det) if isinstance(log_det, int | float) else log_det

    def to_latent(self, x: Tensor, c: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Apply the sequence."""
        return self._run(x, c)

    def to_data(self, z: Tensor, c: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        """Apply the sequence in reverse."""
        return self._run(z, c, rev=True)

    def log_prob(self, x: Tensor, c: Tensor | None = None) -> Tensor:
        """Return the standard normal log-density of z plus the log-determinant."""
        z, log_det = self._run(x, c)
        return standard_normal(z, len(self.shape)) + log_det

    def sample(self, n: int, c: Tensor | None = None) -> Tensor:
        """Return normal draws after the sequence in reverse."""
        return self._run(self._noise(n), None if c is None else c.expand(n, -1), rev=True, jac=False)[0]

    def sample_and_log_prob(self, n: int) -> tuple[Tensor, Tensor]:
        """Return the same, with the log-determinant."""
        z = self._noise(n)
        x, log_det = self._run(z, None, rev=True)
        return x, standard_normal(z, len(self.shape)) - log_det

    def _noise(self, n: int) -> Tensor:
        like = next(self.module.parameters())
        return torch.randn(n, *self.shape, device=like.device, dtype=like.dtype)


def build(work: Work) -> Freia:
    """Return couplings with one network for scale and shift; each block holds two, one for each half."""
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


def _subnet(inputs: int, outputs: int) -> nn.Module:
    return nn.Sequential(nn.Linear(inputs, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, outputs))


def _make(block: str, features: int, context: int, layers: int) -> nn.Module:
    import FrEIA.framework as framework
    import FrEIA.modules as modules

    flow = framework.SequenceINN(features)
    condition: dict[str, Any] = {"cond": 0, "cond_shape": (context,)} if context else {}
    for i in range(layers):
        flow.append(getattr(modules, block), subnet_constructor=_subnet, **condition)
        if block != "AllInOneBlock":  # which has its own permutation
            flow.append(modules.PermuteRandom, seed=i)
    return flow


CASES = [
    Case("FrEIA", block, Freia, partial(_make, block))
    for block in ("AllInOneBlock", "NICECouplingBlock", "RNVPCouplingBlock", "GLOWCouplingBlock")
]

LIBRARY = Library("FrEIA", "FrEIA", "FrEIA", build, lacking("no splines in the released version"), FIRST, CASES)
