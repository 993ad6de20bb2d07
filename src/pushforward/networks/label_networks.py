"""Networks of one-hot labels (B, D, K): tables, fully connected ones, and sequences.

They map the labels that pass a coupling to the parameters of the others, (B, n outputs), the first parameter of every
label and then the second; or, autoregressive, to (B, D, n). All are linear in the codes at their entrance, so that
straight-through gradients reach whatever made the labels.
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
    """A row of parameters for each combination of labels: an embedding. No network of the same labels can express more.

    Args:
        inputs: number of labels.
        outputs: length of a row.
        classes: K.
        context: must be 0; taken for the sake of a common signature.

    Raises:
        SpecError: more than a million rows, or a context.
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
        """(B, inputs, K) -> (B, outputs)."""
        if not x.requires_grad:
            row = torch.zeros(x.shape[0], dtype=torch.long, device=x.device)
            for label in x.argmax(-1).unbind(1):
                row = row * self.classes + label
            return self.rows[row]
        # Products of the codes choose the same row, and let a gradient through to them.
        joint = x.new_ones(x.shape[0], 1)
        for label in x.unbind(1):
            joint = (joint[:, :, None] * label[:, None, :]).flatten(1)
        return joint @ self.rows


class AutoregressiveTable(Recorded, nn.Module):
    """For label i a row of parameters for each combination of the labels before it.

    Args:
        features: D.
        n: parameters of each label.
        classes: K.

    Raises:
        SpecError: more than a million rows.
    """

    def __init__(self, features: int, n: int, *, classes: int) -> None:
        super().__init__()
        self.tables = nn.ModuleList(LabelTable(i, n, classes=classes) for i in range(features))

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """(B, D, K) -> (B, D, n)."""
        return torch.stack([table(x[:, :i]) for i, table in enumerate(self.tables)], 1)


class LabelMLP(Network):
    """Fully connected layers on the codes side by side.

    Args:
        inputs: number of labels.
        outputs: length of the result.
        classes: K.
        context: length of the context, 0 for none.
        hidden: widths of the hidden layers.
    """

    def __init__(
        self, inputs: int, outputs: int, *, classes: int, context: int = 0, hidden: Sequence[int] = (64, 64)
    ) -> None:
        super().__init__()
        self.net = MLP(inputs * classes, outputs, hidden=hidden, context=context)

    def compute(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """(B, inputs, K) -> (B, outputs)."""
        return self.net(x.flatten(1), context)


class LabelTransformer(Network):
    """A transformer that sees all tokens: (B, T, inputs) to (B, T, outputs); see `ViT`.

    Args:
        inputs: length of every token.
        outputs: length of every result.
        length: T.
        hidden: width; a multiple of `heads`.
        blocks: their number.
        heads: Number of heads of the attention.
    """

    def __init__(
        self, inputs: int, outputs: int, *, length: int, hidden: int = 128, blocks: int = 2, heads: int = 4
    ) -> None:
        super().__init__()
        self.net = ViT(inputs, outputs, size=(1, length), hidden=hidden, blocks=blocks, heads=heads)

    def compute(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """(B, T, inputs) -> (B, T, outputs)."""
        return self.net(x.mT[:, :, None])[:, :, 0].mT


class LabelSequence(Network):
    """A network of sequences for a coupling of alternating places: token j of those that pass, and its neighbours, give the
    parameters of label j of those that are mapped.

    Args:
        inputs: number of labels that pass.
        outputs: n times the number that is mapped.
        n: parameters of each label.
        make: the network, from (length of a token, n, T), of (B, T, length) to (B, T, n).
        classes: K.
        context: must be 0.

    Raises:
        SpecError: a context.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        n: int,
        make: Callable[[int, int, int], nn.Module],
        classes: int,
        context: int = 0,
    ) -> None:
        super().__init__()
        if context:
            raise SpecError(f"expected no context for a network of sequences, got one of length {context}")
        self.places = outputs // n
        self.net = make(classes, n, max(inputs, self.places))

    def compute(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """(B, inputs, K) -> (B, n places)."""
        missing = self.places - x.shape[1]
        if missing > 0:
            x = F.pad(x, (0, 0, 0, missing))
        return self.net(x)[:, : self.places].mT.flatten(1)


class OneHotCode(Recorded, nn.Module):
    """One-hot codes of labels: whole numbers (B,) to vectors (B, classes).

    Args:
        classes: Number of labels.
    """

    codes: Tensor

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.classes = classes
        self.register_buffer("codes", torch.eye(classes), persistent=False)

    def forward(self, labels: Tensor) -> Tensor:
        """Return the codes of labels."""
        return self.codes[labels]
