"""Cases: layers, distributions and systems on which the laws are run."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ..core import (
    Distribution,
    Node,
    Transform,
)
from ..systems.spec import Spec


@dataclass(frozen=True)
class Case:
    """Layer or distribution on which the laws are run.

    Args:
        name: Name in reports.
        make: Function that builds the node with fresh weights.
        spec: Description of a system; None for other nodes.
        constant: Whether the contribution is the same for every x by design.
        spread: Distance of the weights from their starting values, in deviations of the sums that they enter.
        calls: Number of repeated calls that estimate the mean of random results.
        exempt: Reasons of exemptions by name of the law; an exemption from a law that holds is an error.
    """

    name: str
    make: Callable[[], Node]
    spec: Spec | None = None
    constant: bool = False
    spread: float = 0.6
    calls: int = 100
    exempt: Mapping[str, str] = field(default_factory=dict)

    @functools.cached_property
    def classes(self) -> tuple[type, ...]:
        """The class of the node first, then those of the layers, distributions and scalar maps among its parts."""
        node = self.make()
        nodes = [part for part in node.modules() if isinstance(part, Node)]
        scalars = [part.scalar for part in node.modules() if hasattr(part, "scalar")]
        return tuple(dict.fromkeys(type(part) for part in (*nodes, *scalars)))

    def build(self, dtype: torch.dtype = torch.float64, seed: int = 0) -> Node:
        """Return the node in evaluation mode, with every parameter and running average moved away from its starting value."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            node = self.make()
            for p in node.parameters():
                terms = (
                    p[0].numel() if p.dim() >= 4 else p.shape[-1]
                )  # number of terms of a sum in a convolution, or in a matrix product
                # Not `randn_like`, whose numbers depend on the memory layout of the weights.
                p.data.add_(self.spread / max(terms, 4) ** 0.5 * torch.randn(p.shape))
            for name, buffer in node.named_buffers():
                if name.endswith("mean"):
                    buffer.add_(0.3 * torch.randn_like(buffer))
                if name.endswith("variance"):
                    buffer.mul_(0.5 + torch.rand_like(buffer))
        return node.to(dtype).eval()


def draw(space_of: Node, side: str, n: int, dtype: torch.dtype) -> Tensor:
    """Return random points of one of a node's spaces ("space", "x_space", "z_space" or "context"), in its dtype."""
    space = getattr(space_of, side)
    return space.random(n, dtype).to(space.event_dtype(dtype))


def draw_context(node: Node, n: int, dtype: torch.dtype) -> Tensor | None:
    """Return random points of a node's context space, or None."""
    return None if node.context is None else draw(node, "context", n, dtype)


def transforms_in(node: Node) -> Iterator[Transform]:
    """Yield the layers among a node and its parts."""
    return (m for m in node.modules() if isinstance(m, Transform))


def distributions_in(node: Node) -> Iterator[Distribution]:
    """Yield the distributions among a node and its parts."""
    return (m for m in node.modules() if isinstance(m, Distribution))


def system_cases() -> list[Case]:
    """Return all cases of all registered systems."""
    return [case for name, cls in sorted(Spec.registry.items()) for case in _cases_of(name, cls)]


@functools.cache
def _cases_of(name: str, cls: type[Spec]) -> tuple[Case, ...]:
    return tuple(case_of(spec, f"{name}-{i}") for i, spec in enumerate(cls.cases()))


def case_of(spec: Spec, name: str) -> Case:
    """Return the case of a system, with the spread and exemptions that its class declares."""
    return Case(name, spec.build, spec, spread=spec.spread, exempt=spec.exemptions())
