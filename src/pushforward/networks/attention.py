"""Gated convolutions and self-attention for couplings of images, the network of Flow++.

Ho et al. 2019, arXiv:1902.00275, section 3.3, and their published code.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..errors import ShapeError, SpecError
from ..functional.hand_gradients import eager
from .conv import Condition, check_counts, dropout_layer, last
from .network import Network

KeyValue = tuple[Tensor, Tensor]
"""Keys and values of some positions, each (B, heads, positions, hidden / heads)."""


def attend(qkv: Tensor, heads: int, *, causal: bool = False, past: KeyValue | None = None) -> tuple[Tensor, KeyValue]:
    """Return multi-head attention softmax(q k^T / sqrt(d)) v, of every position to all positions or to earlier ones.

    torch's fused attention has no second derivative under `create_graph`; the functional transforms of `torch.func` can take
    one.

    Args:
        qkv: Queries, keys and values along the last dimension, (B, T, 3 hidden).
        heads: Number of heads, a divisor of `hidden`.
        causal: Whether a position attends only to itself and the positions before it.
        past: Keys and values of P earlier positions, to which all T positions attend; not changed.

    Returns:
        Results (B, T, hidden), and the keys and values of all P + T positions.
    """
    query, key, value = qkv.unflatten(-1, (3, heads, -1)).permute(2, 0, 3, 1, 4).unbind()
    if past is not None:
        key, value = torch.cat([past[0], key], 2), torch.cat([past[1], value], 2)
    mask = None
    if causal and past is not None and query.shape[2] > 1:
        # torch's own causal mask assumes that the first query is at the first key.
        mask = _up_to_itself(query, key)
    whole = causal and past is None
    if torch.compiler.is_compiling() or eager(qkv, key):
        result = F.scaled_dot_product_attention(query, key, value, attn_mask=mask, is_causal=whole)
    else:
        # The fused kernels do not support function transforms.
        result = _plain(query, key, value, _up_to_itself(query, key) if whole else mask)
    return result.transpose(1, 2).flatten(2), (key, value)


def _up_to_itself(query: Tensor, key: Tensor) -> Tensor:
    """Return a mask (T, P + T) of booleans, True where the query at position P + i may see a key."""
    new, known = query.shape[2], key.shape[2]
    # Query i is at position P + i with P = known - new, so it may see keys j <= i + known - new.
    return torch.ones(new, known, dtype=torch.bool, device=query.device).tril(known - new)


def _plain(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None) -> Tensor:
    scores = query @ key.mT / math.sqrt(query.shape[-1])
    if mask is not None:
        scores = scores.masked_fill(~mask, -math.inf)
    return scores.softmax(-1) @ value


def check_heads(hidden: int, heads: int) -> None:
    """Check that the number of heads divides the width.

    Raises:
        SpecError: The argument `heads` does not divide `hidden`.
    """
    if hidden % heads:
        raise SpecError(f"expected hidden to be a multiple of heads, got hidden={hidden} and heads={heads}")


def check_size(x: Tensor, size: tuple[int, int]) -> None:
    """Check that images have the size for which positions were learned.

    Raises:
        ShapeError: The tensor x (B, inputs, H, W) has another H or W.
    """
    if tuple(x.shape[2:]) != size:
        raise ShapeError(f"expected images of {size[0]} x {size[1]}, got an x of shape {tuple(x.shape)}")


def positions(count: int, hidden: int) -> nn.Parameter:
    """Return a learned vector for each position, (count, hidden), from a normal with deviation .02 cut at 2 deviations."""
    return nn.Parameter(nn.init.trunc_normal_(torch.empty(count, hidden), std=0.02, a=-0.04, b=0.04))


def concat_elu(x: Tensor) -> Tensor:
    """Return elu(x) and elu(-x) along the channels: (B, C, ...) -> (B, 2 C, ...)."""
    return F.elu(torch.cat([x, -x], 1))


class GatedConv(nn.Module):
    """Gated residual convolution: x + GLU(conv1x1(dropout(concat_elu(conv3x3(concat_elu(x)) + condition)))).

    GLU(a, b) = a sigmoid(b).

    Args:
        hidden: Number of channels of x and of the result.
        dropout: Probability in [0, 1) of dropping a hidden value in training.
    """

    def __init__(self, hidden: int, *, dropout: float = 0.0) -> None:
        super().__init__()
        self.first = nn.Conv2d(2 * hidden, hidden, 3, padding=1)
        self.second = nn.Conv2d(2 * hidden, 2 * hidden, 1)
        self.dropout = dropout_layer(dropout)

    def forward(self, x: Tensor, added: Tensor | None = None) -> Tensor:
        """Return the result (B, hidden, H, W) from x of the same shape and the projected condition, or None."""
        h = self.first(concat_elu(x))
        if added is not None:
            h = h + added
        return x + F.glu(self.second(self.dropout(concat_elu(h))), 1)


class GatedSelfAttention(nn.Module):
    """Gated residual self-attention over positions: x + GLU(W attention(V (x + position))).

    Args:
        hidden: Length of every token.
        heads: Number of heads of the attention.
        dropout: Probability in [0, 1) of dropping a value of the attention's result in training.
    """

    def __init__(self, hidden: int, heads: int, *, dropout: float = 0.0) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(hidden, 3 * hidden)
        self.out = nn.Linear(hidden, 2 * hidden)
        self.dropout = dropout_layer(dropout)

    def forward(self, x: Tensor, where: Tensor) -> Tensor:
        """Return the result (B, T, hidden) from tokens x of the same shape and the positions' vectors (T, hidden)."""
        h, _ = attend(self.qkv(x + where), self.heads)
        return x + F.glu(self.out(self.dropout(h)), -1)


class GatedAttention(Network):
    """Network of Flow++'s couplings: gated convolutions and gated self-attention, between two 3 x 3 convolutions.

    A block is a `GatedConv`, a layer normalisation over the channels of each position, a `GatedSelfAttention` with learned
    positions, and a layer normalisation (Ho et al. 2019, arXiv:1902.00275, section 3.3).

    Args:
        inputs: Number of channels of x.
        outputs: Number of channels of the result.
        size: Height and width of x, for which positions are learned.
        hidden: Number of hidden channels, a multiple of `heads`.
        blocks: Number of blocks.
        heads: Number of heads of the attention.
        context: Number of channels of the condition, 0 for none; it is added to the first hidden layer and inside every
            `GatedConv`.
        dropout: Probability in [0, 1) of dropping a hidden value in training.
        attention: Whether blocks have self-attention; otherwise a block is a `GatedConv` and a layer normalisation.
        zero: Whether the last layer starts at zero.

    Raises:
        SpecError: A count is below 1, `heads` does not divide `hidden`, or a probability is outside [0, 1).
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        size: tuple[int, int],
        hidden: int = 96,
        blocks: int = 10,
        heads: int = 4,
        context: int = 0,
        dropout: float = 0.0,
        attention: bool = True,
        zero: bool = True,
    ) -> None:
        super().__init__()
        height, width = size
        check_counts(
            context=context,
            dropout=dropout,
            inputs=inputs,
            outputs=outputs,
            height=height,
            width=width,
            hidden=hidden,
            blocks=blocks,
            heads=heads,
        )
        self.size = (height, width)
        self.first = nn.Conv2d(inputs, hidden, 3, padding=1)
        self.positions: nn.Parameter | None = None
        if attention:
            check_heads(hidden, heads)
            self.positions = positions(height * width, hidden)
        self.blocks = nn.ModuleList(
            _GatedBlock(hidden, heads, dropout=dropout, attention=attention) for _ in range(blocks)
        )
        self.out = last(nn.Conv2d(hidden, outputs, 3, padding=1), zero=zero)
        self.condition = Condition(context, hidden, 1 + blocks) if context else None

    def compute(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """Return the result: x (B, inputs, H, W), condition or None -> (B, outputs, H, W)."""
        check_size(x, self.size)
        h = self.first(x)
        added: Sequence[Tensor | None] = [None] * len(self.blocks)
        if self.condition is not None:
            start, *added = self.condition(context, self.size)
            h = h + start
        for block, a in zip(self.blocks, added, strict=True):
            h = block(h, a, self.positions)
        return self.out(h)


class _GatedBlock(nn.Module):
    def __init__(self, hidden: int, heads: int, *, dropout: float, attention: bool) -> None:
        super().__init__()
        self.conv = GatedConv(hidden, dropout=dropout)
        self.first_norm = nn.LayerNorm(hidden)
        self.attention = GatedSelfAttention(hidden, heads, dropout=dropout) if attention else None
        self.second_norm = nn.LayerNorm(hidden) if attention else None

    def forward(self, x: Tensor, added: Tensor | None, where: Tensor | None) -> Tensor:
        h = self.conv(x, added)
        tokens = self.first_norm(h.flatten(2).mT)
        if self.attention is not None:
            tokens = self.second_norm(self.attention(tokens, where))  # type: ignore[misc]
        return tokens.mT.unflatten(2, h.shape[2:])
