"""Pushforward: the chain of a flow goes from data to latent."""

from __future__ import annotations

from functools import partial
from typing import Any

from torch import Tensor, nn

from ..speed.work import BINS, BOUND, Work
from .case import Case
from .library import Library, Model, Spline

FIRST = """
import torch, pushforward as pf
flow = pf.build("maf", features=8, layers=5, hidden=(64, 64))
flow.log_prob(torch.randn(256, 8))
"""


class Own(Model):
    """A `Flow` and its chain."""

    notes: tuple[str, ...] = (
        "a training step calls the flow as the training loop does, which leaves out `log_prob`'s look for numbers that are not "
        "finite",
    )

    def log_prob(self, x: Tensor, c: Tensor | None = None) -> Tensor:
        """Return `Flow.log_prob`."""
        return self.module.log_prob(x, c)

    def sample(self, n: int, c: Tensor | None = None) -> Tensor:
        """Return `Flow.sample`."""
        return self.module.sample(n, c)

    def sample_and_log_prob(self, n: int) -> tuple[Tensor, Tensor]:
        """Return `Flow.rsample_and_log_prob`."""
        return self.module.rsample_and_log_prob(n)

    def to_latent(self, x: Tensor, c: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Apply the chain."""
        return self.module.chain(x, c)

    def to_data(self, z: Tensor, c: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        """Apply the chain's inverse."""
        return self.module.chain.inverse(z, c)

    def forward(self, x: Tensor, c: Tensor | None = None) -> Tensor:
        """Call the flow as a module, as training does: `log_prob` without the check for numbers that are not finite."""
        return self.module(x, c)


def build(work: Work) -> Own:
    """Return couplings or autoregressive layers with the plain networks that all libraries are given, or steps of Glow."""
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
    return Own(Flow(Chain(*layers), Normal(space)), size.shape)


def spline(work: Work) -> Spline:
    """Return the function, which is the same for both structures."""
    from pushforward.functional.splines import rational_quadratic_tails

    return lambda x, p: rational_quadratic_tails(x, p, BOUND)


def _make(system: str, options: dict[str, Any], features: int, context: int, layers: int) -> nn.Module:
    from pushforward.systems.spec import build

    return build(system, features=features, context=context, layers=layers, **options)


CASES = [
    Case("pushforward", flow, Own, partial(_make, system, options))
    for flow, system, options in (
        ("NICE", "nice", {"hidden": (32, 32)}),
        ("RealNVP", "realnvp", {"hidden": (32, 32)}),
        ("MAF", "maf", {"hidden": (32, 32)}),
        ("IAF", "iaf", {"hidden": (32, 32)}),
        ("NSF coupling", "nsf", {"structure": "coupling", "hidden": 32}),
        ("NSF autoregressive", "nsf", {"hidden": 32}),
        ("NAF", "naf", {"hidden": 32}),
        ("UMNN", "umnn", {"hidden": 32}),
        ("SOS", "sos", {"hidden": 32}),
        ("Bernstein", "bernstein", {"hidden": 32}),
        ("Bent", "bent", {"hidden": 32}),
        ("BNAF", "bnaf", {"hidden": (8, 8)}),
        ("Gaussianization", "gaussianization", {}),
        ("Residual", "residual", {"hidden": (16,), "lipschitz": 0.7, "logdet": "exact"}),
        ("Monotone operators", "residual", {"hidden": (16,), "lipschitz": 0.5, "logdet": "exact", "block": "monotone"}),
    )
]

LIBRARY = Library("Pushforward", "pushforward", "pushforward", build, spline, FIRST, CASES)
