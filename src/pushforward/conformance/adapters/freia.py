"""FrEIA: a sequence of invertible modules, data to latent by usage; it has no base, so that the standard normal is ours."""

from __future__ import annotations

from functools import partial
from typing import Any

import FrEIA.framework as ff
import FrEIA.modules as fm
import torch
from torch import Tensor, nn

from ..adapter import Adapter, Case, Library, standard_normal


class FreiaAdapter(Adapter):
    """`SequenceINN(x, c=[c], rev=...)`."""

    def _run(self, v: Tensor, c: Tensor | None, **direction: bool) -> tuple[Tensor, Tensor]:
        image, log_det = self.module(v, c=None if c is None else [c], **direction)
        # a volume-preserving sequence gives the number 0
        return image, v.new_full(v.shape[:-1], log_det) if isinstance(log_det, int | float) else log_det

    def forward(self, x: Tensor, c: Tensor | None) -> tuple[Tensor, Tensor]:
        """The sequence."""
        return self._run(x, c)

    def inverse(self, z: Tensor, c: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """The sequence with `rev=True`."""
        return self._run(z, c, rev=True)

    def log_prob(self, x: Tensor, c: Tensor | None) -> Tensor:
        """Standard normal of z, and the log-determinant."""
        z, log_det = self.forward(x, c)
        return standard_normal(z) + log_det

    def sample(self, n: int, c: Tensor | None) -> Tensor:
        """The inverse of standard normal draws."""
        z = torch.randn(n, self.features, dtype=next(self.module.parameters()).dtype)
        return self.inverse(z, None if c is None else c.expand(n, -1))[0]


def _subnet(inputs: int, outputs: int) -> nn.Module:
    return nn.Sequential(nn.Linear(inputs, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, outputs))


def _make(block: type[nn.Module], features: int, context: int, layers: int) -> nn.Module:
    flow = ff.SequenceINN(features)
    condition: dict[str, Any] = {"cond": 0, "cond_shape": (context,)} if context else {}
    for i in range(layers):
        flow.append(block, subnet_constructor=_subnet, **condition)
        if block is not fm.AllInOneBlock:  # which has its own permutation
            flow.append(fm.PermuteRandom, seed=i)
    return flow


LIBRARY = Library(
    "FrEIA",
    "FrEIA",
    [
        Case("FrEIA", "AllInOneBlock", FreiaAdapter, partial(_make, fm.AllInOneBlock)),
        Case("FrEIA", "NICECouplingBlock", FreiaAdapter, partial(_make, fm.NICECouplingBlock)),
        Case("FrEIA", "RNVPCouplingBlock", FreiaAdapter, partial(_make, fm.RNVPCouplingBlock)),
        Case("FrEIA", "GLOWCouplingBlock", FreiaAdapter, partial(_make, fm.GLOWCouplingBlock)),
    ],
)
