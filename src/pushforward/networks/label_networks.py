"""Networks of one-hot labels (B, D, K): tables, fully connected networks and sequence models.

In a coupling they map the labels that pass to the parameters of the others, (B, n outputs), the first parameter of every label
before the second; in an autoregressive layer they map to (B, D, n). The first operation is linear in the one-hot codes, so
straight-through gradients reach whatever computed the labels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..errors import SpecError
from ..recording import Recorded
from .mlp import MLP
from .network import Network
from .transformer import ViT

MOST_ROWS = 1 << 20


class LabelTable(Recorded, nn.Module):
    """Table with a row of parameters for each combination of labels, the most expressive network of these labels.

    Args:
        inputs: Number of labels.
        outputs: Length of a row.
        classes: Number of values K of a label.
        context: Length of a context, which must be 0; all conditioners have this argument.

    Raises:
        SpecError: The table would have more than 2^20 rows, or there is a context.
    """

    def __init__(self, inputs: int, outputs: int, *, classes: int, context: int = 0) -> None:
        super().__init__()
        self.classes = classes
        if classes**inputs > MOST_ROWS or context:
            raise SpecError(
                f"expected a table of at most {MOST_ROWS:,} rows and no context, got {classes}^{inputs} rows and a context of "
                f"length {context}; use another network"
            )
        self.rows = nn.Parameter(torch.zeros(classes**inputs, outputs))

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """Return the rows of the labels: (B, inputs, K) -> (B, outputs)."""
        if not x.requires_grad:
            # The labels are the digits of the row's number in base K.
            row = torch.zeros(x.shape[0], dtype=torch.long, device=x.device)
            for label in x.argmax(-1).unbind(1):
                row = row * self.classes + label
            return self.rows[row]
        # Products of the one-hot codes select the same row, and let gradients through to the codes.
        joint = x.new_ones(x.shape[0], 1)
        for label in x.unbind(1):
            joint = (joint[:, :, None] * label[:, None, :]).flatten(1)
        return joint @ self.rows


class AutoregressiveTable(Recorded, nn.Module):
    """Tables for all labels: label i has a row of parameters for each combination of the labels before it.

    Args:
        features: Number of labels D.
        n: Number of parameters of each label.
        classes: Number of values K of a label.

    Raises:
        SpecError: A table would have more than 2^20 rows.
    """

    def __init__(self, features: int, n: int, *, classes: int) -> None:
        super().__init__()
        self.tables = nn.ModuleList(LabelTable(i, n, classes=classes) for i in range(features))

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """Return the parameters: (B, D, K) -> (B, D, n)."""
        return torch.stack([table(x[:, :i]) for i, table in enumerate(self.tables)], 1)


class LabelMLP(Network):
    """Fully connected network of the concatenated one-hot codes.

    Args:
        inputs: Number of labels.
        outputs: Length of the result.
        classes: Number of values K of a label.
        context: Length of the context, 0 for none.
        hidden: Widths of the hidden layers.
    """

    def __init__(
        self, inputs: int, outputs: int, *, classes: int, context: int = 0, hidden: Sequence[int] = (64, 64)
    ) -> None:
        super().__init__()
        self.net = MLP(inputs * classes, outputs, hidden=hidden, context=context)

    def compute(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """Return the result: (B, inputs, K) -> (B, outputs)."""
        return self.net(x.flatten(1), context)


class LabelTransformer(Network):
    """Transformer without a causal mask, (B, T, inputs) to (B, T, outputs); see `ViT`.

    Args:
        inputs: Length of every input token.
        outputs: Length of every output token.
        length: Number of tokens T.
        hidden: Width of the transformer, a multiple of `heads`.
        blocks: Number of blocks.
        heads: Number of heads of the attention.
    """

    def __init__(
        self, inputs: int, outputs: int, *, length: int, hidden: int = 128, blocks: int = 2, heads: int = 4
    ) -> None:
        super().__init__()
        self.net = ViT(inputs, outputs, size=(1, length), hidden=hidden, blocks=blocks, heads=heads)

    def compute(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """Return the result: (B, T, inputs) -> (B, T, outputs)."""
        return self.net(x.mT[:, :, None])[:, :, 0].mT


class LabelSequence(Network):
    """Sequence model for a coupling that maps one of every `groups` places.

    The labels that pass are grouped to tokens of `groups` - 1 labels. Token j and its neighbours determine the parameters of
    label j of the mapped labels.

    Args:
        inputs: Number of labels that pass.
        outputs: Number of results, n times the number of mapped labels.
        n: Number of parameters of each label.
        make: Function (length of a token, n, T) that returns the network from (B, T, length) to (B, T, n).
        classes: Number of values K of a label.
        groups: Number of groups of places, at least 2.
        context: Length of a context, which must be 0.

    Raises:
        SpecError: There is a context.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        n: int,
        make: Callable[[int, int, int], nn.Module],
        classes: int,
        groups: int = 2,
        context: int = 0,
    ) -> None:
        super().__init__()
        if context:
            raise SpecError(f"expected no context for a network of sequences, got one of length {context}")
        self.places, self.per = outputs // n, groups - 1
        self.tokens = max(-(-inputs // self.per), self.places)
        self.net = make(classes * self.per, n, self.tokens)

    def compute(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """Return the parameters: (B, inputs, K) -> (B, n places)."""
        missing = self.tokens * self.per - x.shape[1]
        if missing > 0:
            x = F.pad(x, (0, 0, 0, missing))
        return self.net(x.unflatten(1, (self.tokens, self.per)).flatten(2))[:, : self.places].mT.flatten(1)


class OneHotCode(Recorded, nn.Module):
    """One-hot encoding of labels: whole numbers (B,) to vectors (B, classes).

    Args:
        classes: Number of labels.
    """

    codes: Tensor

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.classes = classes
        self.register_buffer("codes", torch.eye(classes), persistent=False)

    def forward(self, labels: Tensor) -> Tensor:
        """Return the one-hot vectors of labels."""
        return self.codes[labels]
