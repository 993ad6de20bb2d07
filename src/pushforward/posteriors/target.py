"""A user's log-density as a function of unconstrained vectors, with checks of its values."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Distribution as TorchDistribution

from ..core import Identity, Product, Space, Sphere, Torus, Transform
from ..errors import DomainError, FlowError, ShapeError, SpecError
from ..transforms import to_line

Values = dict[str, Tensor]
"""Parameters by name, each (B, *shape)."""
CURVED_SPACES = (Product, Sphere, Torus)
"""Spaces without a bijection to real vectors; densities on them are fitted as they are, see `curved.py`."""
ONLY = "x"
"""Name of the parameters if the user gave a space without names."""


class _Named(Values):
    """Parameters, as passed to a log-density."""

    def __missing__(self, name: str) -> Tensor:
        raise SpecError(f"log_density asks for {name!r}, which is none of the parameters {', '.join(self)}")


class Target(nn.Module):
    """Log-density log p as a function of unconstrained vectors (B, D), with the log-determinants of the bijections.

    Args:
        log_density: Log-density of the parameters in nats, up to a constant: (B, *shape) -> (B,), or from a dict of such
            tensors.
        space: Space of the parameters, or a dict of spaces by name.

    Attributes:
        asked: Number of points at which the log-density was computed.
        raised: Number of these points at which it raised an error; they have density zero.
        complaint: First such error and its point.
    """

    def __init__(self, log_density: Callable[[Any], Tensor], space: Space | Mapping[str, Space]) -> None:
        super().__init__()
        if not callable(log_density):
            raise SpecError(f"expected log_density to be a function of batches, got {type(log_density).__name__}")
        self.log_density = log_density
        self.named = not isinstance(space, Space)
        spaces = {ONLY: space} if isinstance(space, Space) else space
        if not isinstance(spaces, Mapping) or not spaces or not all(isinstance(s, Space) for s in spaces.values()):
            raise SpecError(f"expected a space, or a dict of spaces by name, got {space!r}")
        self.spaces: dict[str, Space] = dict(spaces)
        self.maps: Sequence[Transform] = nn.ModuleList(
            _unconstrained(s, alone=not self.named) for s in self.spaces.values()
        )  # type: ignore[assignment]
        self.sizes = [layer.z_space.size for layer in self.maps]
        self.features = sum(self.sizes)
        self.asked = self.raised = 0
        self.complaint = ""
        if not self.features:
            raise SpecError("expected at least one number to infer, got spaces of none")

    def constrain(self, z: Tensor) -> tuple[Values, Tensor]:
        """Return the parameters at unconstrained points (B, D), and log |det dx/dz| (B,)."""
        values, total = {}, z.new_zeros(z.shape[0])
        for name, part, layer in zip(self.spaces, z.split(self.sizes, 1), self.maps, strict=True):
            values[name], dlogp = layer.inverse(part.reshape(-1, *layer.z_space.shape))
            total = total + dlogp
        return values, total

    def unconstrain(self, values: Values) -> Tensor:
        """Return the unconstrained points (B, D) of parameters."""
        parts = [
            layer(values[name])[0].reshape(len(values[name]), -1)
            for name, layer in zip(self.spaces, self.maps, strict=True)
        ]
        return torch.cat(parts, 1)

    def place(self, z: Tensor) -> str:
        """Return a text with the parameters at one unconstrained point (D,): 'mean = 1.5, scale = [2, 3]'."""
        return _place({name: v[0] for name, v in self.constrain(z[None])[0].items()})

    def evaluate(self, z: Tensor) -> tuple[Values, Tensor, Tensor, Tensor]:
        """Return the parameters at points (B, D), log p there, log |det dx/dz|, and where log p raised an error, each (B,).

        log p is -inf at points where the log-density raises an error of its own, such as a failed Cholesky
        factorisation. `raised` counts them.

        Raises:
            ShapeError: The log-density does not return one number per point, or fails on batches only.
            DomainError: The log-density does not use torch throughout.
            SpecError: The log-density uses a parameter that does not exist.
        """
        values, volume = self.constrain(z)
        count = len(z)
        self.asked += count
        try:
            value, raised = self._called(values, count), torch.zeros(count, dtype=torch.bool)
        except _RAISED as error:
            _reraise(error)
            # Find the points that raise the error, by evaluating ever smaller parts of the batch.
            parts = list(self._halves(values, count))
            raised = torch.cat([torch.full((n,), part is None) for part, n in parts])
            if not bool(raised.any()):
                raise ShapeError(
                    f"log_density works on each of {count} points alone but fails on all of them together "
                    f"({_first_line(error)}); torch.func.vmap makes a function of batches from one of points"
                ) from None
            # Add zeros that depend on the parameters, so that the result has a gradient function even if every point raises.
            nothing = torch.nan_to_num(sum(v.reshape(count, -1).sum(1) for v in values.values()) * 0)  # type: ignore[arg-type]
            filled = torch.cat([nothing.new_zeros(n) if part is None else part for part, n in parts]) + nothing
            value = torch.where(raised, -math.inf, filled)
            self.raised += int(raised.sum())
            if not self.complaint:
                self.complaint = f"{_first_line(error)} at {_place({k: v[raised][0] for k, v in values.items()})}"
        return values, value, volume, raised

    def _called(self, values: Values, count: int) -> Tensor:
        value = self.log_density(_Named(values) if self.named else values[ONLY])
        if not isinstance(value, Tensor) or value.shape != (count,):
            got = f"shape {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
            raise ShapeError(
                f"expected log_density to give one number for each of {count} points, shape ({count},), got {got}; "
                "torch.func.vmap makes a function of batches from one of points"
            )
        return value

    def _halves(self, values: Values, count: int) -> Iterator[tuple[Tensor | None, int]]:
        """Yield log p of ever smaller parts of a batch that raises an error; None for a single point that raises it."""
        if count == 1:
            parts = [(0, 1)]
        else:
            parts = [(0, count // 2), (count // 2, count)]
        for begin, end in parts:
            part = {name: v[begin:end] for name, v in values.items()}
            try:
                yield self._called(part, end - begin), end - begin
            except _RAISED as error:
                _reraise(error)
                if end - begin == 1:
                    yield None, 1
                else:
                    yield from self._halves(part, end - begin)

    def unchecked(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        """Return log p without checks of its values, for searches that may go too far; torch's own checks are off."""
        validate = TorchDistribution._validate_args
        TorchDistribution.set_default_validate_args(False)
        try:
            _, value, volume, _ = self.evaluate(z)
        finally:
            TorchDistribution.set_default_validate_args(validate)
        return value + volume

    def tolerant(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        """Return `unchecked`, with -inf for values that are not finite, so that wide draws there have weight zero."""
        total = self.unchecked(z)
        return torch.where(total.isfinite(), total, -math.inf)

    def forward(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        """Return the log-density of unconstrained vectors: (B, D) -> (B,) in nats.

        Raises:
            ShapeError: The log-density does not return one number per point.
            DomainError: It has no gradient, or a value is not finite; the message has the first such point.
        """
        values, value, volume, raised = self.evaluate(z)
        if bool(raised.all()):
            raise DomainError(
                f"log_density raises an error at each of {len(z)} points, the first of them: {self.complaint}"
            )
        if z.requires_grad and not value.requires_grad:
            raise DomainError(_NO_GRADIENT)
        total = value + volume
        if not bool((total.isfinite() | raised).all()):
            self._refuse(values, torch.where(raised, 0.0, value))
        return total

    def _refuse(self, values: Values, value: Tensor) -> None:
        bad = ~value.isfinite()
        if not bool(bad.any()):
            raise DomainError(
                "expected finite draws, got infinite ones: log_density may be improper, or the learning rate too large"
            )
        row = int(bad.nonzero()[0])
        at = {name: v[row] for name, v in values.items()}
        where = _place(at)
        edge = [name for name, v in at.items() if bool(self.spaces[name].on_edge(v).any())]
        why = f", on the boundary of {self.spaces[edge[0]]}" if edge else ""
        advice = "" if why else "; give parameters with a bound a Box, or another space with that bound"
        raise DomainError(
            f"expected finite values of log_density, got {value[row].item()} at {where}{why} "
            f"({int(bad.sum())} of {len(value)} points){advice}"
        )


def _unconstrained(space: Space, *, alone: bool) -> Transform:
    """Return the bijection to real vectors; the identity on a curved space, which has none.

    Raises:
        SpecError: The space is curved, and the density has other parameters, too.
    """
    if not isinstance(space, CURVED_SPACES):
        return to_line(space)
    if not alone:
        raise SpecError(
            f"expected {space} to be the only parameter, got others beside it; put them together in one Product space"
        )
    return Identity(space)


_NO_GRADIENT = (
    "log_density gives no gradient: torch must compute it from its argument, without .item(), .numpy() or .detach()"
)


_RAISED = (ValueError, ArithmeticError, RuntimeError)
"""Errors that a log-density may raise at some of its points, including those of torch's linear algebra."""


def _reraise(error: Exception) -> None:
    """Raise errors that do not concern single points: those of this library, and of a log-density that leaves torch."""
    if "numpy()" in str(error):
        raise DomainError(_NO_GRADIENT) from None
    if isinstance(error, FlowError):
        raise error


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__.lstrip('_')}: {(str(error).splitlines() or [''])[0]}"


def _place(at: Values) -> str:
    """Return a text for one point: 'mean = 1.5, scale = [2, 3]'."""
    return ", ".join(f"{name} = {_shown(v)}" for name, v in at.items())


def _shown(v: Tensor) -> str:
    entries = [f"{float(e):.6g}" for e in v.detach().flatten()[:6]]
    return entries[0] if v.dim() == 0 else f"[{', '.join(entries)}{', ...' if v.numel() > 6 else ''}]"
