"""Element-wise layers: every coordinate is mapped on its own, with its own parameters.

z_i = f(x_i; p_i),    dlogp = sum_i log f'(x_i; p_i)
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from ..core import Space, Transform, Undo, context_space
from ..functional.bounds import sum_events
from ..functional.squeezing import at_positions
from ..networks import head
from .scalar import Scalar


class Elementwise(Transform):
    """Element-wise layer: a scalar map with learned parameters for each coordinate, or with parameters from the context.

    Args:
        scalar: Map of one coordinate.
        space: Space of x and z.
        context: Length of the context, 0 for none, or its space; with a context, a network computes the parameters.
        hidden: Widths of the hidden layers of that network; an empty tuple gives a linear map.
        activation: Activation function of that network.
        network: For pictures: function (inputs, outputs) of channels that returns the network. Its input is the context,
            brought to the height and width of the space.

    Raises:
        SpecError: The scalar map does not map the space onto itself.
    """

    made_by = {"network": "net"}

    def __init__(
        self,
        scalar: Scalar,
        space: Space,
        *,
        context: int | Space = 0,
        hidden: tuple[int, ...] = (64, 64),
        activation: str = "relu",
        network: Callable[[int, int], nn.Module] | None = None,
    ) -> None:
        super().__init__()
        scalar.check(space)
        self.scalar, self.x_space, self.z_space = scalar, space, space
        self.undo = Undo.INVERSE if scalar.numeric_inverse else Undo.BOTH
        self.free = nn.Parameter(torch.zeros(*space.shape, scalar.n), requires_grad=scalar.n > 0)
        self.context = context_space(context)
        self.net: nn.Module | None = None
        self.from_picture = network is not None
        if self.context is not None:
            length, outputs = self.context.shape[0], space.shape[0] * scalar.n if space.shape else scalar.n
            if network is not None:
                self.net = network(length, outputs)
            else:
                self.net = head(length, space.size * scalar.n, hidden, activation)

    def _parameters_of(self, v: Tensor, context: Tensor | None) -> Tensor:
        if self.net is None:
            return self.free.expand(v.shape[0], *self.free.shape)
        if self.from_picture:
            given = at_positions(context, tuple(v.shape[2:]))  # type: ignore[arg-type]
            return self.free + self.net(given).unflatten(1, (self.scalar.n, -1)).movedim(1, -1)
        return self.free + self.net(context).reshape(v.shape[0], *self.free.shape)

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return z and dlogp: (B, *shape) -> (B, *shape), (B,) in nats."""
        z, slopes = self.scalar.forward(x, self._parameters_of(x, context))
        return z, sum_events(slopes)

    def inverse(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return x and dlogp, from the inverse of the scalar map."""
        x, slopes = self.scalar.inverse(z, self._parameters_of(z, context))
        return x, sum_events(slopes)
