"""Gated convolutions and self-attention for couplings of images: the network of Flow++.

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
"""Keys and values of some positions, (B, heads, positions, hidden / heads) each."""


def attend(qkv: Tensor, heads: int, *, causal: bool = False, past: KeyValue | None = None) -> tuple[Tensor, KeyValue]:
    """Multi-head attention softmax(q k^T / sqrt(d)) v of every position to all, or to those up to itself.

    A derivative of second order can be taken by the functional transforms (`torch.func`), not with `create_graph`: torch's
    fused attention has none.

    Args:
        qkv: (B, T, 3 hidden): queries, keys and values beside each other.
        heads: their number; it divides `hidden`.
        causal: whether a position attends only to itself and those before it.
        past: keys and values of P positions before these, which all of these attend to; not changed.

    Returns:
        (B, T, hidden), and the keys and values of all P + T positions.
    """
    query, key, value = qkv.unflatten(-1, (3, heads, -1)).permute(2, 0, 3, 1, 4).unbind()
    if past is not None:
        key, value = torch.cat([past[0], key], 2), torch.cat([past[1], value], 2)
    mask = None
    if causal and past is not None and query.shape[2] > 1:
        # Torch's own causal mask supposes that the first query stands at the first key.
        mask = _up_to_itself(query, key)
    whole = causal and past is None
    if torch.compiler.is_compiling() or eager(qkv, key):
        result = F.scaled_dot_product_attention(query, key, value, attn_mask=mask, is_causal=whole)
    else:
        # The fused kernels have no rules for functional transforms.
        result = _plain(query, key, value, _up_to_itself(query, key) if whole else mask)
    return result.transpose(1, 2).flatten(2), (key, value)


def _up_to_itself(query: Tensor, key: Tensor) -> Tensor:
    """(T, P + T) booleans: True where a query at position P + i may see a key."""
    new, known = query.shape[2], key.shape[2]
    return torch.ones(new, known, dtype=torch.bool, device=query.device).tril(known - new)


def _plain(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None) -> Tensor:
    scores = query @ key.mT / math.sqrt(query.shape[-1])
    if mask is not None:
        scores = scores.masked_fill(~mask, -math.inf)
    return scores.softmax(-1) @ value


def check_heads(hidden: int, heads: int) -> None:
    """Refuse a width that the heads cannot share.

    Raises:
        SpecError: `heads` does not divide `hidden`.
    """
    if hidden % heads:
        raise SpecError(f"expected hidden to be a multiple of heads, got hidden={hidden} and heads={heads}")


def check_size(x: Tensor, size: tuple[int, int]) -> None:
    """Refuse images of another size than the positions that were learned.

    Raises:
        ShapeError: x (B, inputs, H, W) has another H or W.
    """
    if tuple(x.shape[2:]) != size:
        raise ShapeError(f"expected images of {size[0]} x {size[1]}, got an x of shape {tuple(x.shape)}")


def positions(count: int, hidden: int) -> nn.Parameter:
    """(count, hidden): a learned vector for each position, normal with standard deviation .02 (cut at 2) at the start."""
    return nn.Parameter(nn.init.trunc_normal_(torch.empty(count, hidden), std=0.02, a=-0.04, b=0.04))


def concat_elu(x: Tensor) -> Tensor:
    """(B, C, ...) -> (B, 2 C, ...): elu of x and of -x beside each other."""
    return F.elu(torch.cat([x, -x], 1))


class GatedConv(nn.Module):
    """A gated residual convolution: x + GLU(conv1x1(dropout(concat_elu(conv3x3(concat_elu(x)) + condition)))).

    GLU(a, b) = a sigmoid(b).

    Args:
        hidden: channels of x and of the result.
        dropout: probability of dropping a hidden number while training.
    """

    def __init__(self, hidden: int, *, dropout: float = 0.0) -> None:
        super().__init__()
        self.first = nn.Conv2d(2 * hidden, hidden, 3, padding=1)
        self.second = nn.Conv2d(2 * hidden, 2 * hidden, 1)
        self.dropout = dropout_layer(dropout)

    def forward(self, x: Tensor, added: Tensor | None = None) -> Tensor:
        """(B, hidden, H, W), what the condition adds or None -> (B, hidden, H, W)."""
        h = self.first(concat_elu(x))
        if added is not None:
            h = h + added
        return x + F.glu(self.second(self.dropout(concat_elu(h))), 1)


class GatedSelfAttention(nn.Module):
    """Gated residual self-attention over positions: x + GLU(W attention(V (x + position))).

    Args:
        hidden: length of every token.
        heads: Number of heads of the attention.
        dropout: probability of dropping a number of what the attention gives while training.
    """

    def __init__(self, hidden: int, heads: int, *, dropout: float = 0.0) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(hidden, 3 * hidden)
        self.out = nn.Linear(hidden, 2 * hidden)
        self.dropout = dropout_layer(dropout)

    def forward(self, x: Tensor, where: Tensor) -> Tensor:
        """(B, T, hidden), the positions' vectors (T, hidden) -> (B, T, hidden)."""
        h, _ = attend(self.qkv(x + where), self.heads)
        return x + F.glu(self.out(self.dropout(h)), -1)


class GatedAttention(Network):
    """The network of Flow++'s couplings: gated convolutions and gated self-attention, between two 3 x 3 convolutions.

    A block is a `GatedConv`, a layer normalisation over the channels of each position, a `GatedSelfAttention` with learned
    positions, and a layer normalisation (Ho et al. 2019, arXiv:1902.00275, section 3.3).

    Args:
        inputs: channels of x.
        outputs: channels of the result.
        size: H, W of x; positions are learned for them.
        hidden: channels between; a multiple of `heads`.
        blocks: their number.
        heads: Number of heads of the attention.
        context: channels of the condition, 0 for none; it is added to the first hidden layer and inside every `GatedConv`.
        dropout: probability of dropping a hidden number while training.
        attention: whether there is self-attention; without it a block is a `GatedConv` and a layer normalisation.
        zero: whether the last layer starts at zero.

    Raises:
        SpecError: a count below 1, `heads` does not divide `hidden`, or a probability outside 0 <= p < 1.
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
        """(B, inputs, H, W), a condition or None -> (B, outputs, H, W)."""
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
