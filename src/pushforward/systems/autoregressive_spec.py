"""Base class of autoregressive systems of rows: real numbers, bits or labels, one entry after the other."""

from __future__ import annotations

import abc
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Self

import numpy as np
from torch import nn

from ..core import Categories, Distribution, Flow, Identity, Real
from ..distributions import AutoregressiveModel, Factor, MixtureFactor, OrderAverage, label_factor
from ..errors import SpecError
from ..networks import MaskEnsemble, OneHotCode
from ..transforms import Affine, Autoregressive, RationalQuadratic, Scalar
from .vector_spec import VectorSpec

Conditionals = Literal["normal", "gaussian-mixture", "laplace-mixture", "logistic-mixture", "spline"]


@dataclass(frozen=True, kw_only=True)
class AutoregressiveSpec(VectorSpec, register=False):
    """Base class of systems p(x) = prod_i p(x_i | x_<i), where a network computes the parameters of every factor.

    Args:
        labels: Number of labels of each feature, for rows of labels; empty for real numbers. Bits have one logit each, and
            other labels softmaxes.
        conditionals: Distribution of a real feature given those before it: "normal" (the flow with one affine layer),
            a mixture of `components` Gaussians, Laplacians or logistic distributions, or "spline" (the flow with one
            layer of monotone splines).
        order: Rank of each feature; empty for 0, 1, ..., D - 1.
        bins: Number of bins of a spline.
    """

    sizes = ("features", "labels", "context", "classes")
    models_labels = True
    start_from: ClassVar[Literal["grid", "quantiles"]] = "quantiles"
    """Starting means of mixtures, see `MixtureFactor`."""

    labels: tuple[int, ...] = ()
    conditionals: Conditionals = "normal"
    order: tuple[int, ...] = ()
    bins: int = 8

    def validate(self) -> None:
        """Check the labels and the order, besides the arguments of all systems of vectors."""
        super().validate()
        self._at_least("bins", 1)
        if self.labels and (len(self.labels) != self.features or min(self.labels) < 1):
            raise SpecError(
                f"expected {self.name}.labels to be {self.features} numbers >= 1, one for each feature, got {self.labels}"
            )

        flow = not self.labels and self.conditionals in ("normal", "spline")
        if self.base != "normal" and not flow:
            raise SpecError(
                f"expected {self.name}.base to be 'normal', got {self.base!r}: labels and mixtures have no latent variables; "
                "choose the conditionals 'normal' or 'spline' for another base"
            )

    @property
    def space(self) -> Real | Categories:  # type: ignore[override]
        """Space of the rows: vectors, or labels."""
        if not self.labels:
            return Real((self.features,))
        return Categories((self.features,), self.labels[0] if len(set(self.labels)) == 1 else self.labels)

    @abc.abstractmethod
    def network(self, n: int, width: int) -> nn.Module:
        """Return the network that computes `n` parameters for each feature, which has `width` inputs."""

    def build(self) -> Distribution:
        """Return the model; a flow with one layer starts as the identity, and other models start without dependence."""
        if not self.labels and self.conditionals in ("normal", "spline"):
            scalar: Scalar = Affine() if self.conditionals == "normal" else RationalQuadratic(self.bins)
            net = self.network(scalar.n, 1)
            if not isinstance(net, MaskEnsemble):
                return self.flow(Autoregressive(scalar, self.space, net, context=self.given))
            if self.conditionals == "spline":
                raise SpecError(f"expected {self.name}.conditionals other than 'spline' with several masks")
        factor = self._factor()
        network = self.network(factor.n, factor.width)
        averaged = OrderAverage if isinstance(network, MaskEnsemble) else AutoregressiveModel
        model = averaged(self.space, factor, network, context=self.given)  # type: ignore[arg-type]
        if not self.classes:
            return model
        return Flow(Identity(self.space), model, embed=OneHotCode(self.classes), context=Categories((), self.classes))

    def _factor(self) -> Factor:
        if self.labels:
            return label_factor(self.space)
        if self.conditionals == "normal":
            return MixtureFactor(1, scaled_means=False)
        kind = self.conditionals.removesuffix("-mixture")
        return MixtureFactor(self.components, kind, start_from=self.start_from)  # type: ignore[arg-type]

    @classmethod
    def from_data(cls, x: Any, context: Any = None, **fields: Any) -> Self:
        """Return the spec for rows (N, D): whole numbers in an integer dtype are labels from 0, other rows are real numbers.

        Raises:
            SpecError: The data have another shape, labels are negative, or an argument is out of range.
        """
        rows = np.asarray(x)
        if rows.ndim == 2 and rows.dtype.kind in "iu" and len(rows):
            if rows.min() < 0:
                raise SpecError(f"expected labels from 0, got {rows.min()}; convert real numbers to a floating dtype")
            fields = {"labels": tuple(int(k) + 1 for k in rows.max(0)), **fields}
        return super().from_data(rows if fields.get("labels") else x, context, **fields)

    @classmethod
    def label_sizes(cls, counts: tuple[int, ...]) -> dict[str, Any]:
        """Return the arguments `features` and `labels` for the number of labels of each column."""
        return {"features": len(counts), "labels": counts}
