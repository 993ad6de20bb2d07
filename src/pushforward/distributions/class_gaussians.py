"""Gaussian mixture with one component for each class, the base of a classifier (Izmailov et al. 2020, arXiv:1912.13025)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from ..core import Categories, Distribution, Real
from ..errors import SpecError


class ClassGaussians(Distribution):
    """Distribution of z given a class, or of z alone for the label that stands for an unknown class.

        p(z | y) = N(z; m_y, 1),    p(z | unknown) = sum_y w_y p(z | y)

    The means and variances are fixed: the classes are far apart from each other, and the flow in front moves the data to them.
    With learned variances the flow and the Gaussians could grow together, until the classes overlap. The class weights w are
    learned.

    Args:
        space: Space of the latent vectors, of shape (D,).
        classes: Number of classes K. The context is a label 0 ... K - 1, or K for an unknown class.
        distance: Distance of neighbouring means, in deviations.

    Attributes:
        widening: Logarithm of a factor of the variances that only `log_posterior` uses, see `evaluation.calibrate_classes`.

    Raises:
        SpecError: Events are not vectors, or there is no class.
    """

    means: Tensor
    widening: Tensor

    def __init__(self, space: Real, classes: int, *, distance: float = 7.0) -> None:
        super().__init__()
        if len(space.shape) != 1 or classes < 1 or not distance > 0:
            raise SpecError(
                f"expected a space of vectors, at least one class and a distance above 0, got {space}, {classes} and {distance}"
            )
        self.space, self.context, self.classes = space, Categories((), classes + 1), classes
        self.register_buffer("means", _spread_out(classes, space.size, distance))
        self.register_buffer("widening", torch.zeros(()))
        self.logits = nn.Parameter(torch.zeros(classes))

    def log_joint(self, z: Tensor, widening: Tensor | float = 0.0) -> Tensor:
        """Return log w_y + log p(z | y) of every class: z (B, D) -> (B, K).

        Args:
            z: Latent vectors.
            widening: Logarithm of a factor of all variances.
        """
        log_scale = torch.as_tensor(widening / 2, dtype=z.dtype, device=z.device)
        u = (z.unsqueeze(1) - self.means) * (-log_scale).exp()
        each = -0.5 * (u.square() + math.log(2 * math.pi)) - log_scale
        return self.logits.log_softmax(0) + each.sum(-1)

    def log_posterior(self, z: Tensor) -> Tensor:
        """Return log p(y | z) of every class, with the variances that calibration has widened: (B, D) -> (B, K)."""
        return self.log_joint(z, self.widening).log_softmax(-1)

    def _log_prob(self, x: Tensor, context: Tensor | None) -> Tensor:
        assert context is not None  # noqa: S101
        joint = self.log_joint(x)
        label = context.clamp_max(self.classes - 1)
        given = (joint - self.logits.log_softmax(0)).gather(1, label[:, None])[:, 0]
        return torch.where(context < self.classes, given, joint.logsumexp(1))

    def _sample(self, n: int, context: Tensor | None) -> tuple[Tensor, Tensor]:
        assert context is not None  # noqa: S101
        drawn = torch.multinomial(self.logits.softmax(0), n, replacement=True) if n else context
        label = torch.where(context < self.classes, context, drawn)
        z = self.means[label] + torch.randn(n, self.space.size).to(self.means)
        return z, self._log_prob(z, context)

    def init_from(self, x: Tensor, context: Tensor | None = None) -> None:
        """Set the class weights to the frequencies of the known labels, and turn the means towards those of the labelled rows.

        The rotation makes the sum of the products of the class means and the means of the labelled rows as large as possible
        (the orthogonal Procrustes problem), so the flow has to move the rows as little as possible.
        """
        if context is None:
            return
        known = context < self.classes
        label, z = context[known], x[known].detach().double()
        counts = torch.bincount(label, minlength=self.classes).double()
        self.logits.data.copy_(((counts + 1) / (counts + 1).sum()).log())
        if len(label) and self.space.size > 1:
            sums = z.new_zeros(self.classes, self.space.size).index_add_(0, label, z - z.mean(0))
            left, _, right = torch.linalg.svd(self.means.double().mT @ (sums / counts.clamp_min(1)[:, None]))
            self.means.copy_(self.means.double() @ left @ right)

    @property
    def has_start(self) -> bool:
        """Whether there are data-dependent starting values: True."""
        return True


def _spread_out(classes: int, features: int, distance: float) -> Tensor:
    """Return means (K, D) whose neighbours have a given distance: corners of a simplex, or points that repel each other."""
    if classes == 1:
        return torch.zeros(1, features)
    if classes <= features + 1:
        # The unit vectors of K dimensions, minus their mean, are a regular simplex in K - 1 dimensions with edges sqrt(2).
        corners = torch.eye(classes, dtype=torch.float64) - 1 / classes
        basis = torch.linalg.svd(corners).Vh[: classes - 1]
        flat = torch.zeros(classes, features, dtype=torch.float64)
        flat[:, : classes - 1] = corners @ basis.mT
        turn = torch.linalg.qr(torch.randn(features, features, dtype=torch.float64)).Q
        return (distance / math.sqrt(2) * flat @ turn).to(torch.get_default_dtype())
    if features == 1:
        steps = torch.arange(classes, dtype=torch.get_default_dtype())
        return distance * (steps - steps.mean())[:, None]
    means = torch.randn(classes, features)
    for _ in range(300):
        # Points repel each other along the sphere, so that none is near another.
        apart = means[:, None] - means[None]
        push = apart / (apart.norm(dim=-1, keepdim=True) ** 3 + 1e-3)
        means = means + 0.1 * push.sum(1)
        means = means / means.norm(dim=1, keepdim=True)
    nearest = (torch.cdist(means, means) + 1e9 * torch.eye(classes)).min()
    return means * (distance / nearest)
