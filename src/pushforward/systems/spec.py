"""Spec, the description of a system by plain values. A subclass registers its system."""

from __future__ import annotations

import abc
import contextlib
import dataclasses
import functools
import math
import types
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, Self

from torch import Tensor, nn

from ..core import Distribution
from ..errors import SpecError, brief, suggestion

LARGEST = 2**31
"""Upper limit of whole numbers as arguments."""
REPEATED = ("layers", "blocks", "scales", "steps", "first", "middle", "last", "noise_couplings")
"""Names of arguments that are numbers of layers, blocks or other parts."""
MOST = 10_000
"""Largest number of parts; a mistyped number would build parts for hours."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Spec(abc.ABC):
    """Description of a published system: a frozen dataclass of its arguments with a method `build()`.

    A subclass declares `name` (as on the command line), `family`, `paper` (authors, year, identifier) and `objective`,
    its fields with defaults, `build` and `cases`. The command line, the file format, the estimator, the docs and the
    laws then find it. A base class that only shares fields is declared as `class Shared(Spec, register=False)`.
    """

    registry: ClassVar[dict[str, type[Spec]]] = {}
    name: ClassVar[str]
    family: ClassVar[str]
    paper: ClassVar[str]
    symbol: ClassVar[str] = "="
    """Relation of log p(x) to `log_prob(x)` in the simplest instance: "=", ">=", "<=" or "~", as in `Exactness.symbol`."""
    objective: ClassVar[str] = "likelihood"
    settles: ClassVar[bool] = False
    """Whether `settle` is called after training."""
    spread: ClassVar[float] = 0.6
    """Distance of the weights from their starting values in the laws, in deviations of the sums that they enter."""
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    """Sets of arguments by name, such as "tiny", "small" and "paper"."""
    sizes: ClassVar[tuple[str, ...]] = ()
    """Names of the arguments that `from_data` sets from the data."""
    on_surface: ClassVar[bool] = False
    """Whether the mass lies on a surface in the space of the events, so that densities are with respect to its volume."""
    models_labels: ClassVar[bool] = False
    """Whether the system models rows of labels, such as the categorical columns of a table; see `label_sizes`."""
    renamed: ClassVar[Mapping[str, str]] = {}
    """Present names of arguments, by the names that files of the previous version use."""

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
        """Convert every field to its declared type (lists from JSON become tuples), and check the fields.

        Raises:
            SpecError: A field has a value of another type, or is out of range.
        """
        if "hidden" in _hints(type(self)):
            self._accept_widths()
        for field in dataclasses.fields(self):
            value = _coerce(getattr(self, field.name), _hints(type(self))[field.name], f"{self.name}.{field.name}")
            object.__setattr__(self, field.name, value)
            if field.name in REPEATED and isinstance(value, int) and value > MOST:
                raise SpecError(f"expected {self.name}.{field.name} <= {MOST}, got {value}")
        self.validate()

    def _accept_widths(self) -> None:
        """Accept `hidden` as a number or a list: one number becomes a list, and a list of equal widths becomes `blocks`."""
        value: Any = self.hidden  # type: ignore[attr-defined]
        several = isinstance(value, (list, tuple))
        if _hints(type(self))["hidden"] is not int:
            if isinstance(value, int) and not isinstance(value, bool):
                object.__setattr__(self, "hidden", (value,))
        elif several and len(value) == 1:
            object.__setattr__(self, "hidden", value[0])
        elif several:
            if not value or len(set(value)) > 1 or "blocks" not in _hints(type(self)):
                raise SpecError(
                    f"expected {self.name}.hidden to be one width, or the equal widths of its blocks, got {brief(value)}"
                )
            object.__setattr__(self, "hidden", value[0])
            object.__setattr__(self, "blocks", len(value))

    def validate(self) -> None:
        """Check the arguments.

        Raises:
            SpecError: An argument is out of range; the message has its name, its range and the value.
        """
        self._at_least("layers", 1)
        dropout = getattr(self, "dropout", 0.0)
        if not 0 <= dropout < 1:
            raise SpecError(f"expected {self.name}.dropout in [0, 1), got {dropout}")

    def _at_least(self, field: str, low: int) -> None:
        value = getattr(self, field, low)
        if value < low:
            raise SpecError(f"expected {self.name}.{field} >= {low}, got {value}")

    @abc.abstractmethod
    def build(self) -> Distribution:
        """Return the model with fresh weights; the spec is stored in its attribute `spec`."""

    def loss(self, model: Distribution) -> nn.Module | None:
        """Return the objective that `fit` minimises by default for a model with this spec.

        Args:
            model: Model that `build` returned, or one around it, such as a model of a table.

        Returns:
            A module whose `forward(batch)` returns the loss; None for the negative log-likelihood.
        """
        return None

    def settle(self, model: Distribution, x: Tensor, context: Tensor | None = None) -> None:
        """Set, after training, the parts of a model that gradients do not train; called if `settles` is set.

        Args:
            model: Trained model that `build` returned.
            x: Training rows (N, *event).
            context: Contexts (N, *context) of the rows, or None.
        """
        raise NotImplementedError

    def findings(self, model: Distribution, names: Sequence[str]) -> list[str]:
        """Return lines about what a trained model has found in its data, such as the edges of a graph; mostly none.

        Args:
            model: Trained model that `build` returned, or one around it.
            names: Name of each feature.
        """
        return []

    @classmethod
    def from_data(cls, x: Any, context: Any = None, **fields: Any) -> Self:
        """Return the spec for some data: the data determine the arguments in `sizes`, and `fields` are the others.

        Args:
            x: Events, one per row.
            context: Context of each event, or None.
            **fields: Other arguments of the system.

        Raises:
            SpecError: The system does not model data of this kind, or an argument is out of range.
        """
        raise SpecError(
            f"expected the arguments {', '.join(cls.sizes) or 'of the system'}, because {cls.name} cannot derive them from data"
        )

    @classmethod
    def label_sizes(cls, counts: tuple[int, ...]) -> dict[str, Any]:
        """Return the arguments in `sizes` for rows of labels, from the number of labels of each column.

        Raises:
            SpecError: The system does not model labels.
        """
        raise SpecError(f"expected a system of labels, such as 'discrete', got {cls.name!r}")

    @classmethod
    @abc.abstractmethod
    def cases(cls) -> Iterator[Spec]:
        """Yield small, well-behaved instances for the laws, the smallest first."""

    def exemptions(self) -> Mapping[str, str]:
        """Return the reasons of exemptions from laws, by name of the law; an exemption from a law that holds is an error."""
        return {}

    @classmethod
    def preset_arguments(cls, name: str) -> dict[str, Any]:
        """Return the arguments that a preset sets.

        Raises:
            SpecError: The system has no preset with this name.
        """
        if name not in cls.presets:
            known = sorted(cls.presets)
            instead = suggestion(name, known, "it has:") if known else "it has none"
            raise SpecError(f"system {cls.name!r} has no preset {name!r}; {instead}")
        return dict(cls.presets[name])

    @classmethod
    def preset(cls, name: str, **fields: Any) -> Self:
        """Return the spec with a preset's arguments, some of them replaced, as in `Glow.preset("small", shape=(1, 28, 28))`.

        Raises:
            SpecError: The system has no preset with this name, or an argument is out of range.
        """
        return cls(**{**cls.preset_arguments(name), **fields})

    @property
    def plain(self) -> bool:
        """Whether all arguments are plain values, which can be written to a file."""
        return not any(isinstance(getattr(self, field.name), nn.Module) for field in dataclasses.fields(self))

    def to_dict(self) -> dict[str, Any]:
        """Return the spec as a dictionary of plain values: {"system": name, field: value, ...}.

        Raises:
            SpecError: An argument is a module.
        """
        if not self.plain:
            raise SpecError(
                f"expected plain values as the arguments of {self.name}, got a module; save the model itself"
            )
        return {"system": self.name, **dataclasses.asdict(self)}

    def __reduce__(self) -> Any:
        """Return the name and the values for pickle: the class may come from a place where pickle cannot import it."""
        return (spec_from_dict, (self.to_dict(),)) if self.plain else super().__reduce__()


def label_classes(given: Tensor) -> int | None:
    """Return the number of classes of labels (N,), whole numbers from 0; None for a context of another kind."""
    if given.dim() != 1 or given.is_floating_point() or not len(given) or int(given.min()) < 0:
        return None
    return int(given.max()) + 1


def spec_from_dict(values: Mapping[str, Any]) -> Spec:
    """Return the spec that a dictionary from `Spec.to_dict` describes.

    Raises:
        SpecError: The system or one of the fields is unknown.
    """
    fields = dict(values)
    return _make(str(fields.pop("system", "")), fields)


def former_description(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return a description as from `Spec.to_dict`, with the argument names of the previous version."""
    cls = Spec.registry.get(str(values.get("system")))
    old = {} if cls is None else {new: before for before, new in cls.renamed.items()}
    return {old.get(name, name): value for name, value in values.items()}


def build(name: str, **fields: Any) -> Distribution:
    """Build a system by its name, as in `build("nsf", features=11, context=1)`.

    Raises:
        SpecError: The system or one of the fields is unknown, or a value is out of range.
    """
    return _make(name, fields).build()


def _make(name: str, fields: dict[str, Any]) -> Spec:
    cls = Spec.registry.get(name)
    if cls is None:
        raise SpecError(f"unknown system {brief(name)}; {suggestion(name, sorted(Spec.registry), 'known:')}")
    fields = {cls.renamed.get(name, name): value for name, value in fields.items()}
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
    """Return `build`, extended so that it stores the spec in the model and reports a lack of memory as a SpecError."""

    @functools.wraps(build)
    def remembered(self: Spec) -> Distribution:
        try:
            model = build(self)
        except (MemoryError, RuntimeError) as error:
            # torch raises no specific exception for this on the CPU.
            if isinstance(error, RuntimeError) and not any(sign in str(error) for sign in ("allocate", "memory")):
                raise
            raise SpecError(
                f"expected arguments of {self.name} whose model fits in memory, got a larger one; lower its widths or layers"
            ) from None
        if not isinstance(model, Distribution):
            raise SpecError(
                f"expected {type(self).__name__}.build() to return a Distribution, got {type(model).__name__}"
            )
        model.spec = self if self.plain else None
        return model

    return remembered


@functools.cache
def _hints(cls: type) -> dict[str, Any]:
    return typing.get_type_hints(cls)


def _coerce(value: Any, hint: Any, where: str) -> Any:
    """Return a value converted to its declared type.

    Raises:
        SpecError: It has another type.
    """
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        for choice in args:
            with contextlib.suppress(SpecError):
                return _coerce(value, choice, where)
        raise SpecError(f"expected {where} to be {' or '.join(map(_described, args))}, got {brief(value)}")
    if origin is dict and not isinstance(value, Mapping):
        raise SpecError(f"expected {where} to be a dictionary, got {brief(value)}")
    if origin is tuple and isinstance(value, (list, tuple)):
        return tuple(_coerce(v, args[0], where) for v in value)
    if origin is typing.Literal:
        if value in args:
            return value
        raise SpecError(f"expected {where} to be {_described(hint)}, got {brief(value)}")
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        if abs(value) > 2**1000:
            raise SpecError(f"expected {where} to be float, got {brief(value)}, which is too large")
        return float(value)
    if hint is int and isinstance(value, int) and not isinstance(value, bool) and abs(value) >= LARGEST:
        raise SpecError(f"expected {where} to be a whole number below 2^31, got {brief(value)}")
    if hint is float and isinstance(value, float) and math.isnan(value):
        raise SpecError(f"expected {where} to be a number, got NaN")
    if isinstance(hint, type) and (not isinstance(value, hint) or (hint is int and isinstance(value, bool))):
        raise SpecError(f"expected {where} to be {_described(hint)}, got {brief(value)}")
    if origin is tuple:
        raise SpecError(f"expected {where} to be a list, got {brief(value)}")
    return value


def _described(hint: Any) -> str:
    """Return the text of a declared type for a message."""
    if typing.get_origin(hint) is typing.Literal:
        return f"one of {', '.join(map(repr, typing.get_args(hint)))}"
    if hint is type(None):
        return "None"
    return "a list" if typing.get_origin(hint) is tuple else getattr(hint, "__name__", str(hint))
