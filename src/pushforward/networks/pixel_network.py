"""Base class of causal networks of pictures."""

from __future__ import annotations

import abc
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..errors import ShapeError
from .conv import Condition, check_counts, dropout_layer, last
from .pixel_masks import MaskedConv2d
from .pixel_walk import Walk
from .sequence import CausalNetwork

Added = tuple[Tensor | None, ...]


class PixelNetwork(CausalNetwork):
    """Base class of causal networks over the tokens of a picture: its pixels, or the channels of its pixels one by one.

    Tokens are in raster order, and the channels of a pixel follow each other. A network computes features whose group g
    depends on earlier pixels and on the tokens before g of the same pixel, and two 1 x 1 convolutions turn them into the
    outputs. Each position also has a learned bias behind the first layer. With `zero`, the last weights are zero at first,
    so that a fresh network returns its last bias.

    `unroll` keeps the features of the tokens so far, so that all tokens together cost about one pass. With dropout, use it in
    evaluation mode.

    Args:
        inputs: Length of every input token.
        outputs: Length of every output token.
        size: Number of tokens of a pixel, height and width.
        hidden: Number of hidden channels inside of a layer.
        features: Number of channels from which the outputs are computed.
        context: Number of channels of the condition, a vector or a picture; 0 for none.
        added: Number of channels that the condition adds to each layer.
        places: Number of layers to which the condition is added.
        dropout: Probability in [0, 1) of dropping a hidden value in training.
        zero: Whether the last layer starts at zero.

    Raises:
        SpecError: A count is below 1, or a probability is outside [0, 1).
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        size: tuple[int, int, int],
        *,
        hidden: int,
        features: int,
        context: int,
        added: int,
        places: int,
        dropout: float,
        zero: bool,
    ) -> None:
        super().__init__()
        tokens, height, width = size
        check_counts(
            context=context,
            dropout=dropout,
            inputs=inputs,
            outputs=outputs,
            tokens=tokens,
            height=height,
            width=width,
            hidden=hidden,
        )
        check_counts(context=0, **{"hidden / tokens of a pixel": hidden // tokens})
        self.inputs, self.outputs, self.size = inputs, outputs, (tokens, height, width)
        self.positions = nn.Parameter(torch.zeros(1, features, height, width))
        self.condition = Condition(context, added, places) if context else None
        self.places = places
        self.dropout = dropout_layer(dropout)
        self.before_last = MaskedConv2d(features, features, (0, 0), sees="here", tokens=tokens)
        self.last = last(MaskedConv2d(features, tokens * outputs, (0, 0), sees="here", tokens=tokens), zero=zero)

    @abc.abstractmethod
    def features(self, x: Tensor, added: Added, walk: Walk | None = None) -> Tensor:
        """Return the features from which the outputs are computed.

        Args:
            x: Tokens as a map (B, tokens inputs, H, W); not used with a walk, which knows them.
            added: Maps that the condition adds to the layers; None without a condition.
            walk: Walk through the picture, or None to compute all features.

        Returns:
            Features (B, channels, H, W); or those of the walk's token, (channels of its group, B).
        """

    def start_row(self, walk: Walk) -> None:
        """Compute what layers need of the rows above, when a walk starts a row below the first."""

    def _head(self, h: Tensor, walk: Walk | None = None) -> Tensor:
        h = self.before_last(torch.relu(h), walk)
        return self.last(self.dropout(torch.relu(h)), walk)

    def _added(self, context: Tensor | None) -> Added:
        return (None,) * self.places if self.condition is None else self.condition(context, self.size[1:])

    def compute(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """Return the outputs: tokens (B, T, inputs), condition or None -> (B, T, outputs).

        Raises:
            ShapeError: There are not T tokens.
            ContextError: The condition is missing or has another shape.
        """
        tokens, height, width = self.size
        if x.shape[1] != tokens * height * width:
            raise ShapeError(f"expected {tokens * height * width} tokens, got an x of shape {tuple(x.shape)}")
        picture = x.reshape(x.shape[0], height, width, tokens * self.inputs).permute(0, 3, 1, 2)
        made = self._head(self.features(picture, self._added(context)))
        return made.permute(0, 2, 3, 1).reshape(x.shape[0], x.shape[1], self.outputs)

    def start_at(self, values: Tensor) -> None:
        """Set the last bias to the mean over the pixels of `values` (T, outputs), for a network that is fresh."""
        assert self.last.bias is not None  # noqa: S101  (for the type checker)
        with torch.no_grad():
            self.last.bias.copy_(values.reshape(-1, len(self.last.bias)).mean(0))

    def begin(self, rows: Tensor, context: Tensor | None = None) -> Walk:
        """Return a walk that stands before the first token."""
        return Walk(self.size, rows, self._added(context))

    def extend(self, tokens: Tensor, first: int, cache: Walk) -> tuple[Tensor, Walk]:
        """Return the outputs of some further positions, and the walk that has computed them, as every causal network does.

        Raises:
            ShapeError: The walk stands at another position, or the positions exceed T.
        """
        if first != cache.done:
            raise ShapeError(f"expected first={cache.done}, where the walk stands, got first={first}")
        walk = cache.copied()
        known = list(tokens.unbind(1))
        outputs = [self._next(walk)] if first == 0 else []
        for token in known:
            walk.tell(token)
            outputs.append(self._next(walk))
        return torch.stack(outputs, 1), walk

    def unroll(
        self, step: Callable[[int, Tensor], Tensor], rows: Tensor, length: int, context: Tensor | None = None
    ) -> None:
        """Compute all tokens one after the other, as every causal network does."""
        walk = self.begin(rows, context)
        for i in range(length):
            walk.tell(step(i, self._next(walk)))

    def _next(self, walk: Walk) -> Tensor:
        """Return the outputs of the next token, (B, outputs), and move the walk there."""
        tokens, height, width = self.size
        if walk.done == tokens * height * width:
            raise ShapeError(f"expected at most {walk.done} positions, got more")
        walk.go_to(walk.done)
        walk.done += 1
        if walk.i and walk.j == walk.g == 0:
            self.start_row(walk)
        return self._head(self.features(walk.rows, walk.added, walk), walk).mT


def down(h: Tensor) -> Tensor:
    """Shift a map (..., H, W) down by one row, with zeros in the first row."""
    return F.pad(h, (0, 0, 1, 0))[..., :-1, :]
