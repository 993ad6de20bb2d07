"""Run zuko's own tests/test_flows.py on this library's flows.

    python benchmarks/external/run_zuko_tests.py CHECKOUT [pytest options]

CHECKOUT is a checkout of zuko (probabilists/zuko on GitHub). Its test file is run as it is; zuko itself is neither
needed nor imported: a module of the same name takes its place, and holds this library's flows with zuko's interface.
The nine places in its list of flows are taken by nine configurations of this library's systems; the ids say which.
"""

from __future__ import annotations

import os
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from zuko_interface import LazyFlow, LazyTransform

import pushforward as pf
from pushforward.core import Real
from pushforward.distributions import Normal
from pushforward.networks import MLP, MaskedMLP
from pushforward.transforms import Affine, Autoregressive, Coupling, Elementwise, alternating_mask

SLOTS: dict[str, tuple[str, dict[str, Any]]] = {
    "NICE": ("nice", {}),
    "MAF": ("maf", {}),
    "NSF": ("nsf", {}),
    "SOSPF": ("nsf", {"structure": "coupling"}),
    "NAF": ("iaf", {}),
    "UNAF": ("realnvp", {}),
    "CNF": ("realnvp", {"mask": "alternating"}),
    "GF": ("made", {}),
    "BPF": ("nsf", {"linear": False, "bins": 16}),
}
"""Name in zuko's list -> system and options that take its place."""


def move(module: nn.Module) -> None:
    """Noise on every parameter: the flows start as the identity, on which the tests would say little."""
    for p in module.parameters():
        p.data.add_(0.5 / max(p.shape[-1], 4) ** 0.5 * torch.randn_like(p))


def system_class(name: str, options: dict[str, Any]) -> type[nn.Module]:
    """A class with zuko's constructor, (features, context), named after the system and its options."""

    def init(self: nn.Module, features: int, context: int = 0) -> None:
        flow = pf.build(name, features=features, context=context, **options)
        move(flow)
        LazyFlow.__init__(self, flow)  # type: ignore[arg-type]

    label = "_".join([name, *(f"{key}_{value}" for key, value in options.items())])
    made = type(label, (LazyFlow,), {"__init__": init, "__module__": __name__})
    globals()[label] = made  # pickle finds the class there
    return made


class Graph(nn.Module):
    """One small network for each output, which sees the inputs that its row of the adjacency matrix allows.

    Args:
        adjacency: (D, D + C) booleans, the diagonal left out of account; the last C columns are the context's.
        n: parameters for each output.
    """

    def __init__(self, adjacency: Tensor, n: int) -> None:
        super().__init__()
        features = adjacency.shape[0]
        seen = adjacency.clone()
        seen[:, :features] &= ~torch.eye(features, dtype=torch.bool)
        self.register_buffer("seen", seen)
        self.nets = nn.ModuleList(MLP(seen.shape[1], n, hidden=(16,)) for _ in range(features))

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """(B, D), (B, C) -> (B, D, n)."""
        inputs = x if context is None else torch.cat([x, context], 1)
        return torch.stack([net(inputs * row) for net, row in zip(self.nets, self.seen, strict=True)], 1)


def lazy(layer: pf.Transform) -> LazyTransform:
    """A layer as a lazy transform."""
    move(layer)
    return LazyTransform(pf.Flow(layer, Normal(layer.x_space)))


def triangular(features: int, context: int, net: nn.Module) -> LazyTransform:
    """An affine autoregressive layer."""
    return lazy(Autoregressive(Affine(), Real((features,)), net, context=context))


def element_wise(features: int, context: int = 0) -> LazyTransform:
    """Every coordinate for itself, given the context."""
    return lazy(Elementwise(Affine(), Real((features,)), context=context))


def general_coupling(features: int, context: int = 0, mask: Tensor | None = None) -> LazyTransform:
    """A coupling; coordinates where the mask is 1 pass."""
    keep = alternating_mask(features) if mask is None else mask.bool().tolist()
    return lazy(Coupling(Affine(), Real((features,)), keep, context=context))


def masked_autoregressive(
    features: int,
    context: int = 0,
    passes: int | None = None,
    order: Tensor | None = None,
    adjacency: Tensor | None = None,
) -> LazyTransform:
    """Autoregressive in an order, with two passes (a coupling), or along a graph."""
    if passes == 2:
        return general_coupling(features, context)
    if adjacency is None:
        ranks = None if order is None else order.tolist()
        return triangular(features, context, MaskedMLP(features, 2, context=context, order=ranks))
    _check_graph(adjacency, features, context)
    if adjacency.shape[1] == features and context:
        adjacency = torch.cat([adjacency, torch.ones(features, context, dtype=torch.bool)], 1)
    return triangular(features, context, Graph(adjacency, 2))


def _check_graph(adjacency: Tensor, features: int, context: int) -> None:
    """Refuse a bad graph as zuko does: the tests look for an AssertionError and its wording."""
    if adjacency.shape[1] not in (features, features + context):
        raise AssertionError(f"'adjacency' should have {features} or {features + context} columns.")
    square = adjacency[:, :features]
    if not bool(square.diagonal().all()):
        raise AssertionError("'adjacency' should have ones on the diagonal.")
    left = square & ~torch.eye(features, dtype=torch.bool)
    for _ in range(features):
        left = left & left.any(1)[None, :]
    if bool(left.any()):
        raise AssertionError("The graph contains cycles.")


def stand_in() -> None:
    """Put the modules `zuko` and `zuko.flows` in place."""
    flows = types.ModuleType("zuko.flows")
    members: dict[str, Callable[..., nn.Module]] = {name: system_class(*slot) for name, slot in SLOTS.items()}
    members |= {
        "ElementWiseTransform": element_wise,
        "GeneralCouplingTransform": general_coupling,
        "MaskedAutoregressiveTransform": masked_autoregressive,
    }
    vars(flows).update(members)
    package = types.ModuleType("zuko")
    vars(package)["flows"] = flows
    sys.modules |= {"zuko": package, "zuko.flows": flows}


def main(arguments: list[str]) -> int:
    """Run pytest on the checkout's test file."""
    if not arguments or not Path(arguments[0], "tests", "test_flows.py").exists():
        print(__doc__, file=sys.stderr)
        return 2
    stand_in()
    os.chdir(arguments[0])
    return int(pytest.main(["tests/test_flows.py", "-p", "no:cacheprovider", *arguments[1:]]))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
