"""Realised bi-Lipschitz constants of a flow: the extreme singular values of its Jacobian at given events.

    L1 = sup |F(x) - F(y)| / |x - y|,   L2 = sup |x - y| / |F(x) - F(y)|    for the map F from data to latent

At a point, the largest singular value of the Jacobian of F bounds L1 from below, and the inverse of the smallest one bounds L2
from below. The constants that a layer guarantees, such as (1 - c)^-K for K residual blocks, are often much larger than those
realised.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..core import Distribution, Flow
from ..errors import SpecError
from ..training.evaluate import evaluating
from ..training.random_state import isolated

DENSE = 64
"""Largest number of entries of an event for which the whole Jacobian is computed."""
Map = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class BiLipschitz:
    """Realised constants of a flow at some events.

    Args:
        forward: Largest singular value of the Jacobian from data to latent at each event, (N,).
        inverse: Largest singular value of the Jacobian from latent to data at the code of each event, (N,).
    """

    forward: Tensor
    inverse: Tensor

    @property
    def upper(self) -> float:
        """Largest expansion from data to latent over the events, a lower bound of L1."""
        return float(self.forward.max())

    @property
    def lower(self) -> float:
        """Largest expansion from latent to data over the events, a lower bound of L2."""
        return float(self.inverse.max())

    @property
    def sentence(self) -> str:
        """The constants in words."""
        return (
            f"realised bi-Lipschitz constants at {len(self.forward):,} events: {self.upper:.3g} from data to latent, "
            f"{self.lower:.3g} from latent to data"
        )


def bi_lipschitz(
    model: Distribution, x: Any, context: Any = None, *, steps: int = 60, seed: int = 0, dense: int = DENSE
) -> BiLipschitz:
    """Return the realised constants at events; winners and other codes beside that of the base are held fixed.

    Up to `dense` entries the singular values are those of the whole Jacobian; beyond, they come from power iteration on J^T J
    in both directions of the flow.

    Args:
        model: Flow whose base has as many entries as an event.
        x: Events (N, *event).
        context: Context (N, *context), or None.
        steps: Number of power iterations.
        seed: Seed of random layers and of the first vectors of the iteration.
        dense: Largest number of entries for which the whole Jacobian is computed.

    Raises:
        SpecError: The model is no flow between continuous spaces of equal sizes, or it is random and has too many entries.
    """
    if not isinstance(model, Flow) or model.space.discrete or model.space.size != model.base.space.size:
        raise SpecError("expected a flow of continuous events whose base has as many entries as an event")
    fixed = model.chain.one_to_one
    if not fixed and model.space.size > dense:
        raise SpecError(
            f"expected a bijective flow, or events of at most {dense} entries, got {model.space.size}; raise `dense`"
        )
    x, rows, _ = model._flatten(torch.as_tensor(x, dtype=model.dtype), context)
    with evaluating(model), isolated(model.device, seed):
        given = model._embedded(rows)
        codes = model._take_apart(x, rows)
    z = codes[-1]

    def encode(v: Tensor) -> Tensor:
        return model.chain(v.reshape(x.shape), given)[0].flatten(1)

    def decode(v: Tensor) -> Tensor:
        left = [*codes[:-1], v.reshape(z.shape)]
        return model._put_together(lambda base, _: left.pop(), rows).flatten(1)

    with evaluating(model), isolated(model.device, seed), torch.enable_grad():
        if model.space.size <= dense:
            values = torch.linalg.svdvals(_jacobian(encode, x) if fixed else _jacobian(decode, z))
            largest, smallest = values[:, 0], values[:, -1]
            return BiLipschitz(largest, 1 / smallest) if fixed else BiLipschitz(1 / smallest, largest)
        return BiLipschitz(_largest(encode, x, steps), _largest(decode, z, steps))


def _jacobian(run: Map, v: Tensor) -> Tensor:
    """Return the Jacobian of every row, (N, D, D) in float64; rows are independent."""
    leaf = v.detach().clone().requires_grad_()
    out = run(leaf)
    rows = [torch.autograd.grad(part.sum(), leaf, retain_graph=True)[0].flatten(1) for part in out.unbind(1)]
    return torch.stack(rows, 1).double()


def _largest(run: Map, v: Tensor, steps: int) -> Tensor:
    """Return the largest singular value of the Jacobian of every row, by power iteration on J^T J."""
    leaf = v.detach().clone().requires_grad_()
    out = run(leaf)
    dual = torch.zeros_like(out, requires_grad=True)
    (back,) = torch.autograd.grad(out, leaf, dual, create_graph=True)
    direction = torch.randn_like(v)
    norm = torch.zeros(len(v), dtype=v.dtype, device=v.device)
    for _ in range(steps):
        direction = direction / direction.flatten(1).norm(dim=1).reshape(-1, *[1] * (v.dim() - 1))
        # J^T u is linear in u, so the gradient of <J^T u, v> with respect to u is J v.
        (image,) = torch.autograd.grad(back, dual, direction, retain_graph=True)
        norm = image.norm(dim=1)
        (direction,) = torch.autograd.grad(out, leaf, image, retain_graph=True)
    return norm


def guaranteed_inverse(contraction: float, blocks: int) -> float:
    """Return (1 - c)^-K, the constant L2 that K residual blocks with Lipschitz constant c guarantee.

    Raises:
        SpecError: The constant c is not in [0, 1), or there is no block.
    """
    if not 0 <= contraction < 1 or blocks < 1:
        raise SpecError(f"expected a constant in [0, 1) and at least one block, got {contraction} and {blocks}")
    return math.pow(1 - contraction, -blocks)
