"""Adapters between layers and `torch.distributions.transforms`."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torch.distributions import Transform as TorchTransform

from ..core import Exactness, Space, Transform
from ..errors import SpecError
from ..functional.bounds import sum_events


class FromTorchTransform(Transform):
    """Bijection of torch as a layer: z = t(x), dlogp = log |det dt/dx|.

    Args:
        transform: Bijection t from the data to the latent side; `transform.inv` is the opposite direction.
        x_space: Space of x.
        z_space: Space of z; by default that of x.

    Raises:
        SpecError: The transform is not a bijection.
    """

    def __init__(self, transform: TorchTransform, x_space: Space, z_space: Space | None = None) -> None:
        super().__init__()
        if not transform.bijective:
            raise SpecError(f"expected a bijection, got {transform}")
        self.transform = transform
        self.x_space, self.z_space = x_space, x_space if z_space is None else z_space

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return z and dlogp: (B, *shape) -> (B, *shape), (B,) in nats."""
        z = self.transform(x)
        return z, sum_events(self.transform.log_abs_det_jacobian(x, z))

    def inverse(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return x and dlogp: (B, *shape) -> (B, *shape), (B,) in nats."""
        x = self.transform._inv_call(z)
        return x, -sum_events(self.transform.log_abs_det_jacobian(x, z))


class AsTorchTransform(TorchTransform):
    """Exact layer as a bijection of torch, from the latent to the data side, the direction of `TransformedDistribution`.

    Args:
        layer: Layer with an exact log-determinant.
        context: Context that the layer receives with every batch, (*layer.context.shape); or None.

    Raises:
        SpecError: The layer is not exact.
    """

    bijective = True

    def __init__(self, layer: Transform, context: Tensor | None = None) -> None:
        super().__init__()
        if layer.exactness != Exactness.EXACT:
            raise SpecError(f"expected an exact layer, got one that is {layer.exactness}")
        self.layer, self.context = layer, context
        self.domain, self.codomain = layer.z_space.constraint, layer.x_space.constraint

    def forward_shape(self, shape: Any) -> Any:
        """Return the shape of x for a shape of z."""
        return (*shape[: len(shape) - len(self.layer.z_space.shape)], *self.layer.x_space.shape)

    def inverse_shape(self, shape: Any) -> Any:
        """Return the shape of z for a shape of x."""
        return (*shape[: len(shape) - len(self.layer.x_space.shape)], *self.layer.z_space.shape)

    def _rows(self, v: Tensor, space: Space) -> tuple[Tensor, tuple[int, ...], Tensor | None]:
        batch = tuple(v.shape[: v.dim() - len(space.shape)])
        flat = v.reshape(-1, *space.shape)
        context = None if self.context is None else self.context.expand(flat.shape[0], *self.context.shape)
        return flat, batch, context

    def _call(self, z: Tensor) -> Tensor:
        flat, batch, context = self._rows(z, self.layer.z_space)
        return self.layer.inverse(flat, context)[0].reshape(*batch, *self.layer.x_space.shape)

    def _inverse(self, x: Tensor) -> Tensor:
        flat, batch, context = self._rows(x, self.layer.x_space)
        return self.layer(flat, context)[0].reshape(*batch, *self.layer.z_space.shape)

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        """Return log |det dy/dx|, (*batch,) in nats; in torch's names x is on the latent side and y on the data side."""
        flat, batch, context = self._rows(y, self.layer.x_space)
        return -self.layer(flat, context)[1].reshape(batch)
