"""Distribution, the base class of bases, conditional distributions and whole models."""

from __future__ import annotations

import abc
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, NoReturn

import torch
from torch import Tensor

from ..errors import ContextError, DomainError, ShapeError, SpecError
from ..functional.hand_gradients import eager
from .conditioned import Conditioned
from .node import Node
from .space import Space
from .symbols import Symbols
from .transform import CodeSource, Given, Transform

if TYPE_CHECKING:
    from ..systems.spec import Spec


class Distribution(Node):
    """Probability distribution on `space`, given a `context` if it takes one: a base, an encoder or a whole model.

    Users call `log_prob`, `sample`, `rsample`, `sample_and_log_prob` and `at`, with any leading batch shape.
    Subclasses implement `_log_prob` and `_sample` for one flat batch, without checks; other nodes call these two.
    """

    space: Space
    spec: Spec | None = None
    """The description from which the model was built; None if it was built by hand."""
    differentiable_draws: bool = True
    """Whether draws on a continuous space carry gradients."""

    @abc.abstractmethod
    def _log_prob(self, x: Tensor, context: Tensor | None) -> Tensor:
        """Return log-densities in nats: x (B, *space.shape), context (B, *context.shape) -> (B,)."""

    @abc.abstractmethod
    def _sample(self, n: int, context: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return n draws (n, *shape) and their log-densities (n,); a context has n rows, one for each draw."""

    def _log_prob_aux(self, x: Tensor, context: Tensor | None) -> tuple[Tensor, dict[str, Tensor]]:
        """Return `_log_prob` and the penalties of the layers that have any, by name, each (B,)."""
        return self._log_prob(x, context), {}

    def _log_prob_until(
        self, wanted: Callable[[Transform], bool], x: Tensor, context: Tensor | None
    ) -> tuple[Tensor, Given | None]:
        """Return the part of the log-likelihood before the first wanted layer, and the input of that layer.

        This lets a caller compute the rest in another way.

        Returns:
            (B,) nats, the dlogp of the layers before it; and the layer, its input and its context. None in place of the
            latter if no layer is wanted: then the nats are the whole log-likelihood.
        """
        return self._log_prob(x, context), None

    def _take_apart(self, x: Tensor, context: Tensor | None) -> list[Tensor]:
        """Return the codes of a flat batch: those that the layers drop, then the base's. Without layers: the event itself."""
        return [x]

    def _put_together(self, code_of: CodeSource, context: Tensor | None) -> Tensor:
        """Return the events that have the codes which `code_of` supplies."""
        return code_of(self, context)

    def _generate(self, symbols: Symbols, n: int, context: Tensor | None) -> Tensor:
        """Return n events (n, *shape) decoded from symbols, which are read in an order that does not depend on their values.

        Raises:
            SpecError: This distribution has no symbols, or cannot compute their probabilities one after the other.
        """
        raise SpecError(
            f"{type(self).__name__} cannot decode events from symbols, so it cannot be used for compression"
        )

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """Return `log_prob` without the check for non-finite values; training, DDP, compile, export and hooks call this."""
        x, context, batch = self._flatten(x, context)
        if not self.space.bounded:
            return self._log_prob(x, context).reshape(batch)
        inside = self.space.contains(x)
        logp = self._log_prob(self.space.nearest(x), context)
        return torch.where(inside, logp, -math.inf).reshape(batch)

    def log_prob(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """Return the log-density in nats (log-probability on discrete spaces), or a bound or estimate: see `exactness`.

        Args:
            x: Events of shape (*batch, *space.shape).
            context: Context of shape (*batch, *context.shape), or one that broadcasts to it; None if and only if
                `self.context` is None.

        Returns:
            (*batch,) nats; -inf outside the support, and where x is so large that the computation overflows.

        Raises:
            ShapeError: The event shape differs from `space.shape`.
            ContextError: The context is missing, unexpected or of the wrong shape.
            DomainError: The events have the wrong dtype, or contain NaN or infinity.
        """
        if eager(x, context):
            _require_finite("x", x, self.space)
            _require_finite("context", context, self.context)
            return _without_overflow(self(x, context), x)
        return self(x, context)

    def log_prob_aux(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, dict[str, Tensor]]:
        """Return `forward` for events inside the support, and the penalties of the layers, such as path energies.

        Returns:
            (*batch,) nats, and a dict of penalties by name, each of shape (*batch,).
        """
        x, context, batch = self._flatten(x, context)
        logp, penalties = self._log_prob_aux(x, context)
        return logp.reshape(batch), {name: value.reshape(batch) for name, value in penalties.items()}

    def rsample_and_log_prob(
        self, shape: int | tuple[int, ...] = (), context: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return draws, with gradients where the model is differentiable, and their log-densities.

        Args:
            shape: Shape of the draws for each row of the context, as in `torch.distributions`.
            context: Context of shape (*batch, *context.shape), or None.

        Returns:
            x (*shape, *batch, *space.shape), and (*shape, *batch) in nats. For an inexact model this log-density estimates
            from above where `log_prob` estimates from below; for an exact model the two are equal.

        Raises:
            ShapeError: The number of draws is negative.
            ContextError: The context is missing, unexpected or of the wrong shape.
        """
        shape = (shape,) if isinstance(shape, int) else tuple(shape)
        if any(s < 0 for s in shape):
            raise ShapeError(f"expected a number of draws >= 0, got {shape}")
        rows, batch = self._context_rows(context, shape)
        x, logp = self._sample(math.prod(batch), rows)
        return x.reshape(*batch, *self.space.shape), logp.reshape(batch)

    def rsample(self, shape: int | tuple[int, ...] = (), context: Tensor | None = None) -> Tensor:
        """Return draws with gradients: (*shape, *batch, *space.shape)."""
        return self.rsample_and_log_prob(shape, context)[0]

    def sample(self, shape: int | tuple[int, ...] = (), context: Tensor | None = None) -> Tensor:
        """Return draws without gradients: (*shape, *batch, *space.shape), `shape` of them for each row of the context."""
        with torch.no_grad():
            return self.rsample_and_log_prob(shape, context)[0]

    def sample_and_log_prob(
        self, shape: int | tuple[int, ...] = (), context: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return `rsample_and_log_prob` without gradients."""
        with torch.no_grad():
            return self.rsample_and_log_prob(shape, context)

    def at(self, context: Tensor | None = None) -> Conditioned:
        """Return this distribution at a context, as a torch distribution; a network that embeds the context runs once."""
        return Conditioned(self, context)

    def _flatten(self, x: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor | None, tuple[int, ...]]:
        if not isinstance(x, Tensor):
            _wrong_type("x", x)
        event = self.space.shape
        batch = tuple(x.shape[: x.dim() - len(event)])
        if x.dim() < len(event) or tuple(x.shape[len(batch) :]) != event:
            raise ShapeError(f"expected x of shape (*batch{''.join(f', {s}' for s in event)}), got {tuple(x.shape)}")
        expected = self.space.event_dtype(self.dtype)
        if x.dtype != expected:
            if not self.space.discrete or (x.is_floating_point() and not expected.is_floating_point):
                raise DomainError(
                    f"expected x of dtype {expected}, got {x.dtype}; convert it with x.to({expected}), "
                    "or the model with model.to(...)"
                )
            x = x.to(expected)
        rows = self._checked_context(context)
        if rows is None:
            return x.reshape(-1, *event) if len(batch) != 1 else x, None, batch
        given = tuple(rows.shape[: rows.dim() - len(self.context.shape)])  # type: ignore[union-attr]
        if given != batch:
            try:
                together = tuple(torch.broadcast_shapes(batch, given))
            except RuntimeError:
                raise ContextError(
                    f"expected a context whose batch shape fits x's {batch}, got {given} (context {tuple(rows.shape)})"
                ) from None
            x = x.expand(*together, *event)
            rows = rows.expand(*together, *self.context.shape)  # type: ignore[union-attr]
            batch = together
        if len(batch) != 1:
            x, rows = x.reshape(-1, *event), rows.reshape(-1, *self.context.shape)  # type: ignore[union-attr]
        return x, rows, batch

    def _checked_context(self, context: Tensor | None) -> Tensor | None:
        if context is None:
            if self.context is not None:
                raise ContextError(f"expected a context of shape (*batch, {_shape(self.context)}), got none")
            return None
        if self.context is None:
            raise ContextError(f"expected no context: this {type(self).__name__} takes none, got {_describe(context)}")
        if not isinstance(context, Tensor):
            _wrong_type("context", context)
        event = self.context.shape
        if context.dim() < len(event) or tuple(context.shape[context.dim() - len(event) :]) != event:
            raise ContextError(
                f"expected a context of shape (*batch, {_shape(self.context)}), got {_describe(context)}"
            )
        expected = self.context.event_dtype(self.dtype)
        if context.dtype != expected:
            raise ContextError(
                f"expected a context of dtype {expected}, got {context.dtype}; convert it with context.to({expected})"
            )
        return context

    def _context_rows(self, context: Tensor | None, shape: tuple[int, ...]) -> tuple[Tensor | None, tuple[int, ...]]:
        """Return the context repeated for every draw, flattened, and the whole batch shape (*shape, *context batch)."""
        context = self._checked_context(context)
        if context is None:
            return None, shape
        event = self.context.shape  # type: ignore[union-attr]
        batch = (*shape, *context.shape[: context.dim() - len(event)])
        return context.expand(*batch, *event).reshape(math.prod(batch), *event), batch


def _require_finite(name: str, value: Tensor | None, space: Space | None) -> None:
    if not isinstance(value, Tensor) or not value.is_floating_point() or space is None:
        return
    finite = space.finite(value)
    if not bool(finite.all()):
        bad = (~finite).nonzero()[0].tolist()
        raise DomainError(f"expected finite values, got {value[tuple(bad)].item()} in {name} at index {tuple(bad)}")
    if space.whole and value.numel() and bool((value.abs() > 2 / torch.finfo(value.dtype).eps).any()):
        largest = int(2 / torch.finfo(value.dtype).eps)
        raise DomainError(
            f"expected whole numbers up to {largest} in {name}, the last that {value.dtype} holds exactly, got larger ones; "
            "convert the data and the model to torch.float64"
        )


def _without_overflow(log_prob: Tensor, x: Tensor) -> Tensor:
    """Replace NaN by -inf where an entry of x is so large that its square overflows: the density there is zero."""
    undefined = log_prob.isnan()
    if not x.is_floating_point() or not bool(undefined.any()):
        return log_prob
    # Squares overflow beyond sqrt(max). The factor 1e-6 leaves room for scales that a layer multiplies x by.
    reach = math.sqrt(torch.finfo(log_prob.dtype).max) / 1e6
    largest = x.abs().reshape(*log_prob.shape, -1).amax(-1)
    return torch.where(undefined & (largest > reach), -math.inf, log_prob)


def _wrong_type(name: str, value: object) -> NoReturn:
    raise DomainError(f"expected {name} to be a torch.Tensor, got {type(value).__name__}; use torch.as_tensor({name})")


def _shape(space: Space) -> str:
    return ", ".join(map(str, space.shape))


def _describe(value: object) -> str:
    return f"shape {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
