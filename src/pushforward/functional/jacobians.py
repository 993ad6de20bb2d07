"""Squared row norms of Jacobians in a residual network, for the Laplacian of a potential.

With J_0 = diag(s_0) F and, for i = 1 ... M, P_i = K_i J_(i-1) and J_i = J_(i-1) + h diag(s_i) P_i, the squared norms are

    q_i = sum_k (P_i)_(. k)^2.

For each P_i there is one matrix product over all rows of the batch and all coordinates, m^2 d multiplications per row. The
hand-written gradient keeps only the slopes s and computes P again, in pieces of the batch that fit into the processor's
cache. With d before a name for the gradient of the loss with respect to it, the chain rule gives, from i = M to 1,

    dP_i = 2 dq_i P_i + h s_i dJ_i,   dJ_(i-1) = dJ_i + K_i^T dP_i,   dK_i = dP_i J_(i-1)^T,   ds_i = h sum_k dJ_i P_i,
    ds_0 = sum_k dJ_0 F,              dF = sum_b s_0 dJ_0.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from .hand_gradients import ordinary, second_gradient

PIECE = 1 << 20
"""Approximate number of entries of a Jacobian for one piece of the batch."""


def jacobian_norms(first: Tensor, weights: Sequence[Tensor], slopes: Sequence[Tensor], h: float) -> list[Tensor]:
    """Return the squared norms q_1 ... q_M.

    Args:
        first: Weight F of the first layer, (m, d).
        weights: Weights K_1 ... K_M of the residual layers, each (m, m).
        slopes: Slopes s_0 ... s_(M-1) of the activations, each (B, m).
        h: Step size of the residual layers.

    Returns:
        M tensors (B, m).
    """
    if not weights:
        return []
    tensors = (first, *weights, *slopes)
    if not ordinary(tensors):
        return list(_plain(len(weights), h, *tensors))
    return list(_Norms.apply(len(weights), h, *tensors))


def _plain(layers: int, h: float, first: Tensor, *tensors: Tensor) -> tuple[Tensor, ...]:
    """Return the squared norms by the formula, with a Jacobian for each row."""
    weights, slopes = tensors[:layers], tensors[layers:]
    jacobian = slopes[0].unsqueeze(-1) * first
    norms = []
    for i, weight in enumerate(weights):
        product = weight @ jacobian
        norms.append(product.square().sum(-1))
        if i + 1 < layers:
            jacobian = torch.addcmul(jacobian, slopes[i + 1].unsqueeze(-1), product, value=h)
    return tuple(norms)


class _Norms(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, layers: int, h: float, first: Tensor, *tensors: Tensor) -> tuple[Tensor, ...]:
        ctx.layers, ctx.h = layers, h
        ctx.save_for_backward(first, *tensors)
        weights, slopes = tensors[:layers], tensors[layers:]
        norms = [torch.empty_like(slopes[0]) for _ in weights]
        here, product, there = _room(first, len(slopes[0]), 3)
        # Only one product is needed at a time, and the Jacobians alternate between two places.
        room = [here, product, there, product] * (layers // 2 + 1)
        for piece in _pieces(first, slopes):
            walk = _walk(first, weights, [s[piece] for s in slopes], h, room)
            for norm, (_, product) in zip(norms, walk, strict=True):
                norm[piece] = torch.linalg.vector_norm(product, dim=2).square_().T
        return tuple(norms)

    @staticmethod
    def backward(ctx: Any, *cotangents: Tensor) -> tuple[Tensor | None, ...]:
        layers, h = ctx.layers, ctx.h
        first, *tensors = ctx.saved_tensors
        if torch.is_grad_enabled():
            return None, None, *second_gradient(_plain(layers, h, first, *tensors), (first, *tensors), cotangents)
        weights, slopes = tensors[:layers], tensors[layers:]
        of_first, of_weights = torch.zeros_like(first), [torch.zeros_like(weight) for weight in weights]
        of_slopes = [torch.empty_like(slope) for slope in slopes]
        room = _room(first, len(slopes[0]), 2 * layers + 2)
        for piece in _pieces(first, slopes):
            parts = [s[piece] for s in slopes]
            walk = list(_walk(first, weights, parts, h, room[2:]))
            of_jacobian: Tensor | None = None
            for i in reversed(range(layers)):
                jacobian, product = walk.pop()
                # dP_i = 2 dq_i P_i + h s_i dJ_i, where dJ_i is of_jacobian; J_M is not used, so it has no gradient.
                share = 2 * cotangents[i][piece].T.unsqueeze(-1)
                if of_jacobian is None:
                    of_product = product.mul_(share)
                else:
                    of_slopes[i + 1][piece] = h * torch.linalg.vecdot(of_jacobian, product).T
                    of_product = product.mul_(share).addcmul_(of_jacobian, parts[i + 1].T.unsqueeze(-1), value=h)
                flat = of_product.flatten(1)
                # dJ_(i-1) = dJ_i + K_i^T dP_i.
                of_weights[i].addmm_(flat, jacobian.flatten(1).T)
                back = _fit(room[0 if of_jacobian is None else 1], jacobian)
                torch.mm(weights[i].T, flat, out=back.view(flat.shape))
                of_jacobian = back if of_jacobian is None else of_jacobian.add_(back)
            # The sums over k and b of the formulas for ds_0 and dF, as matrix products: one pass over the Jacobian each.
            of_slopes[0][piece] = torch.bmm(of_jacobian, first.unsqueeze(-1)).squeeze(-1).T  # type: ignore[arg-type]
            of_first += torch.bmm(parts[0].T.unsqueeze(1), of_jacobian).squeeze(1)  # type: ignore[arg-type]
        return None, None, of_first, *of_weights, *of_slopes


def _rows(first: Tensor, rows: int) -> int:
    """Return the number of rows of the batch in one piece; on a GPU all of them."""
    return min(rows, max(1, PIECE // max(1, first.numel()))) if first.device.type == "cpu" else rows


def _pieces(first: Tensor, slopes: Sequence[Tensor]) -> Iterator[slice]:
    """Yield slices that split the batch into pieces."""
    size = _rows(first, len(slopes[0]))
    for start in range(0, len(slopes[0]), max(1, size)):
        yield slice(start, start + size)


def _room(first: Tensor, rows: int, count: int) -> list[Tensor]:
    """Return memory for `count` Jacobians of a piece; allocating it for each piece would cost more than computing."""
    return [first.new_empty(first.numel() * _rows(first, rows)) for _ in range(count)]


def _fit(room: Tensor, like: Tensor) -> Tensor:
    return room[: like.numel()].view(like.shape)


def _walk(
    first: Tensor, weights: Sequence[Tensor], slopes: Sequence[Tensor], h: float, room: Sequence[Tensor]
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield J_(i-1) and P_i of every layer, each (m, rows, d), written into the given places in turn."""
    shape = (first.shape[0], slopes[0].shape[0], first.shape[1])
    size = shape[0] * shape[1] * shape[2]
    places = [place[:size].view(shape) for place in room]
    jacobian = torch.mul(slopes[0].T.unsqueeze(-1), first.unsqueeze(1), out=places[0])
    for i, weight in enumerate(weights):
        product = places[2 * i + 1]
        torch.mm(weight, jacobian.flatten(1), out=product.flatten(1))
        yield jacobian, product
        if i + 1 < len(weights):
            jacobian = torch.addcmul(jacobian, slopes[i + 1].T.unsqueeze(-1), product, value=h, out=places[2 * i + 2])
