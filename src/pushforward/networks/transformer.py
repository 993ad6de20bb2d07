"""Transformers: over the positions of an image, and causal over a sequence with a cache for one token after the other.

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
    """A pre-normalised transformer block: attention, then an MLP of two layers, each added to what it got.

    Args:
        hidden: length of every token; a multiple of `heads`.
        heads: Number of heads of the attention.
        causal: whether a token sees only itself and those before it.
        dropout: probability of dropping a number that the attention or the MLP adds while training.
    """

    def __init__(self, hidden: int, heads: int, *, causal: bool, dropout: float = 0.0) -> None:
        super().__init__()
        self.heads, self.causal = heads, causal
        self.first_norm, self.second_norm = nn.LayerNorm(hidden), nn.LayerNorm(hidden)
        self.qkv, self.attended = nn.Linear(hidden, 3 * hidden), nn.Linear(hidden, hidden)
        self.up, self.down = nn.Linear(hidden, 4 * hidden), nn.Linear(4 * hidden, hidden)
        self.dropout = dropout_layer(dropout)

    def forward(self, h: Tensor, past: KeyValue | None = None) -> tuple[Tensor, KeyValue]:
        """Tokens (B, T, hidden), keys and values of those before -> (B, T, hidden), keys and values with these."""
        found, known = attend(self.qkv(self.first_norm(h)), self.heads, causal=self.causal, past=past)
        h = h + self.dropout(self.attended(found))
        return h + self.dropout(self.down(F.gelu(self.up(self.second_norm(h))))), known


class _Transformer(Network):
    """What the two transformers share: tokens in, learned positions, a condition, blocks, a last norm, and a way out."""

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
        """What the condition adds to the tokens: (B, 1 or H W, hidden)."""
        return None if self.condition is None else self.condition(context, size)[0].flatten(2).mT

    def _start(self, h: Tensor, first: int, added: Tensor | None) -> Tensor:
        """Tokens (B, k, hidden), of which the first stands at position `first`, made ready for the blocks."""
        h = h + self.positions[first : first + h.shape[1]]
        return h if added is None else h + added

    def _all(self, h: Tensor, added: Tensor | None) -> Tensor:
        """All tokens at once: (B, T, hidden) -> (B, T, outputs)."""
        h = self._start(h, 0, added)
        for block in self.blocks:
            h, _ = block(h)
        return self.out(self.norm(h))


class ViT(_Transformer):
    """A transformer over the positions of an image, each a token (Jet: Kolesnikov et al. 2024, arXiv:2412.15129).

    Patches are made before, by squeezing the image: a patch is then the channels of a position.

    Args:
        inputs: channels of x.
        outputs: channels of the result.
        size: H, W of x; positions are learned for them.
        hidden: length of every token; a multiple of `heads`.
        blocks: their number.
        heads: Number of heads of the attention.
        context: channels of the condition, 0 for none; it is added to the tokens before the first block.
        dropout: probability of dropping a hidden number while training.
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
        """(B, inputs, H, W), a condition or None -> (B, outputs, H, W)."""
        check_size(x, self.size)
        result = self._all(self.embed(x.flatten(2).mT), self._condition(context, self.size))
        return result.mT.unflatten(2, self.size)


class Cache(NamedTuple):
    """What a `CausalTransformer` keeps of the positions behind it. Extending makes a new one and leaves the old usable."""

    added: Tensor | None
    """What the condition adds to every token, (B, 1, hidden)."""
    known: tuple[KeyValue, ...]
    """Keys and values of each block; none before the first position."""

    @property
    def length(self) -> int:
        """How many outputs there are so far."""
        return self.known[0][0].shape[2] if self.known else 0


class CausalTransformer(_Transformer, CausalNetwork):
    """A transformer whose i-th output sees the tokens before i only (TarFlow: Zhai et al. 2024, arXiv:2412.06329).

    Place i of the sequence holds token i - 1, place 0 a learned start, and attention looks back: the first output depends
    on the condition only.

    To find the tokens of a block together by Jacobi iteration, extend the same cache by the guess again and again. Call both in
    evaluation mode where there is dropout.

    Args:
        inputs: length of every token.
        outputs: length of every result.
        length: T, number of tokens; positions are learned for them.
        hidden: length of every hidden token; a multiple of `heads`.
        blocks: their number.
        heads: Number of heads of the attention.
        context: length of the condition, 0 for none; a vector, which is added to every token. Not a picture.
        dropout: probability of dropping a hidden number while training.
        zero: whether the last layer starts at zero.

    Raises:
        SpecError: a count below 1, `heads` does not divide `hidden`, or a probability outside 0 <= p < 1.
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
        """Tokens (B, T, inputs), the condition (B, context) or None -> (B, T, outputs).

        Raises:
            ShapeError: not T tokens.
            ContextError: no condition, or one of another shape.
        """
        if x.shape[1] != self.length:
            raise ShapeError(f"expected {self.length} tokens, got an x of shape {tuple(x.shape)}")
        return self._all(before(self.embed(x[:, :-1]), self.start), self._vector(context))

    def begin(self, rows: Tensor, context: Tensor | None = None) -> Cache:
        """The cache before the first position.

        Args:
            rows: any tensor of the batch; nothing of it is read.
            context: (B, context) or None.

        Raises:
            ContextError: no condition, or one of another shape.
        """
        return Cache(self._vector(context), ())

    def extend(self, tokens: Tensor, first: int, cache: Cache) -> tuple[Tensor, Cache]:
        """The outputs of some further positions, from the tokens just before them.

        Args:
            tokens: (B, k, inputs), tokens first - 1 ... first + k - 2. Before token 0 there is none: when `first` is 0, they
                are tokens 0 ... k - 2, of shape (B, k - 1, inputs).
            first: position of the first output; as many positions are in the cache.
            cache: Cache of `begin` or `extend`; not changed.

        Returns:
            (B, k, outputs), those of positions first ... first + k - 1, and the cache with these positions.

        Raises:
            ShapeError: the cache ends at another position, or there are more positions than T.
        """
        if first != cache.length:
            raise ShapeError(f"expected to go on at position {cache.length}, where the cache ends, got first={first}")
        h = self.embed(tokens)
        if first == 0:
            h = before(h, self.start)
        if first + h.shape[1] > self.length:
            raise ShapeError(f"expected at most {self.length - first} further positions, got {h.shape[1]}")
        h = self._start(h, first, cache.added)
        known: list[KeyValue] = []
        for block, past in zip(self.blocks, cache.known or (None,) * len(self.blocks), strict=True):
            h, pair = block(h, past)
            known.append(pair)
        return self.out(self.norm(h)), Cache(cache.added, tuple(known))

    def _vector(self, context: Tensor | None) -> Tensor | None:
        if self.condition is not None and context is not None and context.dim() != 2:
            raise ContextError(f"expected a condition of shape (B, context), got one of shape {tuple(context.shape)}")
        return self._condition(context, (1, 1))
