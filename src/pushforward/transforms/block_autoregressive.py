"""Block neural autoregressive layer: one masked network is the map itself, and its Jacobian is triangular.

    z = a x + (1 - a) f(x, context),    f = W_L tanh(W_(L-1) ... tanh(W_1 x + b_1 + V context) ...) + b_L

Every W is lower triangular in blocks, one row of blocks for each coordinate. The entries of the diagonal blocks are
exponentials, so that f_i increases in x_i. The blocks below are free, and those above are zero. Hence df_i/dx_i is the product
of the i-th diagonal blocks and the slopes of tanh, computed in logarithms. Rows of W have a learned norm (De Cao, Titov, Aziz
2019, arXiv:1904.04676, section 3).

The function f is bounded, because tanh is, and so it is not onto. The gate a in (0, 1), one for each coordinate, adds a share
of x that makes the map onto the whole line: the gated residual connection of the paper.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..core import Real, Transform, Undo, context_space
from ..errors import SpecError
from ..functional.roots import implicit_root, newton_bisect
from .planar_layers import vectors


class BlockLinear(nn.Module):
    """Linear layer on D groups of units: increasing within a group, free from earlier groups, and zero from later ones.

    Args:
        features: Number D of groups.
        inputs: Units of each group before the layer.
        outputs: Units of each group after the layer.
    """

    lower: Tensor
    within: Tensor

    def __init__(self, features: int, inputs: int, outputs: int) -> None:
        super().__init__()
        self.features, self.inputs, self.outputs = features, inputs, outputs
        blocks = torch.ones(outputs, inputs)
        groups = torch.ones(features, features)
        self.register_buffer("lower", torch.kron(groups.tril(-1), blocks), persistent=False)
        self.register_buffer("within", torch.kron(torch.eye(features), blocks), persistent=False)
        earlier = torch.randn(features * outputs, features * inputs) / (features * inputs) ** 0.5
        self.free = nn.Parameter(torch.where(self.within > 0, torch.rand_like(earlier).sub_(0.5), earlier))
        self.log_norm = nn.Parameter(torch.zeros(features * outputs))
        self.bias = nn.Parameter(torch.zeros(features * outputs))

    def weights(self) -> tuple[Tensor, Tensor]:
        """Return W (D a, D b) and its diagonal blocks (D, a, b), for a outputs and b inputs of each group."""
        raw = self.free * self.lower + (self.free * self.within).exp() * self.within
        weight = raw * (self.log_norm.exp() / raw.norm(dim=1))[:, None]
        blocks = weight.unflatten(1, (self.features, -1)).unflatten(0, (self.features, -1))
        return weight, blocks.diagonal(dim1=0, dim2=2).movedim(-1, 0)


class BlockAutoregressive(Transform):
    """Block neural autoregressive layer: z = a x + (1 - a) f(x, c), where f is a masked network that increases in x_i.

    The density costs one pass of the network. The inverse solves for one coordinate after the other, by a root search that
    evaluates only the units of this coordinate; its gradients follow from recorded steps of Newton's method.

    Args:
        space: Space of x and z, of shape (D,).
        hidden: Units of each coordinate in the hidden layers of f, at least one layer; layer k has D hidden[k] units.
        context: Length of the context, 0 for none.

    Raises:
        SpecError: Events are not vectors, or there is no hidden layer.

    References:
        De Cao, Titov, Aziz 2019, arXiv:1904.04676, section 3.
    """

    undo = Undo.INVERSE

    def __init__(self, space: Real, *, hidden: Sequence[int] = (16, 16), context: int = 0) -> None:
        super().__init__()
        size = vectors(space)
        if not hidden or min(hidden) < 1:
            raise SpecError(f"expected at least one hidden layer of at least one unit, got {tuple(hidden)}")
        self.x_space = self.z_space = space
        self.context = context_space(context)
        units = [1, *hidden, 1]
        self.layers: Sequence[BlockLinear] = nn.ModuleList(  # type: ignore[assignment]
            BlockLinear(size, units[k], units[k + 1]) for k in range(len(units) - 1)
        )
        first, last = self.layers[0], self.layers[-1]
        with torch.no_grad():
            # The sum over the units of a group grows like the root of their number; f starts of the size of x at every width.
            last.log_norm.sub_(0.5 * math.log(units[-2]))
            # Slopes from 1/2 to 3 and centres all over the range of standardised data.
            first.log_norm.uniform_(-0.7, 1.1)
            first.bias.uniform_(-2.0, 2.0).mul_(first.log_norm.exp())
        self.given = nn.Linear(context, size * hidden[0], bias=False) if context else None
        self.gate = nn.Parameter(torch.zeros(size))

    def _shifts(self, context: Tensor | None) -> list[Tensor]:
        """Return the shift of each layer, (D a,) or (B, D a)."""
        shifts: list[Tensor] = [layer.bias for layer in self.layers]
        if self.given is not None:
            shifts[0] = shifts[0] + self.given(context)
        return shifts

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return z and dlogp: (B, D) -> (B, D), (B,) in nats."""
        h, log_slope = x, torch.zeros_like(x).unsqueeze(-1)
        for k, (layer, shift) in enumerate(zip(self.layers, self._shifts(context), strict=True)):
            weight, blocks = layer.weights()
            if k:
                log_slope = log_slope + _log_slope(h).unflatten(1, (layer.features, -1))
                h = torch.tanh(h)
            h = h @ weight.mT + shift
            log_slope = _log_product(blocks, log_slope)
        log_gate, log_rest = F.logsigmoid(self.gate), F.logsigmoid(-self.gate)
        z = log_gate.exp() * x + log_rest.exp() * h
        return z, torch.logaddexp(log_gate, log_rest + log_slope[..., 0]).sum(1)

    def inverse(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return x and dlogp, one root for each coordinate: (B, D) -> (B, D), (B,) in nats."""
        made = [layer.weights() for layer in self.layers]
        shifts = [shift.expand(z.shape[0], -1) for shift in self._shifts(context)]
        gate, rest = self.gate.sigmoid(), (-self.gate).sigmoid()
        # `known[k]` has the inputs of layer k that belong to the coordinates already found.
        known = [z[:, :0] for _ in self.layers]
        for i in range(z.shape[1]):
            blocks = [diagonal[i] for _, diagonal in made]
            offsets = [
                before @ weight[i * layer.outputs : (i + 1) * layer.outputs, : before.shape[1]].mT
                + shift[:, i * layer.outputs : (i + 1) * layer.outputs]
                for layer, (weight, _), shift, before in zip(self.layers, made, shifts, known, strict=True)
            ]
            x = _root(z[:, i], gate[i], rest[i], blocks, offsets)
            for k, h in enumerate(_units(x, blocks, offsets)[0]):
                known[k] = torch.cat([known[k], h], 1)
        x = known[0]
        return x, -self(x, context)[1]


def _log_slope(h: Tensor) -> Tensor:
    """Return log tanh'(h) = log 4 - 2 h - 2 log(1 + exp(-2 h)), without overflow."""
    return math.log(4.0) + 2 * (F.logsigmoid(2 * h) - h)


def _log_product(blocks: Tensor, log_v: Tensor) -> Tensor:
    """Return log(E exp(log v)) for each group: E (D, a, b), log v (B, D, b) -> (B, D, a)."""
    # Only the largest entry matters for the size of the result, so the others may underflow.
    top = log_v.detach().amax(-1, keepdim=True)
    return torch.einsum("dab,ndb->nda", blocks, (log_v - top).exp()).log() + top


def _units(x: Tensor, blocks: Sequence[Tensor], offsets: Sequence[Tensor]) -> tuple[list[Tensor], Tensor, Tensor]:
    """Return the inputs of every layer in the group of one coordinate, f, and df/dx.

    Args:
        x: Values of the coordinate, (B,).
        blocks: Diagonal block of each layer, (a, b).
        offsets: Contribution of earlier coordinates, of the context and of the bias to each layer, (B, a).
    """
    h, slope = x.unsqueeze(1), torch.ones_like(x).unsqueeze(1)
    inputs = []
    for k, (block, offset) in enumerate(zip(blocks, offsets, strict=True)):
        if k:
            h = torch.tanh(h)
            slope = slope * (1 - h.square())
        inputs.append(h)
        h, slope = h @ block.mT + offset, slope @ block.mT
    return inputs, h[:, 0], slope[:, 0]


def _root(z: Tensor, gate: Tensor, rest: Tensor, blocks: Sequence[Tensor], offsets: Sequence[Tensor]) -> Tensor:
    """Return x with a x + (1 - a) f(x) = z, for one coordinate and with gradients of first and second order."""

    def residual(x: Tensor) -> tuple[Tensor, Tensor]:
        _, value, slope = _units(x, blocks, offsets)
        return gate * x + rest * value - z, gate + rest * slope

    with torch.no_grad():
        # As |tanh| < 1, f is within `reach` of the last offset, which gives an interval that contains the root.
        centre, reach = offsets[-1][:, 0], blocks[-1].sum() * 1.001
        low, high = ((z - rest * (centre + side * reach)) / gate for side in (1, -1))
        noise = 2 * torch.finfo(z.dtype).eps * (z.abs() + rest * (centre.abs() + reach))
    return implicit_root(residual, newton_bisect(residual, low, high, noise))
