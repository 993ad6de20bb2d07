"""FlowGMM: one Gaussian of the latent space for each class, behind a flow (Izmailov et al. 2020, arXiv:1912.13025, eq. 2)."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from pushforward.core import Distribution, Flow, Real
from pushforward.networks import MLP
from pushforward.systems.vector_spec import VectorSpec
from pushforward.transforms import Affine, Coupling, half_mask


class ClassMeans(Distribution):
    """Normal distribution around the mean of a class: p(z | y) = N(z; m_y, I).

    Args:
        space: Space of the latent vectors, of shape (D,).
        classes: Number of classes; the context is the one-hot code of one of them.
    """

    def __init__(self, space: Real, classes: int) -> None:
        super().__init__()
        self.space, self.context = space, Real((classes,))
        self.means = nn.Parameter(3 * torch.randn(classes, space.size))

    def _log_prob(self, z: Tensor, context: Tensor) -> Tensor:
        offset = z - context @ self.means
        return -0.5 * (offset.square() + torch.log(torch.tensor(2 * torch.pi))).sum(1)

    def _sample(self, n: int, context: Tensor) -> tuple[Tensor, Tensor]:
        z = context @ self.means + torch.randn(n, self.space.size, dtype=self.dtype, device=self.device)
        return z, self._log_prob(z, context)


@dataclass(frozen=True, kw_only=True)
class FlowGMM(VectorSpec):
    """Affine couplings without a context, and a Gaussian for each class.

    Args:
        layers: Number of coupling layers.
        hidden: Widths of the hidden layers in each network.
    """

    name = "flow-gmm"
    family = "coupling"
    paper = "Izmailov, Kirichenko, Finzi, Wilson 2020, arXiv:1912.13025"

    layers: int = 6
    hidden: tuple[int, ...] = (64, 64)

    def latent(self) -> Distribution:
        """Return the Gaussians of the classes, or the base of the arguments where there is no label."""
        return ClassMeans(self.space, self.given) if self.given else super().latent()

    def build(self) -> Flow:
        """Return the flow, which starts as the identity."""
        network = partial(MLP, hidden=self.hidden, activation=self.activation)
        masks = [half_mask(self.features, flip=i % 2 == 1) for i in range(self.layers)]
        return self.flow([Coupling(Affine(), self.space, mask, network) for mask in masks])

    @classmethod
    def cases(cls) -> Iterator["FlowGMM"]:
        """Yield two features with a label, with a code as context, and alone."""
        yield cls(features=2, classes=3, layers=2, hidden=(8,))
        yield cls(features=2, context=3, layers=2, hidden=(8,))
        yield cls(features=2, layers=2, hidden=(8,))
