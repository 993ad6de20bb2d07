"""Spec: the description of one system as plain values. Subclassing it registers the system."""

from __future__ import annotations

import abc
import dataclasses
import functools
import math
import typing
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar, Self

from torch import nn

from ..core import Distribution
from ..errors import SpecError, brief, suggestion

LARGEST = 2**31
"""Limit of whole numbers as arguments."""
REPEATED = ("layers", "blocks", "scales", "steps", "first", "middle", "last", "noise_couplings")
"""Arguments that say how many parts of a kind a model has."""
MOST = 10_000
"""Parts of a kind that a model may have; a mistyped number would build them for hours."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Spec(abc.ABC):
    """One published system: a frozen dataclass of its arguments, and `build()`.

    A subclass declares `name` (as on the command line), `family`, `paper` (authors, year, identifier) and `objective`,
    its fields with defaults, `build` and `cases`. It is then known to the command line, the file format, the
    estimator, the docs and the laws. One that only shares fields with others says `class Shared(Spec, register=False)`.
    """

    registry: ClassVar[dict[str, type[Spec]]] = {}
    name: ClassVar[str]
    family: ClassVar[str]
    paper: ClassVar[str]
    symbol: ClassVar[str] = "="
    """How log p(x) stands to `log_prob(x)` in the simplest instance: "=", ">=", "<=" or "~", as in `Exactness.symbol`."""
    objective: ClassVar[str] = "likelihood"
    spread: ClassVar[float] = 0.6
    """Distance of the weights from their start under the laws, in deviations of the sums that they enter."""
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    """Named sets of arguments, such as "tiny", "small" and "paper"."""

    def __init_subclass__(cls, *, register: bool = True, **kwargs: Any) -> None:
        """Register the class under its name."""
        super().__init_subclass__(**kwargs)
        if "build" in cls.__dict__:
            cls.build = _remembered(cls.build)  # type: ignore[method-assign, assignment]
        if not register:
            return
        for field in ("name", "family", "paper"):
            if not isinstance(getattr(cls, field, None), str):
                raise TypeError(f"{cls.__name__} must declare `{field}`")
        other = Spec.registry.get(cls.name)
        if other is not None and (other.__module__, other.__qualname__) != (cls.__module__, cls.__qualname__):
            raise TypeError(f"system {cls.name!r} is already registered by {other.__module__}")
        Spec.registry[cls.name] = cls

    def __post_init__(self) -> None:
        """Give every field its declared type (lists from JSON become tuples), or say why it cannot have it."""
        for field in dataclasses.fields(self):
            value = _coerce(getattr(self, field.name), _hints(type(self))[field.name], f"{self.name}.{field.name}")
            object.__setattr__(self, field.name, value)
            if field.name in REPEATED and isinstance(value, int) and value > MOST:
                raise SpecError(f"expected {self.name}.{field.name} <= {MOST}, got {value}")
        self.validate()

    def validate(self) -> None:
        """Refuse arguments out of range.

        Raises:
            SpecError: naming the argument, its range and what came.
        """
        self._at_least("features", 1)
        self._at_least("context", 0)
        self._at_least("layers", 1)

    def _at_least(self, field: str, low: int) -> None:
        value = getattr(self, field, low)
        if value < low:
            raise SpecError(f"expected {self.name}.{field} >= {low}, got {value}")

    @abc.abstractmethod
    def build(self) -> Distribution:
        """The model, with fresh weights; it keeps this spec as its `spec`."""

    def loss(self, model: Distribution) -> nn.Module | None:
        """The objective that `fit` minimises unless it is given one, for a model made with this spec.

        Args:
            model: what `build` gave, or something around it, such as a model of a table.

        Returns:
            A module whose `forward(batch)` is the loss; None for the negative log-likelihood.
        """
        return None

    @classmethod
    @abc.abstractmethod
    def cases(cls) -> Iterator[Spec]:
        """Small, tame instances for the laws; the first is the smallest."""

    def exemptions(self) -> Mapping[str, str]:
        """Return the reason for each law that this instance need not keep; an exemption whose law passes is an error."""
        return {}

    @classmethod
    def preset_arguments(cls, name: str) -> dict[str, Any]:
        """The arguments that a preset sets.

        Raises:
            SpecError: there is no preset of that name.
        """
        if name not in cls.presets:
            known = sorted(cls.presets)
            instead = suggestion(name, known, "it has:") if known else "it has none"
            raise SpecError(f"system {cls.name!r} has no preset {name!r}; {instead}")
        return dict(cls.presets[name])

    @classmethod
    def preset(cls, name: str, **fields: Any) -> Self:
        """The spec with a preset's arguments, some replaced: `Glow.preset("small", shape=(1, 28, 28))`.

        Raises:
            SpecError: there is no preset of that name, or an argument is out of range.
        """
        return cls(**{**cls.preset_arguments(name), **fields})

    def to_dict(self) -> dict[str, Any]:
        """Plain values: {"system": name, field: value, ...}."""
        return {"system": self.name, **dataclasses.asdict(self)}


def spec_from_dict(values: Mapping[str, Any]) -> Spec:
    """The spec that `Spec.to_dict` described.

    Raises:
        SpecError: the system or one of the fields is unknown.
    """
    fields = dict(values)
    return _make(str(fields.pop("system", "")), fields)


def build(name: str, **fields: Any) -> Distribution:
    """Build a system by its name: `build("nsf", features=11, context=1)`.

    Raises:
        SpecError: the system or one of the fields is unknown, or out of range.
    """
    return _make(name, fields).build()


def _make(name: str, fields: dict[str, Any]) -> Spec:
    cls = Spec.registry.get(name)
    if cls is None:
        raise SpecError(f"unknown system {brief(name)}; {suggestion(name, sorted(Spec.registry), 'known:')}")
    known_fields = [f.name for f in dataclasses.fields(cls)]
    for field in fields:
        if field not in known_fields:
            raise SpecError(
                f"system {name!r} has no argument {brief(field)}; {suggestion(field, known_fields, 'it has:')}"
            )
    missing = [
        f.name
        for f in dataclasses.fields(cls)
        if f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING and f.name not in fields
    ]
    if missing:
        raise SpecError(f"system {name!r} needs {', '.join(missing)}")
    return cls(**fields)


def _remembered(build: Callable[[Any], Distribution]) -> Callable[[Any], Distribution]:
    """`build`, with the spec left on what it builds, and with one sentence for what does not fit in memory."""

    @functools.wraps(build)
    def remembered(self: Spec) -> Distribution:
        try:
            model = build(self)
        except (MemoryError, RuntimeError) as error:
            # torch has no type of its own for it on the CPU.
            if isinstance(error, RuntimeError) and not any(sign in str(error) for sign in ("allocate", "memory")):
                raise
            raise SpecError(
                f"expected arguments of {self.name} whose model fits in memory, got a larger one; lower its widths or layers"
            ) from None
        model.spec = self
        return model

    return remembered


def _hints(cls: type) -> dict[str, Any]:
    return typing.get_type_hints(cls)


def _coerce(value: Any, hint: Any, where: str) -> Any:
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is dict and not isinstance(value, Mapping):
        raise SpecError(f"expected {where} to be a dictionary, got {brief(value)}")
    if origin is tuple and isinstance(value, (list, tuple)):
        return tuple(_coerce(v, args[0], where) for v in value)
    if origin is typing.Literal:
        if value in args:
            return value
        raise SpecError(f"expected {where} to be one of {', '.join(map(repr, args))}, got {brief(value)}")
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        if abs(value) > 2**1000:
            raise SpecError(f"expected {where} to be float, got {brief(value)}, which is too large")
        return float(value)
    if hint is int and isinstance(value, int) and not isinstance(value, bool) and abs(value) >= LARGEST:
        raise SpecError(f"expected {where} to be a whole number below 2^31, got {brief(value)}")
    if hint is float and isinstance(value, float) and math.isnan(value):
        raise SpecError(f"expected {where} to be a number, got NaN")
    if isinstance(hint, type) and (not isinstance(value, hint) or (hint is int and isinstance(value, bool))):
        raise SpecError(f"expected {where} to be {hint.__name__}, got {brief(value)}")
    if origin is tuple:
        raise SpecError(f"expected {where} to be a list, got {brief(value)}")
    return value
