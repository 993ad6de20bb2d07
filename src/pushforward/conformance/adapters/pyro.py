"""Pyro: transforms are latent to data, in a list that a transformed distribution takes."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pyro.distributions as dist
import pyro.distributions.transforms as T
import torch
from torch import Tensor, nn

from ..adapter import Adapter, Case, Library


class Stack(nn.Module):
    """The transforms, the learned ones as modules, with a reversal of the coordinates between them."""

    def __init__(self, transforms: list[Any]) -> None:
        super().__init__()
        self.transforms = transforms
        self.learned = nn.ModuleList(t for t in transforms if isinstance(t, nn.Module))


class PyroAdapter(Adapter):
    """`TransformedDistribution`, or its conditional kind when there is a context."""

    def _distribution(self, c: Tensor | None) -> Any:
        zero = torch.zeros(self.features, dtype=next(self.module.parameters()).dtype)
        base = dist.Normal(zero, torch.ones_like(zero), validate_args=False).to_event(1)
        if self.context:
            return dist.ConditionalTransformedDistribution(base, self.module.transforms).condition(c)
        # with torch's own checks of values, which branch on data, no export could work
        return dist.TransformedDistribution(base, self.module.transforms, validate_args=False)

    def log_prob(self, x: Tensor, c: Tensor | None) -> Tensor:
        """Its log_prob."""
        return self._distribution(c).log_prob(x)

    def sample(self, n: int, c: Tensor | None) -> Tensor:
        """Its sample."""
        return self._distribution(c).sample((n,))

    def forward(self, x: Tensor, c: Tensor | None) -> tuple[Tensor, Tensor]:
        """The inverse transforms, last to first."""
        total = x.new_zeros(x.shape[0])
        for t in reversed(self._distribution(c).transforms):
            z = t.inv(x)
            total, x = total - t.log_abs_det_jacobian(z, x), z
        return x, total

    def inverse(self, z: Tensor, c: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """The transforms, first to last."""
        total = z.new_zeros(z.shape[0])
        for t in self._distribution(c).transforms:
            x = t(z)
            total, z = total + t.log_abs_det_jacobian(z, x), x
        return z, total


def _make(
    plain: Callable[..., Any], conditional: Callable[..., Any] | None, features: int, context: int, layers: int
) -> nn.Module:
    transforms: list[Any] = []
    for i in range(layers):
        if i:
            transforms.append(T.Permute(torch.arange(features).flip(0)))
        if context and conditional is not None:
            transforms.append(conditional(features, context, hidden_dims=[32, 32]))
        else:
            transforms.append(plain(features, hidden_dims=[32, 32]))
    return Stack(transforms)


LIBRARY = Library(
    "pyro",
    "pyro-ppl",
    [
        Case("pyro", "affine_coupling", PyroAdapter, partial(_make, T.affine_coupling, T.conditional_affine_coupling)),
        Case(
            "pyro",
            "affine_autoregressive",
            PyroAdapter,
            partial(_make, T.affine_autoregressive, T.conditional_affine_autoregressive),
        ),
        Case(
            "pyro",
            "spline_coupling",
            PyroAdapter,
            partial(_make, T.spline_coupling, None),
            excused=dict.fromkeys(("context", "bad context"), "there is no conditional spline coupling"),
        ),
        Case(
            "pyro",
            "spline_autoregressive",
            PyroAdapter,
            partial(_make, T.spline_autoregressive, T.conditional_spline_autoregressive),
        ),
    ],
)
