"""Transformers: over the positions of an image, and causal over a sequence with a cache for token-by-token use.

Pre-normalised blocks (Vaswani et al. 2017, arXiv:1706.03762; Xiong et al. 2020, arXiv:2002.04745):

    h <- h + attention(norm(h)),    h <- h + W gelu(V norm(h)),    V 4 times as wide as h
"""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor, nn
from torch.nn import functional as F

from ..errors import ContextError, ShapeError
from .attention import KeyValue, attend, check_heads, check_size, positions
from .conv import Condition, check_counts, dropout_layer, last
from .network import Network
from .sequence import CausalNetwork, before


class TransformerBlock(nn.Module):
    """Pre-normalised transformer block: attention, then a two-layer MLP, each added to its input.

    Args:
        hidden: Length of every token; a multiple of `heads`.
        heads: Number of heads of the attention.
        causal: Whether a token sees only itself and the tokens before it.
        dropout: Probability in [0, 1) of dropping a value that the attention or the MLP adds in training.
    """

    def __init__(self, hidden: int, heads: int, *, causal: bool, dropout: float = 0.0) -> None:
        super().__init__()
        self.heads, self.causal = heads, causal
        self.first_norm, self.second_norm = nn.LayerNorm(hidden), nn.LayerNorm(hidden)
        self.qkv, self.attended = nn.Linear(hidden, 3 * hidden), nn.Linear(hidden, hidden)
        self.up, self.down = nn.Linear(hidden, 4 * hidden), nn.Linear(4 * hidden, hidden)
        self.dropout = dropout_layer(dropout)

    def forward(self, h: Tensor, past: KeyValue | None = None) -> tuple[Tensor, KeyValue]:
        """Return the tokens (B, T, hidden) and all keys and values, from tokens and the keys and values of earlier ones."""
        found, known = attend(self.qkv(self.first_norm(h)), self.heads, causal=self.causal, past=past)
        h = h + self.dropout(self.attended(found))
        return h + self.dropout(self.down(F.gelu(self.up(self.second_norm(h))))), known


class _Transformer(Network):
    """Base class of the two transformers: learned positions, a condition, blocks, a final norm and a linear output."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        tokens: int,
        *,
        hidden: int,
        blocks: int,
        heads: int,
        context: int,
        dropout: float,
        causal: bool,
        zero: bool,
    ) -> None:
        super().__init__()
        check_counts(
            context=context, dropout=dropout, inputs=inputs, outputs=outputs, hidden=hidden, blocks=blocks, heads=heads
        )
        check_heads(hidden, heads)
        self.embed = nn.Linear(inputs, hidden)
        self.positions = positions(tokens, hidden)
        self.condition = Condition(context, hidden) if context else None
        self.blocks = nn.ModuleList(
            TransformerBlock(hidden, heads, causal=causal, dropout=dropout) for _ in range(blocks)
        )
        self.norm = nn.LayerNorm(hidden)
        self.out = last(nn.Linear(hidden, outputs), zero=zero)

    def _condition(self, context: Tensor | None, size: tuple[int, int]) -> Tensor | None:
        """Return what the condition adds to the tokens: (B, 1 or H W, hidden)."""
        return None if self.condition is None else self.condition(context, size)[0].flatten(2).mT

    def _start(self, h: Tensor, first: int, added: Tensor | None) -> Tensor:
        """Return tokens (B, k, hidden) plus positions from `first` on, plus the condition."""
        h = h + self.positions[first : first + h.shape[1]]
        return h if added is None else h + added

    def _all(self, h: Tensor, added: Tensor | None) -> Tensor:
        """Return the outputs of all tokens: (B, T, hidden) -> (B, T, outputs)."""
        h = self._start(h, 0, added)
        for block in self.blocks:
            h, _ = block(h)
        return self.out(self.norm(h))


class ViT(_Transformer):
    """Transformer over the positions of an image, each a token (Jet: Kolesnikov et al. 2024, arXiv:2412.15129).

    To use patches as tokens, squeeze the image first: each patch then becomes the channels of one position.

    Args:
        inputs: Number of channels of x.
        outputs: Number of channels of the result.
        size: Height and width of x, for which positions are learned.
        hidden: Length of every hidden token, a multiple of `heads`.
        blocks: Number of blocks.
        heads: Number of heads of the attention.
        context: Number of channels of the condition, 0 for none; it is added to the tokens before the first block.
        dropout: Probability in [0, 1) of dropping a hidden value in training.
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
        hidden: int = 128,
        blocks: int = 2,
        heads: int = 4,
        context: int = 0,
        dropout: float = 0.0,
        zero: bool = True,
    ) -> None:
        height, width = size
        check_counts(context=context, height=height, width=width)
        super().__init__(
            inputs,
            outputs,
            height * width,
            hidden=hidden,
            blocks=blocks,
            heads=heads,
            context=context,
            dropout=dropout,
            causal=False,
            zero=zero,
        )
        self.size = (height, width)

    def compute(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """Return the result: x (B, inputs, H, W), condition or None -> (B, outputs, H, W)."""
        check_size(x, self.size)
        result = self._all(self.embed(x.flatten(2).mT), self._condition(context, self.size))
        return result.mT.unflatten(2, self.size)


class Cache(NamedTuple):
    """Keys and values of earlier positions in a `CausalTransformer`; extending returns a new cache and keeps the old one."""

    added: Tensor | None
    """Projected condition that is added to every token, (B, 1, hidden); or None."""
    known: tuple[KeyValue, ...]
    """Keys and values of each block; empty before the first position."""

    @property
    def length(self) -> int:
        """Number of outputs computed so far."""
        return self.known[0][0].shape[2] if self.known else 0


class CausalTransformer(_Transformer, CausalNetwork):
    """Transformer whose i-th output depends only on tokens before i (TarFlow: Zhai et al. 2024, arXiv:2412.06329).

    Place i of the sequence holds token i - 1, and place 0 a learned start. Attention looks back only, so the first
    output depends on the condition only.

    For a Jacobi iteration over a block of tokens, extend the same cache by successive guesses. With dropout, use
    evaluation mode.

    Args:
        inputs: Length of every input token.
        outputs: Length of every output token.
        length: Number of tokens T, for which positions are learned.
        hidden: Length of every hidden token, a multiple of `heads`.
        blocks: Number of blocks.
        heads: Number of heads of the attention.
        context: Length of the condition, 0 for none; it is a vector, not a picture, and is added to every token.
        dropout: Probability in [0, 1) of dropping a hidden value in training.
        zero: Whether the last layer starts at zero.

    Raises:
        SpecError: A count is below 1, `heads` does not divide `hidden`, or a probability is outside [0, 1).
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        length: int,
        hidden: int = 128,
        blocks: int = 4,
        heads: int = 4,
        context: int = 0,
        dropout: float = 0.0,
        zero: bool = True,
    ) -> None:
        check_counts(context=context, length=length)
        super().__init__(
            inputs,
            outputs,
            length,
            hidden=hidden,
            blocks=blocks,
            heads=heads,
            context=context,
            dropout=dropout,
            causal=True,
            zero=zero,
        )
        self.length, self.inputs = length, inputs
        self.start = positions(1, hidden)

    def compute(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """Return the outputs: tokens (B, T, inputs), condition (B, context) or None -> (B, T, outputs).

        Raises:
            ShapeError: There are not T tokens.
            ContextError: The condition is missing or has another shape.
        """
        if x.shape[1] != self.length:
            raise ShapeError(f"expected {self.length} tokens, got an x of shape {tuple(x.shape)}")
        return self._all(before(self.embed(x[:, :-1]), self.start), self._vector(context))

    def begin(self, rows: Tensor, context: Tensor | None = None) -> Cache:
        """Return the cache before the first position.

        Args:
            rows: Any tensor of the batch; it is not used.
            context: Condition of shape (B, context), or None.

        Raises:
            ContextError: The condition is missing or has another shape.
        """
        return Cache(self._vector(context), ())

    def extend(self, tokens: Tensor, first: int, cache: Cache) -> tuple[Tensor, Cache]:
        """Return the outputs of some further positions, from the tokens just before them.

        Args:
            tokens: Tokens first - 1 ... first + k - 2, (B, k, inputs). No token comes before token 0: if `first` is 0, these
                are tokens 0 ... k - 2, (B, k - 1, inputs).
            first: Position of the first output, equal to the number of positions in the cache.
            cache: Cache from `begin` or `extend`; not changed.

        Returns:
            Outputs (B, k, outputs) of positions first ... first + k - 1, and the cache extended by these positions.

        Raises:
            ShapeError: The cache ends at another position, or the positions exceed T.
        """
        if first != cache.length:
            raise ShapeError(f"expected first={cache.length}, where the cache ends, got first={first}")
        h = self.embed(tokens)
        if first == 0:
            h = before(h, self.start)
        if first + h.shape[1] > self.length:
            raise ShapeError(f"expected at most {self.length - first} further positions, got {h.shape[1]}")
        h = self._start(h, first, cache.added)
        # Keys and values of a position depend only on it and on earlier positions, so they never change and can be
        # cached.
        known: list[KeyValue] = []
        for block, past in zip(self.blocks, cache.known or (None,) * len(self.blocks), strict=True):
            h, pair = block(h, past)
            known.append(pair)
        return self.out(self.norm(h)), Cache(cache.added, tuple(known))

    def _vector(self, context: Tensor | None) -> Tensor | None:
        if self.condition is not None and context is not None and context.dim() != 2:
            raise ContextError(f"expected a condition of shape (B, context), got one of shape {tuple(context.shape)}")
        return self._condition(context, (1, 1))
