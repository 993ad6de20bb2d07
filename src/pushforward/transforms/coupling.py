"""Coupling layers: some coordinates pass unchanged and give the parameters of the map of the others.

    z_a = x_a,    z_b = f(x_b; net(x_a, context)),    dlogp = sum_b log f'(x_b)

The Jacobian is block-triangular, so dlogp needs only the map's own slopes, and both directions cost one pass
(Dinh et al. 2015, arXiv:1410.8516, section 3.2).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from ..core import Space, Transform, Undo, context_space
from ..errors import SpecError
from ..functional.bounds import sum_events
from ..networks import MLP, Constant, make_conditioner
from .masks import Mask, parts_of
from .scalar import Scalar

Network = Callable[..., nn.Module]
"""Called with (inputs, outputs, context=length); its module maps (B, inputs), context to (B, outputs). See `Coupling`."""


class Coupling(Transform):
    """z_b = scalar(x_b; net(x_a)), a where the mask is True.

    The network gives the first parameter of every mapped coordinate, then the second of every one, and so on.

    Args:
        scalar: the map.
        space: Space of x and z, of shape (D,), or (C, H, W) for images.
        mask: True passes unchanged. One boolean for each entry of the first dimension: coordinates, or whole channels; or, for
            images, rows of booleans for the positions, such as `checkerboard_mask`. Not all True; all False only for
            vectors, when D is 1 or there is a context.
        network: The conditioner, or a function that makes it from (inputs, outputs, context=length); an `MLP` by
            default. Any `nn.Module` that maps (B, inputs) to (B, outputs) will do, such as an `nn.Sequential`: it is
            called without a context when there is none. With a context of length C, a module whose `forward` has a
            second argument gets the context there; another one gets it concatenated, (B, inputs + C), and a function
            without an argument `context` is called with (inputs + C, outputs). For images the network maps channels to
            channels; with a mask of positions it sees all channels, zero where they are mapped, and the mask.
        context: length of the context, 0 for none; or its space.

    Raises:
        SpecError: the mask does not fit, or the map does not fit the space.
    """

    made_by = {"network": "net"}

    def __init__(
        self,
        scalar: Scalar,
        space: Space,
        mask: Mask,
        network: Network | nn.Module = MLP,
        *,
        context: int | Space = 0,
    ) -> None:
        super().__init__()
        scalar.check(space)
        self.halves = parts_of(space, mask)
        self.context = context_space(context)
        length = self.context.shape[0] if self.context is not None else 0
        passed, mapped = len(self.halves.passed), len(self.halves.mapped)
        alone = len(space.shape) == 1 and (space.size == 1 or length)
        if not mapped or (not passed and not alone):
            raise SpecError(f"expected a mask with both True and False, got {passed} of {passed + mapped} True")
        self.x_space = self.z_space = space
        self.scalar = scalar.part(self.halves.mapped.tolist())
        self.undo = Undo.INVERSE if scalar.numeric_inverse else Undo.BOTH
        outputs = self.halves.outputs * scalar.n
        shape = (outputs, *space.shape[1:])
        self.net = (
            make_conditioner(network, self.halves.inputs, shape, length) if passed or length else Constant(outputs)
        )

    def _parameters_of(self, seen: Tensor, context: Tensor | None) -> Tensor:
        return self.halves.parameters_from(self.net(seen, context), self.scalar.n)

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """(B, *shape) -> (B, *shape), (B,)."""
        seen, b = self.halves.split(x)
        b, slopes = self.scalar.forward(b, self._parameters_of(seen, context))
        return self.halves.join(x, b), sum_events(slopes)

    def inverse(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The map's inverse on the same coordinates, from the same parameters."""
        seen, b = self.halves.split(z)
        b, slopes = self.scalar.inverse(b, self._parameters_of(seen, context))
        return self.halves.join(z, b), sum_events(slopes)

    def rewind(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """As for every layer, with one pass of the network where inverse and forward would take two."""
        x = z.detach().clone().requires_grad_()
        seen, b = self.halves.split(x)
        p = self._parameters_of(seen, context)
        with torch.no_grad():
            # Not seen by autograd, which holds the coordinates that pass: those do not change.
            self.halves.replace_(x.data, self.scalar.inverse(b, p)[0])
        b, slopes = self.scalar.forward(self.halves.split(x)[1], p)
        return x, self.halves.join(x, b), sum_events(slopes)
