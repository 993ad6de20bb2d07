"""Maps of one-hot labels whose parameters are logits of choices, with exact costs over all choices."""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Self

import torch
from torch import Tensor

from ..core import Space
from ..errors import SpecError
from .scalar import ScalarMap

IMPOSSIBLE = -1e9
"""Logit of a choice that a coordinate does not have; finite, so that its product with a probability of zero is zero."""


@dataclass(frozen=True)
class LabelMap(ScalarMap, abc.ABC):
    """Base class of maps of one-hot labels whose parameters are logits of choices.

    The map takes the likeliest choice. Its two costs are sums over all choices, weighted by their softmaxes.

    Args:
        classes: Number of labels K of every coordinate, or a tuple with one number per coordinate.
        whole: Length of the one-hot vectors if it is not the largest K; 0 otherwise.
    """

    classes: int | tuple[int, ...]
    whole: int = field(default=0, kw_only=True, repr=False)

    @property
    def width(self) -> int:
        """Length of the one-hot vectors, the largest K of all coordinates of the space."""
        return self.whole or (max(self.classes) if isinstance(self.classes, tuple) else self.classes)

    def check(self, space: Space) -> None:
        """Check that the space has `OneHot` labels with these numbers of classes.

        Raises:
            SpecError: The space does not; the message names it.
        """
        counts = self.classes if isinstance(self.classes, tuple) else (self.classes,) * space.shape[0]
        if not space.one_hot or space.shape[1] != self.width or space.counts != counts:
            raise SpecError(
                f"{type(self).__name__}({self.classes}) maps one-hot labels of those numbers of classes, got {space}"
            )

    def part(self, which: int | Sequence[int]) -> Self:
        """Return the map of one coordinate or of some coordinates, with the same length of one-hot vectors."""
        if not isinstance(self.classes, tuple):
            return self
        chosen = (which,) if isinstance(which, int) else tuple(which)
        return dataclasses.replace(self, classes=tuple(self.classes[i] for i in chosen), whole=self.width)

    @property
    @abc.abstractmethod
    def n(self) -> int:
        """Number of parameters of a coordinate: K logits for each kind of choice."""

    @abc.abstractmethod
    def forward(self, x: Tensor, p: Tensor) -> tuple[Tensor, Tensor]:
        """Return one-hot z, and 0: x (..., K), p (..., n) -> z (..., K), (...)."""

    @abc.abstractmethod
    def inverse(self, z: Tensor, p: Tensor) -> tuple[Tensor, Tensor]:
        """Return one-hot x, and 0."""

    @abc.abstractmethod
    def cost_of_zero(self, x: Tensor, p: Tensor) -> Tensor:
        """Return -log P(z = 0), where the choices are drawn from the softmaxes: x (..., K), p (..., n) -> (...), in nats.

        This is the negative log-likelihood of a random choice on a base that is certain of 0.
        """

    @abc.abstractmethod
    def expected_cost(self, x: Tensor, p: Tensor, log_base: Tensor) -> Tensor:
        """Return the mean of -log b(z) over choices from the softmaxes, minus their entropy, plus a constant; at least 0.

        Args:
            x: One-hot labels, (..., K).
            p: Logits of the choices, (..., n).
            log_base: Logarithms of the probabilities b of the labels z, of a shape that broadcasts to (..., K).
        """

    @property
    def _counts(self) -> tuple[int, ...]:
        return self.classes if isinstance(self.classes, tuple) else (self.classes,)

    def _moduli(self, like: Tensor) -> Tensor:
        """Return K as a tensor (1,), or the K of each coordinate as (D, 1)."""
        counts = torch.tensor(self._counts, device=like.device)
        return counts[:, None] if len(counts) > 1 else counts
