"""Coupling layers: some coordinates pass unchanged and determine the parameters of the map of the others.

    z_a = x_a,    z_b = f(x_b; net(x_a, context)),    dlogp = sum_b log f'(x_b)

The Jacobian is block-triangular, so dlogp needs only the slopes of the scalar map, and both directions cost one pass of the
network (Dinh et al. 2015, arXiv:1410.8516, section 3.2).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from ..core import Space, Transform, Undo, context_space
from ..errors import SpecError
from ..functional.bounds import sum_events
from ..networks import MLP, Constant, angle_code, make_conditioner
from .masks import Mask, parts_of
from .scalar import Scalar

Network = Callable[..., nn.Module]
"""Function called with (inputs, outputs, context=length); its module maps (B, inputs), context to (B, outputs)."""


class Coupling(Transform):
    """Coupling layer: z_b = scalar(x_b; net(x_a)), where a are the coordinates with mask True.

    The network outputs the first parameter of every mapped coordinate, then the second parameter of every one, and so on.

    Args:
        scalar: Map of one coordinate.
        space: Space of x and z, (D,) for vectors or (C, H, W) for images.
        mask: Booleans, True where a coordinate passes unchanged: one for each entry of the first dimension (coordinates or
            whole channels), or for images rows of booleans for the positions, such as `checkerboard_mask`. At least one
            is False; all may be False only for vectors with D = 1 or with a context.
        network: The conditioner, or a function (inputs, outputs, context=length) that returns it; an `MLP` by default.
            Any `nn.Module` from (B, inputs) to (B, outputs) will do, such as an `nn.Sequential`. Without a context it is
            called with one argument. With a context of length C, a module whose `forward` has a second argument
            receives the context there; any other module receives it concatenated, (B, inputs + C), and a function
            without a `context` argument is called with (inputs + C, outputs). For images the network maps channels to
            channels; with a mask of positions its input has all channels, zero where they are mapped, and the mask. The
            network sees the cosine and the sine of each angle that passes, after all other numbers.
        context: Length of the context, 0 for none; or its space.

    Raises:
        SpecError: The mask or the scalar map does not fit the space.
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
        # Angles among the coordinates that pass are seen as their cosines and sines.
        self.code = angle_code([space.angles[i] for i in self.halves.passed.tolist()]) if any(space.angles) else None
        inputs = self.halves.inputs if self.code is None else self.code.outputs
        self.net = make_conditioner(network, inputs, shape, length) if passed or length else Constant(outputs)

    def _parameters_of(self, seen: Tensor, context: Tensor | None) -> Tensor:
        if self.code is not None:
            seen = self.code(seen)
        return self.halves.parameters_from(self.net(seen, context), self.scalar.n)

    def mapped(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return the coordinates that the layer maps, and their parameters (..., scalar.n)."""
        seen, b = self.halves.split(x)
        return b, self._parameters_of(seen, context)

    def replaced(self, x: Tensor, b: Tensor) -> Tensor:
        """Return x with other values of the coordinates that the layer maps."""
        return self.halves.join(x, b)

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return z and dlogp: (B, *shape) -> (B, *shape), (B,) in nats."""
        seen, b = self.halves.split(x)
        b, slopes = self.scalar.forward(b, self._parameters_of(seen, context))
        return self.halves.join(x, b, seen), sum_events(slopes)

    def inverse(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return x and dlogp, from the inverse of the scalar map with the same parameters."""
        seen, b = self.halves.split(z)
        b, slopes = self.scalar.inverse(b, self._parameters_of(seen, context))
        return self.halves.join(z, b, seen), sum_events(slopes)

    def rewind(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """Return x, z and dlogp as `Transform.rewind` does, with one pass of the network instead of two.

        The network sees the unchanged coordinates only, so one set of parameters serves the inverse and the forward pass.
        """
        x = z.detach().clone().requires_grad_()
        seen, b = self.halves.split(x)
        p = self._parameters_of(seen, context)
        with torch.no_grad():
            # Writing to x.data hides the change from autograd, which has saved x for the network's backward pass. That is
            # safe: the network read only the coordinates that pass, and they keep their values.
            self.halves.replace_(x.data, self.scalar.inverse(b, p)[0])
        b, slopes = self.scalar.forward(self.halves.split(x)[1], p)
        return x, self.halves.join(x, b), sum_events(slopes)
