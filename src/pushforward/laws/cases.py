"""Cases: nodes that the laws are run on, those of every registered system among them."""

from __future__ import annotations

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
    """One node under the laws.

    Args:
        name: Name in reports.
        make: Function that builds it, with fresh weights.
        spec: Description, for systems.
        constant: Whether the contribution is the same for every x by design.
        spread: Distance of the weights from their start, in deviations of the sums that they enter.
        calls: Number of repeats of what is random, to know its mean.
        exempt: Reason for each law that the case need not keep. An exemption whose law passes is an error.
    """

    name: str
    make: Callable[[], Node]
    spec: Spec | None = None
    constant: bool = False
    spread: float = 0.6
    calls: int = 100
    exempt: Mapping[str, str] = field(default_factory=dict)

    def build(self, dtype: torch.dtype = torch.float64, seed: int = 0) -> Node:
        """Return the node in evaluation mode, with every parameter and running average moved off its start."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            node = self.make()
            for p in node.parameters():
                terms = (
                    p[0].numel() if p.dim() == 4 else p.shape[-1]
                )  # of a sum in a convolution, or in a matrix product
                # Not `randn_like`, whose numbers depend on how the weights lie in memory.
                p.data.add_(self.spread / max(terms, 4) ** 0.5 * torch.randn(p.shape))
            for name, buffer in node.named_buffers():
                if name.endswith("mean"):
                    buffer.add_(0.3 * torch.randn_like(buffer))
                if name.endswith("variance"):
                    buffer.mul_(0.5 + torch.rand_like(buffer))
        return node.to(dtype).eval()


def draw(space_of: Node, side: str, n: int, dtype: torch.dtype) -> Tensor:
    """Points of one of a node's spaces ("space", "x_space", "z_space"), in the dtype it wants."""
    space = getattr(space_of, side)
    return space.random(n, dtype).to(space.event_dtype(dtype))


def draw_context(node: Node, n: int, dtype: torch.dtype) -> Tensor | None:
    """Points of a node's context space, or None."""
    return None if node.context is None else draw(node, "context", n, dtype)


def transforms_in(node: Node) -> Iterator[Transform]:
    """Yield every layer at or below a node."""
    return (m for m in node.modules() if isinstance(m, Transform))


def distributions_in(node: Node) -> Iterator[Distribution]:
    """Yield every distribution at or below a node."""
    return (m for m in node.modules() if isinstance(m, Distribution))


def system_cases() -> list[Case]:
    """All cases of all registered systems."""
    return [
        case_of(spec, f"{name}-{i}")
        for name, cls in sorted(Spec.registry.items())
        for i, spec in enumerate(cls.cases())
    ]


def case_of(spec: Spec, name: str) -> Case:
    """Return the case of a system, with what its class declares for the laws."""
    return Case(name, spec.build, spec, spread=spec.spread, exempt=spec.exemptions())
