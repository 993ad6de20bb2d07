"""Pyro: a list of transforms that go from latent to data, which a transformed distribution takes."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from .case import Case
from .library import Library, Model, lacking


class Stack(nn.Module):
    """A list of transforms; the learned ones are modules."""

    def __init__(self, transforms: list[Any]) -> None:
        super().__init__()
        self.transforms = transforms
        self.learned = nn.ModuleList(t for t in transforms if isinstance(t, nn.Module))


class Pyro(Model):
    """A `TransformedDistribution`, or its conditional kind when there is a context."""

    def _distribution(self, c: Tensor | None) -> Any:
        import pyro.distributions as dist

        zero = torch.zeros(self.features, dtype=self.dtype)
        base = dist.Normal(zero, torch.ones_like(zero), validate_args=False).to_event(1)
        if self.context:
            return dist.ConditionalTransformedDistribution(base, self.module.transforms).condition(c)
        # With torch's own checks of values, which branch on data, no export could work.
        return dist.TransformedDistribution(base, self.module.transforms, validate_args=False)

    def log_prob(self, x: Tensor, c: Tensor | None = None) -> Tensor:
        """Return the distribution's `log_prob`."""
        return self._distribution(c).log_prob(x)

    def sample(self, n: int, c: Tensor | None = None) -> Tensor:
        """Return the distribution's `sample`."""
        return self._distribution(c).sample((n,))

    def to_latent(self, x: Tensor, c: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Apply the inverse transforms, last to first."""
        total = x.new_zeros(x.shape[0])
        for t in reversed(self._distribution(c).transforms):
            z = t.inv(x)
            total, x = total - t.log_abs_det_jacobian(z, x), z
        return x, total

    def to_data(self, z: Tensor, c: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        """Apply the transforms, first to last."""
        total = z.new_zeros(z.shape[0])
        for t in self._distribution(c).transforms:
            x = t(z)
            total, z = total + t.log_abs_det_jacobian(z, x), x
        return z, total


def _make(name: str, features: int, context: int, layers: int) -> nn.Module:
    """Return layers made by a function of `pyro.distributions.transforms`, with the order reversed between them."""
    import pyro.distributions.transforms as transforms

    plain, conditional = getattr(transforms, name), getattr(transforms, f"conditional_{name}", None)
    found: list[Any] = []
    for i in range(layers):
        if i:
            found.append(transforms.Permute(torch.arange(features).flip(0)))
        if context and conditional is not None:
            found.append(conditional(features, context, hidden_dims=[32, 32]))
        else:
            found.append(plain(features, hidden_dims=[32, 32]))
    return Stack(found)


NO_CONTEXT = dict.fromkeys(("context", "bad context"), "there is no conditional spline coupling")
CASES = [
    Case("pyro", "affine_coupling", Pyro, partial(_make, "affine_coupling")),
    Case("pyro", "affine_autoregressive", Pyro, partial(_make, "affine_autoregressive")),
    Case("pyro", "spline_coupling", Pyro, partial(_make, "spline_coupling"), excused=NO_CONTEXT),
    Case("pyro", "spline_autoregressive", Pyro, partial(_make, "spline_autoregressive")),
]

_refuse = lacking("its speed is not compared")

LIBRARY = Library("pyro", "pyro", "pyro-ppl", _refuse, _refuse, "", CASES)
